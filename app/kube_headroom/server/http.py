"""The two HTTP applications: reviews over TLS, and metrics and probes beside it.

Both are FastAPI. Most reviews never come here: HTTP and routing cost more than judging a small pod,
so the connection itself answers what it can (short_cut.py), by the same function.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response

from kube_headroom.server.body import Receive
from kube_headroom.server.lifecycle import Drain, Readiness
from kube_headroom.server.validate import Validate

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Render = Callable[[], Awaitable[bytes]]

_CLOSE = (b"connection", b"close")
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Front:
    """The admission port's application: everything, told to leave while we are draining."""

    def __init__(self, app: Application, drain: Drain, clock: Callable[[], float]) -> None:
        self._app = app
        self._drain = drain
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; while draining every answer closes its connection."""
        if self._drain.begun and scope["path"] == "/validate":
            self._drain.review_came(self._clock())
        await self._app(scope, receive, closing(send, self._drain))


def closing(send: Send, drain: Drain) -> Send:
    """Return a send that closes the connection if we are draining by the time it is used."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start" and drain.begun:
            message["headers"] = [*message["headers"], _CLOSE]
        await send(message)

    return send_and_close


def admission_app(validate: Validate, readiness: Readiness) -> FastAPI:
    """`POST /validate`, `GET /livez`, `GET /readyz`, and nothing else."""
    app = _bare_app()

    @app.post("/validate", response_model=None)
    async def review(request: Request) -> Response:
        query = request.scope["query_string"]
        answer = await validate.handle(query, request.receive)
        if answer is None:
            return Response(status_code=499)  # nobody is there to read it
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, status_code=answer.status, headers=headers)

    _add_probes(app, readiness)
    return app


def metrics_app(readiness: Readiness, render: Render) -> FastAPI:
    """`GET /metrics` and the probes, for kubelet and Prometheus, without TLS."""
    app = _bare_app()

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        return Response(await render(), headers={"content-type": METRICS_TYPE})

    _add_probes(app, readiness)
    return app


def _bare_app() -> FastAPI:
    # No pages about ourselves on these ports, and never a 3xx: kube-apiserver would follow it.
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)


def _add_probes(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/livez", response_model=None)
    async def livez() -> Response:
        return _plain(200, "ok\n")

    @app.get("/readyz", response_model=None)
    async def readyz(request: Request) -> Response:
        missing = readiness.missing()
        ready = not any(missing.values())
        if ready and "verbose" not in request.query_params:
            return _plain(200, "ok\n")
        return _plain(200 if ready else 503, _report(missing))


def _report(missing: dict[str, str | None]) -> str:
    lines = [f"[-] {name}: {why}" if why else f"[+] {name}" for name, why in missing.items()]
    return "\n".join(lines) + "\n"


def _plain(status: int, text: str) -> Response:
    return Response(text, status_code=status, media_type="text/plain")
