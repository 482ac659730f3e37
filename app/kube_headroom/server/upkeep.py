"""What has to happen from time to time although nobody asks: time passing, old promises, memory."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

from kube_headroom.capacity.rows import version_number
from kube_headroom.capacity.view import View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.server.lifecycle import Readiness

UPKEEP_SECONDS = 5.0
READY_LOOK_SECONDS = 0.2

CurrentVersion = Callable[[str], Awaitable[str]]


async def keep_book(
    view: View, current_version: CurrentVersion | None, clock: Callable[[], float]
) -> None:
    """Let time pass in the view, and question promises that are not seen (ledger rule L7)."""
    while True:
        await asyncio.sleep(UPKEEP_SECONDS)
        view.tick(clock())
        if current_version is not None:
            await question_old_promises(view, current_version, clock)


async def question_old_promises(
    view: View, current_version: CurrentVersion, clock: Callable[[], float]
) -> None:
    """Ask for the version that proves a promise failed, and drop what the view has passed."""
    now = clock()
    for resource in sorted(view.ledger.due(now)):
        try:
            version = await current_version(resource)
        except ClusterUnavailable:
            continue  # no proof: the promise stands until the next look
        view.ledger.prove(resource, version_number(version), now)
    for resource, seen in view.resource_versions.items():
        view.ledger.expire(resource, seen)


async def freeze_when_ready(readiness: Readiness) -> None:
    """Take what the first sync made out of the collector's sight: full collections stay short."""
    while not readiness.ready:  # noqa: ASYNC110 - readiness is asked, it tells nobody
        await asyncio.sleep(READY_LOOK_SECONDS)
    gc.collect()
    gc.freeze()
