"""What stands between: a Service in front of the replicas, and a slow way to the API server.

Both run on loopback, on one event loop in a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

from tests.controlplane.programs import free_port

CHUNK = 65536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Listener:
    """One port whose connections are served by `_serve`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._server = self._do(start)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Service(_Listener):
    """Hands each connection to the next replica that is ready, as a Service's endpoints do."""

    def __init__(self, ports: Sequence[int], is_ready: Callable[[int], bool]) -> None:
        super().__init__()
        self._ports = tuple(ports)
        self._is_ready = is_ready
        self._turn = count()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await self._connect()
        try:
            await _both_ways((reader, writer), (back, forth))
        finally:
            forth.close()

    async def _connect(self) -> Streams:
        first = next(self._turn)
        turn = [self._ports[(first + step) % len(self._ports)] for step in range(len(self._ports))]
        ready = [port for port in turn if self._is_ready(port)]
        for port in (*ready, *turn):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionRefusedError


class SlowWatches(_Listener):
    """Plain HTTP in front of an API server, whose watches are told `delay_seconds` late."""

    def __init__(self, url: str, trust: ssl.SSLContext, delay_seconds: float) -> None:
        super().__init__()
        self._address = urlsplit(url)
        self._trust = trust
        self._delay_seconds = delay_seconds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request; one connection each keeps this simple."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"conn")]
        sizes = [int(each[15:]) for each in lines if each.lower().startswith(b"content-length:")]
        body = await reader.readexactly(sizes[0]) if sizes else b""
        back, forth = await asyncio.open_connection(
            self._address.hostname, self._address.port, ssl=self._trust
        )
        try:
            forth.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            delay = self._delay_seconds if b"watch=true" in lines[0] else 0.0
            await _delayed(back, writer, delay)
        finally:
            forth.close()


async def _delayed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Copy until the end, each piece so much later."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def receive() -> None:
        while piece := await reader.read(CHUNK):
            pieces.put_nowait((loop.time() + delay, piece))
        pieces.put_nowait((loop.time() + delay, b""))

    async with asyncio.TaskGroup() as group:
        group.create_task(receive())
        while True:
            when, piece = await pieces.get()
            await asyncio.sleep(max(0.0, when - loop.time()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()


async def _both_ways(one: Streams, other: Streams) -> None:
    copying = [
        asyncio.create_task(_copy(one[0], other[1])),
        asyncio.create_task(_copy(other[0], one[1])),
    ]
    try:
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(CHUNK):
        writer.write(piece)
        await writer.drain()
