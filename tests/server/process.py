"""Starting a server as a real process, and talking to it over real sockets and real TLS."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import NamedTuple, Self

import trustme

START_SECONDS = 30.0
ROOT = Path(__file__).parents[2]
FAKE_SERVICE = [sys.executable, "-m", "tests.server.fake_service"]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class ServerProcess:
    """One process; its log is in `log_path`, and whatever happens it is gone at the end."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        client: ssl.SSLContext,
        environment: Mapping[str, str] = {},
    ) -> None:
        ready = folder / "ports.json"
        ready.unlink(missing_ok=True)
        self.log_path = folder / "log.jsonl"
        self._client = client
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--port=0", "--metrics-port=0", f"--ready-file={ready}"],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **environment},
            )
        ports = json.loads(self._wait_for(ready))
        self.port, self.metrics_port = ports["port"], ports["metrics_port"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def _wait_for(self, path: Path) -> bytes:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if path.exists() and (content := path.read_bytes()):
                return content
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"the server did not start:\n{self.log_path.read_text()}")

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return (context or self._client).wrap_socket(plain, server_hostname="127.0.0.1")

    def https(self) -> HTTPSConnection:
        return HTTPSConnection("127.0.0.1", self.port, context=self._client, timeout=20)

    def request(self, method: str, path: str, body: bytes | None = None) -> Reply:
        connection = self.https()
        try:
            return exchange(connection, method, path, body)
        finally:
            connection.close()

    def review(self, body: bytes, query: str = "") -> Reply:
        return self.request("POST", f"/validate{query}", body)

    def side(self, path: str) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=20)
        try:
            return exchange(connection, "GET", path)
        finally:
            connection.close()

    def rejections(self) -> dict[str, int]:
        lines = self.side("/metrics").body.decode().splitlines()
        return {reason: int(count) for reason, count in (line.split() for line in lines)}

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 20.0) -> int:
        return self.process.wait(timeout)


def exchange(
    connection: HTTPConnection, method: str, path: str, body: bytes | None = None
) -> Reply:
    connection.request(method, path, body=body)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def read_to_end(sock: ssl.SSLSocket) -> bytes:
    """All bytes until the server closes; a reset counts as the end."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        pass
    return b"".join(parts)


def heard(sock: ssl.SSLSocket) -> bytes | None:
    """What the server has said by now; None when it is silent, empty when it hung up."""
    sock.setblocking(False)
    try:
        return sock.recv(65536)
    except ssl.SSLWantReadError:
        return None
    except ConnectionResetError:
        return b""
    finally:
        sock.settimeout(20)


class Trust(NamedTuple):
    """An independent authority, a pair it issued in files, and a client that trusts it."""

    authority: trustme.CA
    cert: Path
    key: Path
    client: ssl.SSLContext

    def renew(self) -> None:
        made = self.authority.issue_cert("127.0.0.1", "localhost")
        self.key.write_bytes(made.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    @property
    def flags(self) -> list[str]:
        return [f"--tls-cert-file={self.cert}", f"--tls-key-file={self.key}"]


def make_trust(folder: Path) -> Trust:
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    trust = Trust(authority, folder / "tls.crt", folder / "tls.key", client)
    trust.renew()
    return trust
