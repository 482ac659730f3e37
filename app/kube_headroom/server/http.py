"""The two HTTP applications: reviews over TLS, and metrics and probes beside it.

Both are FastAPI. In front of the first stands a short cut: routing alone costs as much again as
judging a small pod, so `POST /validate` is recognised before it and handed to the same function.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response

from kube_headroom.server.body import Receive
from kube_headroom.server.lifecycle import Drain, Readiness
from kube_headroom.server.validate import Answer, Validate

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Render = Callable[[], Awaitable[bytes]]

_CLOSE = (b"connection", b"close")
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Front:
    """The admission port's application: the short cut, then everything else."""

    def __init__(
        self, app: Application, validate: Validate, drain: Drain, clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._validate = validate
        self._drain = drain
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; while draining every answer closes its connection."""
        if scope["path"] != "/validate" or scope["method"] != "POST":
            await self._app(scope, receive, self._closing(send) if self._drain.begun else send)
            return
        if self._drain.begun:
            self._drain.review_came(self._clock())
        answer = await self._validate.handle(scope["query_string"], receive)
        if answer is not None:
            await self._send(answer, send)

    async def _send(self, answer: Answer, send: Send) -> None:
        length = (b"content-length", b"%d" % len(answer.body))
        headers = [*answer.headers, length]
        if self._drain.begun:  # asked only now: the stop may have come while we were judging
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _closing(self, send: Send) -> Send:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
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
