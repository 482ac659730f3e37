"""A real cluster as origin: its objects, its policy ConfigMap, and our place in its webhooks.

The only module of the server that leads to the kubernetes client, so that serving over a snapshot
does not load it.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from kube_headroom.capacity.view import RESOURCES as VIEWED
from kube_headroom.capacity.view import View
from kube_headroom.cluster.api_error import ApiError
from kube_headroom.cluster.ca_bundle import CaBundle
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.feed import Feed
from kube_headroom.cluster.listing import Lister
from kube_headroom.cluster.policy_source import PolicySource
from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.server.certificates import renew_own
from kube_headroom.server.comparison import Comparison, compare_on_demand
from kube_headroom.server.lifecycle import Condition
from kube_headroom.server.origin import Origin
from kube_headroom.server.policies import PolicyInForce
from kube_headroom.server.run import Work
from kube_headroom.server.settings import Settings
from kube_headroom.tls.own import OwnCertificate

FIRST_PUBLICATION_SECONDS = 1.0

_log = logging.getLogger("kube_headroom.certificates")


async def cluster_origin(
    settings: Settings,
    view: View,
    policy: PolicyInForce,
    own: OwnCertificate | None,
    clock: Callable[[], float],
) -> Origin:
    """Connect and prepare to follow; nothing is sent before the tasks run."""
    client = await Client.connect(settings.kubeconfig or None, settings.context or None)
    feed = Feed(client, view, [RESOURCES[plural] for plural in VIEWED], clock=clock)
    comparison = Comparison(view, Lister(client), feed, clock)
    background: list[Work] = [
        partial(follow, feed),
        partial(compare_on_demand, comparison, settings.compare_seconds),
    ]
    conditions = [Condition("watches", lambda: _not_current(view, feed, clock()))]
    if settings.policy_file is None:
        source = PolicySource(
            client,
            settings.namespace,
            settings.policy_configmap,
            policy.on_text,
            on_version=view.note_policy,
            clock=clock,
        )
        background.append(source.run)
    if own is not None and settings.webhook_configuration:
        keeper = CaBundle(client, settings.webhook_configuration, lambda: own.bundle, clock=clock)
        publication = Publication(keeper)
        conditions.append(Condition("caBundle", lambda: publication.missing))
        background += [publication.run, partial(renew_own, own, keeper.changed)]

    return Origin(
        conditions=tuple(conditions),
        background=tuple(background),
        close=client.close,
        versions=feed,
    )


async def follow(feed: Feed) -> None:
    """Run the feed for as long as this task lives."""
    feed.start()
    try:
        await asyncio.Event().wait()
    finally:
        await feed.stop()


class Publication:
    """Writes our authority into the webhook configuration, once before we are ready, then on."""

    def __init__(self, keeper: CaBundle) -> None:
        self.missing: str | None = "the authority is not in the webhook configuration yet"
        self._keeper = keeper

    async def run(self) -> None:
        """Publish, then keep it so for ever."""
        while self.missing is not None:
            try:
                await self._keeper.heal()
                self.missing = None
            except ClusterUnavailable as error:
                # Without a configuration nobody calls us; where one comes, it is healed in time.
                absent = isinstance(error, ApiError) and error.status == 404
                self.missing = None if absent else f"caBundle: {error}"
                _log.warning("caBundle: %s", error)
                await asyncio.sleep(FIRST_PUBLICATION_SECONDS)
        await self._keeper.run()


def _not_current(view: View, feed: Feed, now: float) -> str | None:
    stale = view.stale(now)
    if not stale:
        return None
    faults = feed.faults()
    return "not current: " + ", ".join(
        f"{plural} ({faults[plural]})" if plural in faults else plural for plural in stale
    )
