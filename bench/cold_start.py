"""From the start of the process until it is ready, beside curl for the same pages of the same lists.

And what the process weighs then. The API server is a real one; a pod's JSON is what it prints.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

import httpx2

from bench.big import Big, big_cluster, size_of
from bench.machine import cpu_seconds, rss_mb
from bench.section import Section, run_alone, spread
from kube_headroom.capacity.view import RESOURCES as VIEWED
from kube_headroom.cluster.decoding import page_head
from kube_headroom.cluster.reflector import ReflectorSettings
from kube_headroom.cluster.resource_paths import RESOURCES
from tests.e2e.webhook import WebhookProcess

PAGE: Final = ReflectorSettings().page_size
READY_SECONDS: Final = 300
_HEAD: Final = ("what", "seconds", "x curl", "CPU seconds", "resident MB", "at most MB")


def measure(quick: bool) -> list[Section]:  # noqa: FBT001 - as all of them are called
    """Return how long it takes."""
    with big_cluster(size_of(quick=quick)) as big:
        return [measure_in(big, rounds(quick=quick))]


def rounds(*, quick: bool) -> int:
    """Return how often it is started."""
    return 2 if quick else 3


def measure_in(big: Big, rounds: int) -> Section:
    """Return how long it takes in a cluster that is there."""
    curls, starts, pages = [], [], Pages(big)
    with installed(big) as webhook, TemporaryDirectory() as folder:
        for number in range(rounds):
            urls = pages.urls()  # the tokens are good for five minutes
            curls.append(_curl(big, urls, Path(folder) / "urls"))
            starts.append(_start(webhook))
            print(f"round {number + 1}: curl {curls[-1]:.2f} s, ready {starts[-1]}", flush=True)
    ratios = [start["seconds"] / curl for start, curl in zip(starts, curls, strict=True)]
    ours = {name: median(each[name] for each in starts) for name in starts[0]}
    text = (
        f"{big.size.pods:,} pods on {big.size.nodes:,} nodes in a real API server, {pages.pod_bytes:,}"
        f" bytes of JSON a pod, {pages.total / 1e6:,.0f} MB in all; {rounds} rounds on two cores."
        f" curl asks for the same pages of {PAGE} one after the other over one connection, and drops them;"
        " the server's time is from the start of its process until /readyz says so."
        " The goals are 1.3 x and 300 MB."
    )
    rows = (
        ("curl", spread(curls), "1.00", "", "", ""),
        (
            "ready",
            spread([each["seconds"] for each in starts]),
            spread(ratios),
            f"{ours['cpu']:.2f}",
            f"{ours['rss']:.0f}",
            f"{ours['peak']:.0f}",
        ),
    )
    return Section("Cold start", text, _HEAD, rows)


class Pages:
    """The addresses of all pages of all lists that the server asks for."""

    def __init__(self, big: Big) -> None:
        self._big = big
        self.total = 0
        self.pod_bytes = 0

    def urls(self) -> list[str]:
        """Go through all lists once, and return where their pages are now."""
        found: list[str] = []
        self.total = 0
        with self._big.api.cluster.client() as http:
            for plural in VIEWED:
                found += self._of(http, plural)
        return found

    def _of(self, http: httpx2.Client, plural: str) -> Iterator[str]:
        path, token, size = RESOURCES[plural].path, "", 0
        while True:
            where = f"{path}?limit={PAGE}" + (f"&continue={quote(token)}" if token else "")
            yield self._big.api.cluster.url + where
            page = http.get(where).raise_for_status().content
            size += len(page)
            token = page_head(page).continue_ or ""
            if not token:
                break
        self.total += size
        if plural == "pods":
            self.pod_bytes = size // self._big.size.pods


def _curl(big: Big, urls: list[str], file: Path) -> float:
    """Return the seconds that one curl takes for all of them."""
    cluster = big.api.cluster
    lines = [f'url = "{url}"\noutput = "{os.devnull}"' for url in urls]
    file.write_text("\n".join(lines))
    started = time.monotonic()
    subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--fail", "--http1.1", "--config", file),
            *("--cacert", cluster.ca_file, "--cert", cluster.admin_cert),
            *("--key", cluster.admin_key, "--header", "Accept: application/json"),
        ],
        check=True,
    )
    return time.monotonic() - started


@contextmanager
def installed(big: Big) -> Iterator[WebhookProcess]:
    """Put everything in place but the process."""
    webhook = WebhookProcess(big.api.cluster, only_namespaces=["nowhere"])
    try:
        webhook.install()
        yield webhook
    finally:
        webhook.close()


def _start(webhook: WebhookProcess) -> dict[str, float]:
    """Start the process, and end it once it was ready."""
    started = time.monotonic()
    webhook.start()
    webhook.wait_ready(READY_SECONDS)
    seconds = time.monotonic() - started
    pid = webhook.program.pid
    webhook.metrics()
    found = {"seconds": seconds, "cpu": cpu_seconds(pid), "rss": rss_mb(pid), "peak": _peak_mb(pid)}
    webhook.kill()
    return found


def _peak_mb(pid: int) -> float:
    """Return the most that was ever resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError("no VmHWM")


if __name__ == "__main__":
    run_alone(measure, __doc__)
