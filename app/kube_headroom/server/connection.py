"""One connection's bounds, which uvicorn leaves open: time to arrive, bytes, who may call.

Here and not in the application, because a slow sender of headers, or of nothing at all, never
reaches the application. What arrives whole in one piece, as reviews do, costs no timer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

# Headers and chunk framing beside the body; kube-apiserver sends about 400 bytes of headers.
MAX_HEAD_BYTES = 64 * 1024
# A body past the cap has its 413; so many times the cap is still read, for the sender to see it.
READ_PAST_CAP = 4


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    receive_seconds: float
    max_body_bytes: int
    client_names: frozenset[str] = frozenset()


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, cut off where it takes more than its bounds."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        bounds: Bounds,
        rejected: Callable[[str], None],
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._bounds: Final = bounds
        self._rejected = rejected
        self._in_head = False
        self._in_message = False
        self._received_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A handshake is done. An idle new connection lives as long as an idle used one."""
        super().connection_made(transport)
        self._await_request()
        allowed = self._bounds.client_names
        if allowed and not allowed & _names_of_peer(transport):
            self._cut("client_name")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, by whomever."""
        self._disarm()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Count and parse; a message that is not whole afterwards is on the clock."""
        if self.transport.is_closing():
            return
        self._received_bytes += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._in_message:
            self._keep_bounds()
        elif self.timeout_keep_alive_task is None and (
            self.cycle is None or self.cycle.response_complete
        ):
            self._await_request()

    def on_message_begin(self) -> None:
        """The first byte of a request: the count and the clock start anew."""
        self._in_head = self._in_message = True
        self._received_bytes = 0
        HttpToolsProtocol.on_message_begin(self)

    def on_headers_complete(self) -> None:
        """The head is whole; the application starts."""
        self._in_head = False
        HttpToolsProtocol.on_headers_complete(self)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = False
        if self._deadline is not None:
            self._disarm()
        HttpToolsProtocol.on_message_complete(self)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP at all."""
        self._in_message = False
        self._disarm()
        self._rejected("unreadable_http")
        super().send_400_response(msg)

    def _await_request(self) -> None:
        """Between requests the connection is idle, however many empty lines it sends."""
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _keep_bounds(self) -> None:
        if self._over_bounds():
            self._cut("too_many_bytes")
        elif self._deadline is None:
            self._deadline = self.loop.call_later(
                self._bounds.receive_seconds, self._cut, "slow_sender"
            )

    def _over_bounds(self) -> bool:
        body_bytes = 0 if self._in_head else READ_PAST_CAP * self._bounds.max_body_bytes
        return self._received_bytes > MAX_HEAD_BYTES + body_bytes

    def _cut(self, reason: str) -> None:
        """End it: with a 408 where nothing was answered yet and the sender was only slow."""
        if self.transport.is_closing():
            return
        self._rejected(reason)
        unanswered = self._in_head or (self.cycle and not self.cycle.response_started)
        if reason == "slow_sender" and unanswered:
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        self.transport.close()
        # The application still waits for the rest of the body: tell it that nothing will come.
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _names_of_peer(transport: asyncio.Transport) -> frozenset[str]:
    """The common name and DNS names in the certificate that the client showed."""
    certificate = transport.get_extra_info("peercert") or {}
    subject = [part for group in certificate.get("subject", ()) for part in group]
    common = {value for kind, value in subject if kind == "commonName"}
    dns = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return frozenset(common | dns)
