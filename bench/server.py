"""Our server over a generated view: everything of the real one but where the view comes from."""

import argparse
import asyncio
import sys
import time
from functools import partial
from pathlib import Path

from bench.cluster import fill
from kube_headroom.admission.ours import Identity
from kube_headroom.admission.promiser import LocalPromiser
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.capacity.view import View
from kube_headroom.policy.load import DEFAULT_POLICY
from kube_headroom.server.http import Front, admission_app, metrics_app
from kube_headroom.server.lifecycle import Drain, Readiness
from kube_headroom.server.logging import configure_logging
from kube_headroom.server.metrics import Metrics
from kube_headroom.server.recorder import DecisionRecorder
from kube_headroom.server.run import Service, run
from kube_headroom.server.settings import Settings, read_settings
from kube_headroom.server.upkeep import freeze_when_ready, keep_book
from kube_headroom.server.validate import Validate
from kube_headroom.tls.serve import CertificateFiles

SETTLE_SECONDS = 0.5


async def build(settings: Settings, *, nodes: int, pods: int) -> Service:
    """As wiring.py does it, with a view that was filled here."""
    clock = time.monotonic
    assert settings.tls_cert_file is not None
    assert settings.tls_key_file is not None
    files = CertificateFiles.open(settings.tls_cert_file, settings.tls_key_file)
    view = View(promise_seconds=settings.promise_seconds, stale_seconds=float("inf"))
    fill(view, nodes=nodes, pods=pods, now=clock())
    metrics = Metrics()
    loop = asyncio.get_running_loop()
    reviewer = Reviewer(
        Identity(settings.namespace, settings.policy_configmap, frozenset(settings.controllers)),
        view,
        LocalPromiser(view.ledger, clock),
        DecisionRecorder(metrics),
    )
    reviewer.policy = DEFAULT_POLICY
    drain = Drain(quiet_seconds=0.0, max_seconds=0.0)
    readiness = Readiness((), drain)
    validate = Validate(
        reviewer,
        metrics,
        max_body_bytes=settings.max_body_bytes,
        max_in_flight=settings.max_in_flight,
    )
    return Service(
        front=Front(admission_app(validate, readiness), drain, loop.time),
        side=metrics_app(readiness, _no_metrics),
        context=files.context,
        drain=drain,
        validate=validate,
        rejected=metrics.rejected,
        background=(
            partial(keep_book, view, None, clock),
            partial(freeze_when_ready, readiness),
            partial(_settle, view),
        ),
        close=_nothing,
    )


async def _settle(view: View) -> None:
    """Do what the watch does: show the objects that were promised, so that promises go."""
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        for promise in list(view.ledger):
            view.ledger.saw(promise.uid, promise.base + 1)


async def _no_metrics() -> bytes:
    return b""


async def _nothing() -> None:
    """There is nothing to close."""


def main() -> int:
    """Serve on a free port until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--pods", type=int, required=True)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    flags = {
        "tls_cert_file": str(folder / "cert.pem"),
        "tls_key_file": str(folder / "key.pem"),
        "bind_address": "127.0.0.1",
        "metrics_bind_address": "127.0.0.1",
        "port": "0",
        "metrics_port": "0",
        "ready_file": str(folder / "ready"),
    }
    settings = read_settings(flags, {})
    configure_logging(settings.log_level, settings.log_format)
    return run(settings, partial(build, nodes=arguments.nodes, pods=arguments.pods))


if __name__ == "__main__":
    sys.exit(main())
