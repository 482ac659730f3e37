"""Receiving a review's body within bounds, while it streams.

Small bodies arrive in one message and cost nothing here. Larger ones share a budget, so that many
senders of large, slow bodies cannot fill the memory; time is bounded by the connection.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# All unfinished bodies together, in bodies of the largest size.
BODIES_IN_BUDGET = 8


class BodyTooLarge(Exception):  # noqa: N818 - named for what it is
    """The body passed the cap; the rest was not read."""


class TooManyBodies(Exception):  # noqa: N818 - named for what it is
    """The unfinished bodies of all senders together passed the budget."""


class SenderGone(Exception):  # noqa: N818 - named for what it is
    """The connection ended, or was ended, before the body did."""


class Bodies:
    """The receiver of one port's bodies."""

    def __init__(self, *, max_body_bytes: int) -> None:
        self._max_body_bytes: Final = max_body_bytes
        self._budget_bytes = max_body_bytes * BODIES_IN_BUDGET

    async def receive(self, receive: Receive) -> bytes:
        """One whole body."""
        message = await receive()
        if message["type"] != "http.request":
            raise SenderGone
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            return await self._receive_rest(bytearray(body), receive)
        if len(body) > self._max_body_bytes:
            raise BodyTooLarge
        return body

    async def _receive_rest(self, body: bytearray, receive: Receive) -> bytes:
        self._budget_bytes -= len(body)
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise SenderGone
                chunk: bytes = message.get("body", b"")
                self._budget_bytes -= len(chunk)
                body += chunk
                self._check(len(body))
                more = message.get("more_body", False)
            return bytes(body)
        finally:
            self._budget_bytes += len(body)

    def _check(self, body_bytes: int) -> None:
        if body_bytes > self._max_body_bytes:
            raise BodyTooLarge
        if self._budget_bytes < 0:
            raise TooManyBodies
