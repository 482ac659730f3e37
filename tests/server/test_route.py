"""The route of `/validate` answers what the short cut before it answers: they are one function."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.types import Message

from kube_headroom.server.http import Application, Front, admission_app
from kube_headroom.server.lifecycle import Drain, Readiness
from kube_headroom.server.validate import Validate
from tests.server.fake_service import FakeReviewer, Rejections


async def _post(app: Application, chunks: list[bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[MutableMapping[str, Any]] = []
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}
        for chunk in chunks
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "https",
        "path": "/validate", "raw_path": b"/validate", "query_string": b"timeout=7s",
        "root_path": "", "headers": [], "server": ("x", 1), "client": ("y", 2), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize(
    "chunks",
    [[b"x" * 9_500], [b"x" * 60_000, b"y" * 60_000], [b"malformed"], [b"unavailable"], [b"bug"],
     [b"z" * 200_001], [b"z" * 200_000, b"z"]],
)  # fmt: skip
async def test_route_and_short_cut_answer_the_same(chunks: list[bytes]) -> None:
    validate = Validate(FakeReviewer(), Rejections(), max_body_bytes=200_000, max_in_flight=2)
    drain = Drain(quiet_seconds=1, max_seconds=2)
    app = admission_app(validate, Readiness([], drain))
    through_route = await _post(app, chunks)
    through_short_cut = await _post(Front(app, validate, drain, lambda: 0.0), chunks)
    assert through_route == through_short_cut
