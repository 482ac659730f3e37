"""Pods: one row for each of the view, and what a promise of a pod holds beside it."""

from typing import Final

import msgspec

from kube_headroom.capacity.held import Holding
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.promise import UNKNOWN, Promise
from kube_headroom.resources.placement import Placement
from kube_headroom.resources.selector import Tags

LEAVING_MAX_GRACE_SECONDS: Final = 120
"""A terminating pod with a longer grace holds its node until it is gone."""
LEAVING_MARGIN_SECONDS: Final = 30

ON_NODE: Final = 1
LIVE: Final = 2
NEVER: Final = float("inf")


class PodRow(msgspec.Struct, gc=False):
    """One pod of the view that is not finished."""

    uid: str
    owner: str
    """uid of its controller, marked if that is of an unknown kind; empty without one."""
    node: str
    load: Load
    priority: int
    placement: Placement
    replaced: bool
    """Whether its controller makes another when its node is lost (a DaemonSet does not)."""
    leaving_until: float = 0.0
    weightless_at: float = NEVER
    """From when on it holds nothing: gated, or unschedulable for longer than policy waits."""
    counted: int = 0
    """As what it is counted now: ON_NODE, LIVE, both or neither."""
    size: Load = NOTHING
    """The load that it is counted with."""
    tags: Tags | None = None
    """Its labels, where it has no controller, or one whose selector is not known yet."""
    let_go: bool = False
    """Whether its labels say that its controller lets go of it."""
    group: str = ""
    """uid of the workload that it is counted under: its controller, or one that will take it."""

    @property
    def is_controlled(self) -> bool:
        """Whether its controller is of a kind that we know."""
        return self.owner != "" and not self.owner.startswith(UNKNOWN)

    @property
    def strays_from(self) -> str:
        """The controller that lets go of it, or may, as its selector is not known yet."""
        return self.owner if self.tags is not None and self.is_controlled else ""


def promised_pod(promise: Promise, row: PodRow | None) -> Holding:
    """Return what a promised pod holds: all of it, or on its node what it is to grow by.

    The row may be of another pod of the same name: while that one is there, this one is not yet.
    A pod that is taken from its controller stays as it is; the controller's lack of it counts. Where
    that is not in the book, of a DaemonSet or an owner of which nothing is known, the next is held here.
    """
    version = promise.version
    unit, count = version.unit, version.count
    if row is not None and row.is_controlled and promise.lets_go and row.counted:
        count = 0 if row.replaced and not version.owner else count
        total = unit.times(count)
        return Holding(version.placement, version.priority, unit, count, total, NOTHING)
    if row is not None and not row.counted:  # leaving
        count = 0 if promise.uid == row.uid else count
        row = None
    if row is not None and row.node:
        unit, count = unit.minus(row.load).clamped(), 0
    elif row is not None and row.size != NOTHING:
        count = 1  # it waits already; its controller, if any, has been charged for it
    total = unit if count or (row is not None and row.node) else NOTHING
    return Holding(version.placement, version.priority, unit, count, total, NOTHING)
