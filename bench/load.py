"""The load: `wrk` on a core of its own. A client in Python could not keep a server busy here."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.machine import ROOT, place
from bench.reviews import UID, bodies

CONNECTIONS: Final = 16
PATH: Final = "/validate?timeout=10s"
_HEADERS: Final = {
    "Host": "kube-headroom.kube-headroom.svc:443",
    "User-Agent": "kube-apiserver-admission",
    "Accept": "application/json, */*",
    "Content-Type": "application/json",
    "Accept-Encoding": "gzip",
}
_UID_LENGTH: Final = 36
_UIDS_PER_RUN: Final = 10_000_000


class LoadError(Exception):
    """The load cannot be made, or was not answered as it must be."""


class Loads:
    """Runs loads one after the other; no uid of an object is ever used twice."""

    def __init__(self, folder: Path, core: int | None) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise LoadError("make bench needs wrk: https://github.com/wg/wrk, apt-get install wrk")
        self._wrk = program
        self._folder = folder
        self._core = core
        self._first = 1

    def write(self, case: str, requests: Iterable[bytes]) -> None:
        """Write a case's requests: whole HTTP, each in its turn."""
        (self._folder / case).write_bytes(b"\0".join(requests))

    def prepare(self, case: str, port: int) -> None:
        """Write a case's reviews, and see that the server allows one of them."""
        reviews = bodies(case)
        self.write(case, map(_request, reviews))
        context = ssl._create_unverified_context()  # noqa: SLF001 - its own certificate
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        body = reviews[0].replace(UID, b"0" * _UID_LENGTH)
        connection.request("POST", PATH, body, _HEADERS)
        answer = connection.getresponse().read()
        if b'"allowed":true' not in answer:
            raise LoadError(f"{case}: {answer.decode('utf-8', 'replace')}")

    def run(self, case: str, port: int, seconds: float) -> dict[str, float]:
        """Return what wrk measured of a webhook."""
        told = self.drive(case, f"https://127.0.0.1:{port}{PATH}", seconds)
        if told["errors"]:
            raise LoadError(f"{case}: {told['errors']:.0f} requests were not answered with 200")
        return told

    def drive(
        self, case: str, url: str, seconds: float, *, connections: int = CONNECTIONS
    ) -> dict[str, float]:
        """Send a case's requests for so long; return what wrk measured."""
        self._first += _UIDS_PER_RUN
        done = subprocess.run(
            [
                *(self._wrk, "--threads=1", f"--connections={connections}"),
                *("--timeout=30s", f"--duration={seconds:.0f}s"),
                *(f"--script={ROOT / 'bench/wrk.lua'}", url, "--"),
                *(str(self._folder / case), str(self._first)),
            ],
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=None if self._core is None else partial(place, 0, self._core),
            env={**os.environ, "LC_ALL": "C"},
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return one request as it is sent; its body may have a place for a uid."""
    length = len(body) + (_UID_LENGTH - len(UID)) * body.count(UID)
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n"
    return head.encode() + body


def _request(body: bytes) -> bytes:
    return post(PATH, _HEADERS, body)
