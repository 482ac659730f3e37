"""Who meets whom: the one place where all parts of the serving process are introduced.

Nothing is decided here and nothing is read from the environment; tests wire their own.
"""

import asyncio
import time
from functools import partial
from math import inf

from kube_headroom.admission.ours import Identity
from kube_headroom.admission.promiser import LocalPromiser
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.capacity.view import View
from kube_headroom.policy.load import DEFAULT_POLICY, load_policy
from kube_headroom.server.certificates import follow_files, open_certificate
from kube_headroom.server.http import Front, admission_app, metrics_app
from kube_headroom.server.lifecycle import Condition, Drain, Readiness
from kube_headroom.server.metrics import Metrics, Scrape
from kube_headroom.server.origin import OpenLedger, Origin, snapshot_origin
from kube_headroom.server.policies import PolicyInForce, follow_file, read_policy_file
from kube_headroom.server.recorder import DecisionRecorder
from kube_headroom.server.run import Service, Work
from kube_headroom.server.settings import Settings, SettingsError
from kube_headroom.server.sources import ServiceSources
from kube_headroom.server.upkeep import freeze_when_ready, keep_book, relist_laggards
from kube_headroom.server.validate import Validate
from kube_headroom.tls.own import OwnCertificate
from kube_headroom.tls.serve import CertificateFiles

Certificate = CertificateFiles | OwnCertificate


async def build_service(settings: Settings) -> Service:
    """Everything `serve` runs, connected and not yet started."""
    clock = time.monotonic
    metrics = Metrics()
    certificate = open_certificate(settings)
    view = View(
        promise_seconds=settings.promise_seconds,
        stale_seconds=inf if settings.snapshot else settings.stale_seconds,
    )
    view.book.seats.seconds = settings.seat_seconds
    ledger = await _ledger(settings, view)
    reviewer = Reviewer(
        Identity(settings.namespace, settings.policy_configmap, frozenset(settings.controllers)),
        view,
        ledger.promiser,
        DecisionRecorder(metrics),
        clock=clock,
    )
    policy = PolicyInForce(
        partial(setattr, reviewer, "policy"), metrics.policy_rejected, source=_source(settings)
    )
    policy_text = _first_policy(settings, policy)
    origin = await _origin(settings, view, policy, certificate)
    drain = Drain(
        quiet_seconds=settings.drain_quiet_seconds, max_seconds=settings.drain_max_seconds
    )
    readiness = Readiness(
        (*origin.conditions, *ledger.conditions, Condition("policy", lambda: policy.missing)), drain
    )
    validate = Validate(
        reviewer,
        metrics,
        max_body_bytes=settings.max_body_bytes,
        max_in_flight=settings.max_in_flight,
    )
    sources = ServiceSources(
        validate, readiness, view, reviewer, certificate, clock, ledger.figures
    )
    scrape = Scrape(metrics.registry, sources)
    background: list[Work] = [
        *origin.background,
        *ledger.background,
        partial(keep_book, view, origin.versions, clock),
        partial(freeze_when_ready, readiness),
    ]
    if origin.versions is not None:
        background.append(partial(relist_laggards, ledger.lagging, origin.versions, clock))
    if isinstance(certificate, CertificateFiles):
        background.append(partial(follow_files, certificate))
    if policy_text is not None and settings.policy_file is not None:
        background.append(partial(follow_file, settings.policy_file, policy_text, policy))
    return Service(
        front=Front(admission_app(validate, readiness), drain, asyncio.get_running_loop().time),
        side=metrics_app(readiness, scrape.render),
        context=certificate.context,
        drain=drain,
        validate=validate,
        rejected=metrics.rejected,
        background=tuple(background),
        close=partial(_close, origin, ledger),
    )


async def _close(origin: Origin, ledger: OpenLedger) -> None:
    await origin.close()
    await ledger.close()


async def _ledger(settings: Settings, view: View) -> OpenLedger:
    if not settings.ledger_configmap or settings.snapshot is not None:
        return OpenLedger(LocalPromiser(view.ledger, time.monotonic))
    # Only here, so that serving over a file does not load the kubernetes client.
    from kube_headroom.server.shared_ledger import shared_ledger  # noqa: PLC0415

    return await shared_ledger(settings, view, time.monotonic)


def _source(settings: Settings) -> str:
    if settings.policy_file is not None:
        return str(settings.policy_file)
    if settings.snapshot is not None:
        return "the defaults"
    return f"ConfigMap {settings.namespace}/{settings.policy_configmap}"


def _first_policy(settings: Settings, policy: PolicyInForce) -> str | None:
    """Put the file's policy in force, and return its text; a bad one ends the start."""
    if settings.policy_file is None:
        if settings.snapshot is not None:
            policy.use(DEFAULT_POLICY)
        return None
    text = read_policy_file(settings.policy_file)
    if text is None:
        raise SettingsError((f"cannot read the policy file {settings.policy_file}",))
    policy.use(load_policy(text, source=str(settings.policy_file)))
    return text


async def _origin(
    settings: Settings, view: View, policy: PolicyInForce, certificate: Certificate
) -> Origin:
    if settings.snapshot is not None:
        return snapshot_origin(settings, view, time.monotonic())
    # Only here, so that serving over a file does not load the kubernetes client.
    from kube_headroom.server.cluster_origin import cluster_origin  # noqa: PLC0415

    own = certificate if isinstance(certificate, OwnCertificate) else None
    return await cluster_origin(settings, view, policy, own, time.monotonic)
