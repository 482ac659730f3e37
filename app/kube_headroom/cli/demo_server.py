"""The real server for the demo: one HTTPS listener in this process, for as long as someone talks.

Fresh certificates, any free port of the loopback address; the caller verifies the authority, as
kube-apiserver does with the caBundle. Apart from demo.py because it imports the web stack.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import uvloop

from kube_headroom.errors import ClusterUnavailable
from kube_headroom.server.connection import Bounds
from kube_headroom.server.listener import Listener, bind
from kube_headroom.server.settings import Settings, read_settings
from kube_headroom.server.wiring import build_service
from kube_headroom.tls.issue import issue

ADDRESS = "127.0.0.1"
TIMEOUT_SECONDS = 5


class Caller:
    """Speaks to the server as kube-apiserver does: one connection, kept, its authority checked."""

    def __init__(self, port: int, authority: bytes) -> None:
        context = ssl.create_default_context(cadata=authority.decode())
        self._connection = HTTPSConnection(ADDRESS, port, timeout=TIMEOUT_SECONDS, context=context)

    def post(self, review: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer. Raises ClusterUnavailable when none comes."""
        headers = {"Content-Type": "application/json", "User-Agent": "kube-apiserver-admission"}
        try:
            path = f"/validate?timeout={TIMEOUT_SECONDS}s"
            self._connection.request("POST", path, review, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as error:
            raise ClusterUnavailable(f"the server did not answer: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def serve_while(talk: Callable[[Caller], int], *, snapshot: str, policy: str | None) -> int:
    """Serve over the snapshot until `talk` returns; return what it returns."""
    authority = issue(["localhost"], [ADDRESS], ca_days=1, leaf_days=1, now=datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="kube-headroom-") as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_bytes(authority.cert_pem)
        key.write_bytes(authority.key_pem)
        flags = {
            "snapshot": snapshot,
            "policy_file": policy,
            "tls_cert_file": str(certificate),
            "tls_key_file": str(key),
            "log_format": "text",
        }
        settings = read_settings(flags, {})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(talk, settings, authority.ca_pem))


async def _serve(talk: Callable[[Caller], int], settings: Settings, authority: bytes) -> int:
    service = await build_service(settings)
    listener = Listener(
        service.front,
        bind(ADDRESS, 0),
        Bounds(settings.receive_seconds, settings.max_body_bytes, service.rejected),
        keep_alive_seconds=settings.keep_alive_seconds,
        context=service.context,
    )
    serving = asyncio.create_task(listener.run_until_stopped())
    try:
        await listener.listening.wait()
        caller = Caller(listener.port, authority)
        try:
            return await asyncio.to_thread(talk, caller)
        finally:
            caller.close()
    finally:
        listener.stop(at_once=True)
        await serving
        await service.close()
