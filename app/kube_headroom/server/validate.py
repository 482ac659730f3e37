"""The edge of a review: from bytes on a connection to an answer, whatever the bytes are.

The judgement itself is the Reviewer's. Here are the bounds before it and the HTTP status of what
is no judgement: 400 not a review, 413 too large, 503 ask again, 500 our bug.
"""

import logging
import re
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from kube_headroom.errors import ClusterUnavailable, MalformedReview
from kube_headroom.server.body import (
    Bodies,
    BodyTooLarge,
    Receive,
    SenderGone,
    TooManyBodies,
)

# kube-apiserver's own default for a webhook without timeoutSeconds.
DEFAULT_TIMEOUT_SECONDS = 10.0
# timeoutSeconds is 1 to 30 in the API.
MAX_TIMEOUT_SECONDS = 30.0
# Texts of errors may quote the sender; more than this is of no use to anyone.
MAX_TEXT = 300

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A whole HTTP answer; content-length and connection are added where it is sent."""

    status: int
    headers: Headers
    body: bytes


class Reviewer(Protocol):
    """Judges one AdmissionReview; raises MalformedReview and ClusterUnavailable."""

    def review(
        self, body: bytes, *, timeout_seconds: float = ...
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """The answering AdmissionReview, at once or when it was promised."""
        ...


class Rejections(Protocol):
    """Counts what never became a judgement, by reason."""

    def rejected(self, reason: str) -> None:
        """One more request was not judged for this reason."""
        ...


JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_TEXT: Final[Headers] = ((b"content-type", b"text/plain; charset=utf-8"),)
# kube-apiserver repeats a call that was answered with 503 and Retry-After, inside its own timeout.
_TEXT_AND_RETRY: Final[Headers] = (*_TEXT, (b"retry-after", b"1"))
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_log = logging.getLogger("kube_headroom.http")


class Validate:
    """`POST /validate`: called by the route, and by the connection where a review comes whole."""

    def __init__(
        self,
        reviewer: Reviewer,
        rejections: Rejections,
        *,
        max_body_bytes: int,
        max_in_flight: int,
    ) -> None:
        self.in_flight = 0
        self._reviewer = reviewer
        self._rejections = rejections
        self._bodies = Bodies(max_body_bytes=max_body_bytes)
        self._max_in_flight = max_in_flight

    async def handle(self, query: bytes, receive: Receive) -> Answer | None:
        """Receive and judge; None when nobody is there any more to be answered."""
        try:
            body = await self._bodies.receive(receive)
        except BodyTooLarge:
            return self._reject("too_large", 413, "the body is larger than any review")
        except TooManyBodies:
            return self._reject("too_many_bodies", 503, "too many large bodies at once")
        except SenderGone:
            self._rejections.rejected("sender_gone")
            return None
        answer = self.answer(body, query)
        return answer if isinstance(answer, Answer) else await answer

    def answer(self, body: bytes, query: bytes) -> Answer | Coroutine[Any, Any, Answer]:
        """From body bytes to an answer, at once or later; nothing is raised past this point."""
        if self.in_flight >= self._max_in_flight:
            return self._reject("too_many_in_flight", 503, "too many reviews at once")
        try:
            answer = self._reviewer.review(body, timeout_seconds=timeout_of(query))
        except Exception as error:  # noqa: BLE001 - the request's edge
            return self._failure(error)
        if isinstance(answer, bytes):
            return Answer(200, JSON, answer)
        self.in_flight += 1
        return self._later(answer)

    async def _later(self, answer: Coroutine[Any, Any, bytes]) -> Answer:
        try:
            return Answer(200, JSON, await answer)
        except Exception as error:  # noqa: BLE001 - the request's edge
            return self._failure(error)
        finally:
            self.in_flight -= 1

    def _failure(self, error: Exception) -> Answer:
        if isinstance(error, MalformedReview):
            return self._reject("malformed", 400, str(error))
        if isinstance(error, ClusterUnavailable):
            return self._reject("unavailable", 503, str(error))
        # A bug costs one request, and is seen.
        _log.error("a review ended in a bug of ours", exc_info=error)
        return self._reject("internal_error", 500, "internal error, see the log")

    def _reject(self, reason: str, status: int, text: str) -> Answer:
        self._rejections.rejected(reason)
        return text_answer(status, text)


def text_answer(status: int, text: str) -> Answer:
    """A short plain text; control characters of a quoted sender become visible and harmless."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:MAX_TEXT])
    return Answer(
        status,
        _TEXT_AND_RETRY if status == 503 else _TEXT,
        line.encode("utf-8", "backslashreplace") + b"\n",
    )


@lru_cache(maxsize=64)
def timeout_of(query: bytes) -> float:
    """Seconds in `?timeout=5s`, a Go duration; the default for anything that is none."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"timeout":
            return _duration_seconds(value[:32].decode("utf-8", "replace"))
    return DEFAULT_TIMEOUT_SECONDS


def _duration_seconds(text: str) -> float:
    parts = _DURATION.findall(text)
    if not parts or "".join(parts) != text:
        return DEFAULT_TIMEOUT_SECONDS
    seconds = sum(_part_seconds(part) for part in parts)
    return min(seconds, MAX_TIMEOUT_SECONDS) if seconds > 0 else DEFAULT_TIMEOUT_SECONDS


def _part_seconds(part: str) -> float:
    number = part.rstrip("nuµmsh")
    return float(number) * _UNIT_SECONDS[part[len(number) :]]
