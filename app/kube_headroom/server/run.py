"""The process: two listeners, the tasks beside them, and the way out.

SIGTERM drains: not ready at once, still serving, then stopping when the API servers have moved on.
A second signal, or Ctrl-C at a terminal, stops at once. A background task that fails ends the
process: a restart is better than a replica that looks alive and follows nothing.
"""

import asyncio
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop

from kube_headroom.server.connection import Bounds
from kube_headroom.server.http import Application
from kube_headroom.server.lifecycle import Drain
from kube_headroom.server.listener import LAST_ANSWERS_SECONDS, Listener, bind
from kube_headroom.server.logging import FIELDS
from kube_headroom.server.settings import Settings
from kube_headroom.server.short_cut import ShortCut
from kube_headroom.server.validate import Validate

# Probes and scrapes have no bodies.
SIDE_BODY_BYTES = 64 * 1024

_log = logging.getLogger("kube_headroom.run")


Work = Callable[[], Coroutine[Any, Any, None]]
"""Starts something that runs beside the listeners; ends only by failing or being cancelled."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is served and what runs beside it; wiring.py builds it."""

    front: Application
    side: Application
    context: ssl.SSLContext
    drain: Drain
    validate: Validate
    rejected: Callable[[str], None]
    background: tuple[Work, ...]
    close: Callable[[], Awaitable[None]]


Build = Callable[[Settings], Awaitable[Service]]


def run(settings: Settings, build: Build) -> int:
    """Serve until told to stop; the process's exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, build))


async def _run(settings: Settings, build: Build) -> int:
    service = await build(settings)
    stop = _Stop(service.drain)
    stop.listen_for_signals()
    listeners = _listeners(service, settings)
    serving = [asyncio.create_task(one.run_until_stopped()) for one in listeners]
    background = [asyncio.create_task(work()) for work in service.background]
    try:
        for listener in listeners:
            await listener.listening.wait()
        _announce(*listeners, settings)
        failed = await _until_over(stop.drained(service.validate), background)
        await _stop_all(listeners, serving, at_once=stop.at_once.is_set())
    finally:
        for task in (*serving, *background):
            task.cancel()
        await asyncio.gather(*serving, *background, return_exceptions=True)
        await service.close()
    _log.info("stopped")
    return 1 if failed else 0


class _Stop:
    """Signals, and the wait that the first of them begins."""

    def __init__(self, drain: Drain) -> None:
        self.at_once = asyncio.Event()
        self._asked = asyncio.Event()
        self._drain = drain
        self._loop = asyncio.get_running_loop()

    def listen_for_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)

    async def drained(self, validate: Validate) -> None:
        """Return when the process was asked to stop and nobody needs it any more."""
        await self._asked.wait()
        while not self.at_once.is_set():
            seconds = self._drain.seconds_left(self._loop.time(), in_flight=validate.in_flight)
            if seconds <= 0:
                return
            try:
                async with asyncio.timeout(seconds):
                    await self.at_once.wait()
            except TimeoutError:
                continue

    def _terminate(self) -> None:
        if self._asked.is_set():
            self._interrupt()
        else:
            self._begin("draining")

    def _interrupt(self) -> None:
        self.at_once.set()
        self._begin("stopping at once")

    def _begin(self, what: str) -> None:
        _log.info(what)
        self._drain.begin(self._loop.time())
        self._asked.set()


def _listeners(service: Service, settings: Settings) -> tuple[Listener, Listener]:
    front = Listener(
        service.front,
        bind(settings.bind_address, settings.port),
        Bounds(
            settings.receive_seconds,
            settings.max_body_bytes,
            service.rejected,
            frozenset(settings.client_names),
        ),
        keep_alive_seconds=settings.keep_alive_seconds,
        context=service.context,
        short_cut=ShortCut(service.validate, service.drain, asyncio.get_running_loop().call_soon),
    )
    side = Listener(
        service.side,
        bind(settings.metrics_bind_address, settings.metrics_port),
        Bounds(settings.receive_seconds, SIDE_BODY_BYTES, service.rejected),
        keep_alive_seconds=settings.keep_alive_seconds,
    )
    return front, side


def _announce(front: Listener, side: Listener, settings: Settings) -> None:
    ports = {"port": front.port, "metrics_port": side.port}
    _log.info("listening", extra={FIELDS: ports})
    if settings.ready_file is not None:
        settings.ready_file.write_bytes(msgspec.json.encode(ports))


async def _until_over(
    drained: Coroutine[Any, Any, None], background: list[asyncio.Task[None]]
) -> bool:
    """Wait for the end; True when it came because a background task failed."""
    ending = asyncio.create_task(drained)
    running: set[asyncio.Task[None]] = {ending, *background}
    while not ending.done():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                _log.error("a background task failed, stopping", exc_info=error)
                ending.cancel()
                return True
    return False


async def _stop_all(
    listeners: tuple[Listener, ...], serving: list[asyncio.Task[None]], *, at_once: bool
) -> None:
    # The probes' port last: kubelet goes on asking while the last answers leave.
    for listener, task in zip(listeners, serving, strict=True):
        listener.stop(at_once=at_once)
        await asyncio.wait((task,), timeout=1 if at_once else LAST_ANSWERS_SECONDS + 2)
