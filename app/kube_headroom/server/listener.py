"""One listening port: uvicorn on our event loop, without its signals, with our bounds.

uvicorn starts listeners with its own connection class and no bound on the TLS handshake, and takes
the process's signals for itself. Both are replaced here, and nothing else of it.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from kube_headroom.server.connection import BoundedConnection, Bounds
from kube_headroom.server.http import Application
from kube_headroom.server.settings import SettingsError
from kube_headroom.server.short_cut import ShortCut

# A peer that does not answer our close of TLS is not waited for longer than this.
TLS_CLOSE_SECONDS = 1.0
# Answers under way when the listener stops get this long.
LAST_ANSWERS_SECONDS = 5
BACKLOG = 2048


class Listener(uvicorn.Server):
    """Serves one application on one bound socket until `stop`."""

    def __init__(
        self,
        app: Application,
        sock: socket.socket,
        bounds: Bounds,
        *,
        keep_alive_seconds: int,
        context: ssl.SSLContext | None = None,
        short_cut: ShortCut | None = None,
    ) -> None:
        super().__init__(_config(app, keep_alive_seconds, context))
        self._short_cut = short_cut
        self.listening = asyncio.Event()
        self._sock = sock
        self._bounds = bounds

    @property
    def port(self) -> int:
        """The port in use, also where any free one was asked for."""
        port: int = self._sock.getsockname()[1]
        return port

    async def run_until_stopped(self) -> None:
        """Serve; returns when `stop` was called and the last answers are out."""
        await self.serve(sockets=[self._sock])

    def stop(self, *, at_once: bool = False) -> None:
        """Stop listening and end; `at_once` also leaves answers under way."""
        self.should_exit = True
        self.force_exit = self.force_exit or at_once

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Listen, with a bounded TLS handshake and bounded connections."""
        await self.lifespan.startup()
        context = self.config.ssl
        server = await asyncio.get_running_loop().create_server(
            self._connection,
            sock=self._sock,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=self._bounds.receive_seconds if context else None,
            ssl_shutdown_timeout=TLS_CLOSE_SECONDS if context else None,
        )
        self.servers = [server]
        self.started = True
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to whoever started two of these."""
        yield

    def _connection(self) -> BoundedConnection:
        return BoundedConnection(self.config, self.server_state, self._bounds, self._short_cut)


def bind(address: str, port: int) -> socket.socket:
    """A socket on `address`; the empty address is every one, of both families where there are."""
    try:
        return _bound(address, port)
    except OSError as error:
        raise SettingsError((f"cannot listen on {address or '*'}:{port}: {error}",)) from error


def _bound(address: str, port: int) -> socket.socket:
    if address:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104 - in a pod


def _config(
    app: Application, keep_alive_seconds: int, context: ssl.SSLContext | None
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )
