"""A real server process around a reviewer that does what the body tells it.

Run as a program with the settings of `serve`; everything but the judgement is the product's.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

from kube_headroom.errors import ClusterUnavailable, MalformedReview
from kube_headroom.server.http import Front, admission_app, metrics_app
from kube_headroom.server.lifecycle import Condition, Drain, Readiness
from kube_headroom.server.logging import configure_logging
from kube_headroom.server.run import Service, run
from kube_headroom.server.settings import Settings, read_settings
from kube_headroom.server.validate import Validate
from kube_headroom.tls.serve import CertificateFiles


class FakeReviewer:
    """Answers with what it was given; `hold PATH` waits until there is such a file."""

    def review(
        self, body: bytes, *, timeout_seconds: float = 10.0
    ) -> bytes | Coroutine[None, None, bytes]:
        word, _, rest = body.partition(b" ")
        match word:
            case b"malformed":
                raise MalformedReview(f"no review:\r\n{body!r}")
            case b"unavailable":
                raise ClusterUnavailable("the pods watch is not synced")
            case b"bug":
                raise RuntimeError("a bug for the test")
            case b"later":
                return self._later(rest, timeout_seconds)
            case b"hold":
                return self._held(rest.decode(), body, timeout_seconds)
        return b'{"bytes": %d, "timeout": %.3f}' % (len(body), timeout_seconds)

    async def _held(self, path: str, body: bytes, timeout_seconds: float) -> bytes:
        await _file(path)
        return b'{"bytes": %d, "timeout": %.3f}' % (len(body), timeout_seconds)

    async def _later(self, body: bytes, timeout_seconds: float) -> bytes:
        await asyncio.sleep(0)
        answer = self.review(body, timeout_seconds=timeout_seconds)
        return answer if isinstance(answer, bytes) else await answer


class Rejections:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def rejected(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

    async def render(self, validate: Validate) -> bytes:
        counts = {**self.counts, "in_flight": validate.in_flight}
        return "".join(f"{reason} {n}\n" for reason, n in counts.items()).encode()


async def build(settings: Settings) -> Service:
    files = CertificateFiles.open(
        settings.tls_cert_file,
        settings.tls_key_file,
        client_ca=settings.client_ca_file.read_bytes() if settings.client_ca_file else None,
    )
    drain = Drain(
        quiet_seconds=settings.drain_quiet_seconds, max_seconds=settings.drain_max_seconds
    )
    rejections = Rejections()
    flag = os.environ.get("FAKE_READY_FLAG", "/")
    readiness = Readiness(
        [Condition("watches", lambda: None if Path(flag).exists() else "not synced: pods")], drain
    )
    validate = Validate(
        FakeReviewer(),
        rejections,
        max_body_bytes=settings.max_body_bytes,
        max_in_flight=settings.max_in_flight,
    )
    clock = asyncio.get_running_loop().time
    return Service(
        front=Front(admission_app(validate, readiness), drain, clock),
        side=metrics_app(readiness, lambda: rejections.render(validate)),
        context=files.context,
        drain=drain,
        validate=validate,
        rejected=rejections.rejected,
        background=(partial(_poll, files), _fail_on_demand),
        close=_closed,
    )


async def _poll(files: CertificateFiles) -> None:
    while True:
        await asyncio.sleep(0.05)
        files.poll()


async def _fail_on_demand() -> None:
    await _file(os.environ.get("FAKE_FAIL_FLAG", "/nowhere"))
    raise RuntimeError("a background task failed for the test")


async def _file(path: str) -> None:
    while not os.path.exists(path):  # noqa: ASYNC110, ASYNC240, PTH110 - a file is how tests signal
        await asyncio.sleep(0.02)


async def _closed() -> None:
    pass


if __name__ == "__main__":
    flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
    settings = read_settings({k.replace("-", "_"): v for k, v in flags.items()}, {})
    configure_logging(settings.log_level, settings.log_format)
    sys.exit(run(settings, build))
