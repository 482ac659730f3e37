"""What has to happen from time to time although nobody asks: time passing, old promises, memory."""

import asyncio
import gc
from collections.abc import Callable
from typing import Protocol

from kube_headroom.capacity.rows import version_number
from kube_headroom.capacity.view import POLICY, View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.server.lifecycle import Readiness

UPKEEP_SECONDS = 3.0
LAG_SECONDS = 10.0
READY_LOOK_SECONDS = 0.2


class Versions(Protocol):
    """Whoever follows the cluster, asked how far it is and told to go further."""

    async def current_version(self, plural: str) -> str:
        """Ask the API server itself. Raises ClusterUnavailable."""
        ...

    def hurry(self, plural: str) -> None:
        """Show soon how far the watch is."""
        ...

    def relist(self, plural: str) -> None:
        """List anew: the watch is not believed."""
        ...


async def keep_book(view: View, versions: Versions | None, clock: Callable[[], float]) -> None:
    """Let time pass in the view, and question promises that are not seen (ledger rule L7)."""
    while True:
        await asyncio.sleep(UPKEEP_SECONDS)
        view.tick(clock())
        if versions is not None:
            await question_old_promises(view, versions, clock)


async def question_old_promises(view: View, versions: Versions, clock: Callable[[], float]) -> None:
    """Ask for the version that proves a promise failed, and drop what the view has passed."""
    now = clock()
    for resource in sorted(view.ledger.due(now)):
        try:
            version = await versions.current_version(resource)
        except ClusterUnavailable:
            continue  # no proof: the promise stands until the next look
        view.ledger.prove(resource, version_number(version), now)
    for resource, seen in view.resource_versions.items():
        view.ledger.expire(resource, seen)
        if view.ledger.unproven(resource, seen):
            versions.hurry(resource)  # a quiet type's next bookmark may be a minute away


async def relist_laggards(
    lagging: Callable[[], tuple[str, ...]], versions: Versions, clock: Callable[[], float]
) -> None:
    """List anew what stays behind the shared ledger: its watch is stuck (ledger rule L8)."""
    since: dict[str, float] = {}
    while True:
        await asyncio.sleep(UPKEEP_SECONDS)
        now = clock()
        since = {resource: since.get(resource, now) for resource in lagging()}
        for resource, first in since.items():
            if now - first >= LAG_SECONDS and resource != POLICY:
                versions.relist(resource)
                since[resource] = now


async def freeze_when_ready(readiness: Readiness) -> None:
    """Take what the first sync made out of the collector's sight: full collections stay short."""
    while not readiness.ready:  # noqa: ASYNC110 - readiness is asked, it tells nobody
        await asyncio.sleep(READY_LOOK_SECONDS)
    gc.collect()
    gc.freeze()
