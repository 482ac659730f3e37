"""E, the measure: a bare ASGI function that reads the body and answers a fixed allow.

Plain uvicorn with the flags of our listener, and nothing else of ours.
"""

import argparse
from pathlib import Path
from typing import Any

import uvicorn

from kube_headroom.tls.serve import server_context

ANSWER = (
    b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":'
    b'{"uid":"00000000-0000-0000-0000-000000000000","allowed":true}}'
)
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(ANSWER)),
]


async def answer(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - bare on purpose
    """One request."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


def serve(app: Any) -> None:  # noqa: ANN401 - bare on purpose
    """Serve on a free port until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    context = server_context((folder / "cert.pem").read_bytes(), (folder / "key.pem").read_bytes())
    config = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=180,
        ssl_context_factory=lambda _config, _default: context,
    )
    config.load()
    listening = config.bind_socket()
    (folder / "ready").write_text(str(listening.getsockname()[1]))
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve(answer)
