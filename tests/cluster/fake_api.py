"""An API server that misbehaves on demand, on real sockets.

Only for what a real one cannot be made to show at will; everything else is tested on a real one.
Each request takes the next answer from the script of its verb; the last answer is repeated.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeApi:
    """The server; `lists`, `watches` and `writes` are its scripts."""

    lists: list[Answer] = field(default_factory=list)
    watches: list[Answer] = field(default_factory=list)
    writes: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> "FakeApi":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        if self._writers:
            await self._idle.wait()

    def kubeconfig(self, folder: Path) -> str:
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "current-context": "fake",
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
                    "clusters": [
                        {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
                    ],
                    "users": [{"name": "me", "user": {"token": "a-token"}}],
                }
            )
        )
        return str(path)

    def asked_to(self, verb: str) -> list[Asked]:
        return [asked for asked in self.asked if _verb(asked) == verb]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._idle.clear()
        try:
            while asked := await _read(reader):
                self.asked.append(asked)
                script = getattr(self, _verb(asked))
                answer = script.pop(0) if len(script) > 1 else script[0]
                await answer(asked, writer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            if not self._writers:
                self._idle.set()


def _verb(asked: Asked) -> str:
    if asked.method != "GET":
        return "writes"
    return "watches" if asked.query.get("watch") == "true" else "lists"


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head[0].split(" ")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Asked(method, url.path, dict(parse_qsl(url.query)), headers, body)


def json_text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def reply(status: int, value: Any, **headers: str) -> Answer:
    """A whole answer."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        body = value if isinstance(value, bytes) else json_text(value)
        lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return answer


def page(objects: Sequence[dict[str, Any]], version: int, more: str = "") -> Answer:
    """A page of a list, in the order of fields that Go writes."""
    metadata = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return reply(
        200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": list(objects)}
    )


def failure(code: int, reason: str, message: str = "said the fake", **headers: str) -> Answer:
    """An error in the API's own form."""
    return reply(code, error_status(code, reason, message), **headers)


def error_status(code: int, reason: str, message: str = "said the fake") -> dict[str, Any]:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip


def stream(*lines: dict[str, Any] | bytes, then: str = "hold") -> Answer:
    """A watch: events, or raw bytes; then it holds still, ends, or is cut in mid-chunk."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for line in lines:
            data = line if isinstance(line, bytes) else json_text(line) + b"\n"
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
        if then == "hold":
            await writer.wait_closed()
        elif then == "end":
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(b"ff\r\n{")
            await writer.drain()
            raise ConnectionError("cut on purpose")

    return answer


def pod(name: str, version: int, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": meta, **more}


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": {"kind": "Pod", "apiVersion": "v1", **obj}}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
