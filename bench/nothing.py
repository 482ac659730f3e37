"""A webhook that does nothing, for an API server: E, but that it answers under the review's uid.

The API server takes no answer under another one.
"""

from typing import Any

from bench.baseline import ANSWER, serve

_HEAD, _, _TAIL = ANSWER.partition(b"00000000-0000-0000-0000-000000000000")
_LENGTH = b"%d" % len(ANSWER)


async def answer(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - bare on purpose
    """One request."""
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    start = body.index(b'"uid":"') + 7  # the review's own comes first, as Go writes it
    headers = [(b"content-type", b"application/json"), (b"content-length", _LENGTH)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _HEAD + body[start : start + 36] + _TAIL})


if __name__ == "__main__":
    serve(answer)
