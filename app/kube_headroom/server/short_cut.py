"""The short cut: reviews that a connection answers by itself, before there is any HTTP request.

Most reviews are short, ask for nothing but an answer, and are decided at once. For these a request
object, a task and two sends cost as much again as reading and judging them (bench/README.md).
All others, and everything out of the ordinary, take the road of all requests.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from kube_headroom.server.body import Receive
from kube_headroom.server.http import Application, Scope, Send, closing
from kube_headroom.server.lifecycle import Drain
from kube_headroom.server.validate import JSON, Answer, Validate

PATH: Final = b"/validate"
MAX_BODY_BYTES: Final = 64 * 1024
"""Of larger bodies many must not lie in memory at once: they are received within a budget."""

_MAX_URL_BYTES: Final = 256
Headers = Sequence[tuple[bytes, bytes]]


class Waiting(Protocol):
    """A connection that has received a whole review."""

    def judge(self) -> None:
        """Have it judged, unless that was done already."""
        ...

    def reply(self) -> None:
        """Write the answer, unless that was done already."""
        ...


class ShortCut:
    """What a connection must know to answer a review.

    All reviews that come in one turn of the event loop are judged one after the other, then all
    are answered: code that runs again at once, and a peer that is awake already, cost half.
    """

    def __init__(
        self,
        validate: Validate,
        drain: Drain,
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._validate = validate
        self._drain = drain
        self._call_soon = call_soon
        self._waiting: list[Waiting] = []
        self._headers: Headers | None = None
        self._head = b""

    @property
    def is_open(self) -> bool:
        """Whether it may be taken: while draining every answer must say so."""
        return not self._drain.begun

    def add(self, waiting: Waiting) -> None:
        """Judge and answer one more at the end of this turn."""
        if not self._waiting:
            self._call_soon(self._answer_all)
        self._waiting.append(waiting)

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.judge()
        for each in waiting:
            each.reply()

    def answer(self, url: bytes, body: bytes, headers: Headers) -> bytes | Application:
        """Return a whole answer to write, or else the application that will send it.

        headers are those that every answer has: uvicorn makes a new list of them every second.
        """
        answer = self._validate.answer(body, query_of(url) or b"")
        if isinstance(answer, Answer) and answer.status == 200:
            if headers is not self._headers:
                self._headers, self._head = headers, _head([*headers, *JSON])
            return self._head % (len(answer.body), answer.body)
        return self._sending(answer)

    def _sending(self, answer: Answer | Coroutine[Any, Any, Answer]) -> Application:
        async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
            whole = answer if isinstance(answer, Answer) else await answer
            headers = [*whole.headers, (b"content-length", b"%d" % len(whole.body))]
            start = {"type": "http.response.start", "status": whole.status, "headers": headers}
            await closing(send, self._drain)(start)
            await send({"type": "http.response.body", "body": whole.body})

        return app


def _head(headers: Headers) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers).replace(b"%", b"%%")
    return b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: %d\r\n\r\n%b"


@lru_cache(maxsize=64)
def query_of(url: bytes) -> bytes | None:
    """Return the query of a URL that is the path and a query and nothing else; or None."""
    path, _, query = url.partition(b"?")
    if path != PATH or b"#" in query or len(url) > _MAX_URL_BYTES:
        return None
    return query
