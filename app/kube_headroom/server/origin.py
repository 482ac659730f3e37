"""Where the view comes from, as far as the server must know: what it lacks, runs and closes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kube_headroom.admission.ledger_access import Figures
from kube_headroom.admission.promiser import Promiser
from kube_headroom.capacity.view import RESOURCES as VIEWED
from kube_headroom.capacity.view import View
from kube_headroom.cluster.snapshot import fill_view, load_snapshot
from kube_headroom.server.lifecycle import Condition
from kube_headroom.server.run import Work
from kube_headroom.server.settings import Settings
from kube_headroom.server.upkeep import Versions


@dataclass(frozen=True, slots=True)
class Origin:
    """A cluster, or a file in its place."""

    conditions: tuple[Condition, ...]
    background: tuple[Work, ...]
    close: Callable[[], Awaitable[None]]
    versions: Versions | None
    """How far the view's types are; None where nothing ever changes."""


async def _nothing() -> None:
    """A file, and memory, need no closing."""


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """Where promises are kept; in memory nothing has to run beside it."""

    promiser: Promiser
    lagging: Callable[[], tuple[str, ...]] = tuple
    """In what the view is behind the promises of others."""
    figures: Figures | None = None
    conditions: tuple[Condition, ...] = ()
    background: tuple[Work, ...] = ()
    close: Callable[[], Awaitable[None]] = _nothing


def snapshot_origin(settings: Settings, view: View, now: float) -> Origin:
    """Fill the view from a file, once."""
    assert settings.snapshot is not None
    fill_view(view, load_snapshot(settings.snapshot), now=now, resources=VIEWED)
    return Origin(conditions=(), background=(), close=_nothing, versions=None)
