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

from kube_headroom.server.http import Application
from kube_headroom.server.short_cut import MAX_BODY_BYTES, ShortCut, query_of

# Headers and chunk framing beside the body; kube-apiserver sends about 400 bytes of headers.
MAX_HEAD_BYTES = 64 * 1024
# A body past the cap has its 413; so many times the cap is still read, for the sender to see it.
READ_PAST_CAP = 4


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take, and who is told when one is cut off."""

    receive_seconds: float
    max_body_bytes: int
    rejected: Callable[[str], None]
    client_names: frozenset[str] = frozenset()


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, cut off where it takes more than its bounds."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        bounds: Bounds,
        short_cut: ShortCut | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._short_cut: Final = short_cut
        self._review: bytes | None = None
        """What has come of a review that takes the short cut; None while nothing does."""
        self._waits = False
        self._answer: bytes | Application | None = None
        self._bounds: Final = bounds
        self._rejected = bounds.rejected
        self._in_head = False
        self._in_message = False
        self._received_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._used_at = 0.0
        self._idle_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A handshake is done. An idle new connection lives as long as an idle used one."""
        super().connection_made(transport)
        self._used_at = self.loop.time()
        self._look_idle()
        allowed = self._bounds.client_names
        if allowed and not allowed & _names_of_peer(transport):
            self._cut("client_name")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, by whomever."""
        self._disarm()
        if self._review is not None:
            self._rejected("sender_gone")
        self._review = self._answer = None
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        if self._idle_look is not None:
            self._idle_look.cancel()

    def data_received(self, data: bytes) -> None:
        """Count and parse; a message that is not whole afterwards is on the clock."""
        if self.transport.is_closing():
            return
        self._received_bytes += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._in_message:
            self._keep_bounds()

    def on_message_begin(self) -> None:
        """The first byte of a request: the count and the clock start anew."""
        self.judge()
        self.reply()
        self._in_head = self._in_message = True
        self._received_bytes = 0
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head is whole; the application starts, unless this is to take the short cut."""
        self._in_head = False
        if self._short_cut is not None and self._may_take(self._short_cut):
            self._review = b""
        else:
            self._start_cycle()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._review is None:
            HttpToolsProtocol.on_body(self, body)
            return
        self._review = self._review + body if self._review else body
        if len(self._review) > MAX_BODY_BYTES:
            self._leave_short_cut()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = False
        self._used_at = self.loop.time()
        if self._deadline is not None:
            self._disarm()
        if self._review is None:
            HttpToolsProtocol.on_message_complete(self)
        else:
            assert self._short_cut is not None
            self._waits = True
            self._short_cut.add(self)

    def shutdown(self) -> None:
        """The listener stops: what is under way is answered, what is idle is closed."""
        self.judge()
        self.reply()
        self._leave_short_cut()
        super().shutdown()

    def _may_take(self, short_cut: ShortCut) -> bool:
        """Tell whether this is a review to be answered next, and nothing else is asked."""
        return (
            query_of(self.url) is not None
            and short_cut.is_open
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def judge(self) -> None:
        """Have the review judged that waits for it, if one does."""
        if self._waits and self._review is not None and self._short_cut is not None:
            headers = self.server_state.default_headers
            self._answer = self._short_cut.answer(self.url, self._review, headers)
            self._waits, self._review = False, None

    def reply(self) -> None:
        """Write the answer that is there, or have it sent by the application that has it."""
        answer, self._answer = self._answer, None
        if isinstance(answer, bytes):
            self.transport.write(answer)
        elif answer is not None:
            app, self.app = self.app, answer
            self._start_cycle()
            self.app = app
            HttpToolsProtocol.on_message_complete(self)

    def _leave_short_cut(self) -> None:
        """Go on as any request does."""
        if self._review is not None:
            review, self._review = self._review, None
            self._start_cycle()
            HttpToolsProtocol.on_body(self, review)

    def _start_cycle(self) -> None:
        """Make a request of the head and start its application, as uvicorn does."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the list that the scope has
        HttpToolsProtocol.on_headers_complete(self)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP at all."""
        self._in_message = False
        self._disarm()
        self._rejected("unreadable_http")
        super().send_400_response(msg)

    def _look_idle(self) -> None:
        """Close it if there was no request for so long, however many empty lines came.

        One timer looks again and again: one for each request costs more than the rest of it.
        """
        left = self._used_at + self.timeout_keep_alive - self.loop.time()
        if self._in_message or (self.cycle and not self.cycle.response_complete):
            left = self.timeout_keep_alive
        if left > 0:
            self._idle_look = self.loop.call_later(left, self._look_idle)
        else:
            self.timeout_keep_alive_handler()

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
        receiving = self._in_head or self._review is not None
        unanswered = receiving or (self.cycle and not self.cycle.response_started)
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
