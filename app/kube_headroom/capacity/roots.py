"""Roots: what belongs to one owner, and what a root still lacks beside the pods that live."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kube_headroom.capacity.held import Holding, Replaced
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.promise import UNKNOWN, Promise, Version
from kube_headroom.resources.placement import Placement
from kube_headroom.resources.selector import Selector, Tags


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What the view shows of a workload beside what it asks for."""

    selector: Selector | None = None
    """By what it takes others for its own; None while it is deleted."""
    tags: Tags | None = None
    """By what others take it, if nobody controls it."""
    orphans: bool = False
    """Whether it is being deleted with --cascade=orphan: what is under it will stay."""
    keeps_old: bool = False
    """Whether it makes some pods anew as they were, whatever its template says now."""


UNSEEN: Final = Shown()


class Group(msgspec.Struct):
    """What belongs to one owner: its versions, its pods, its child workloads."""

    uid: str
    version: Version | None = None
    promises: dict[Promise, int] = msgspec.field(default_factory=dict)
    """How often each is laid: one that is tried may be open already."""
    pods: set[str] = msgspec.field(default_factory=set)
    strays: set[str] = msgspec.field(default_factory=set)
    """Pods that name it, and that it lets go of; or all, while its selector is not known."""
    children: set[str] = msgspec.field(default_factory=set)
    parent: str = ""
    live: int = 0
    sizes: dict[tuple[Load, int], int] = msgspec.field(default_factory=dict)
    """How many of its live pods have which load and priority."""
    gone_until: float = 0.0
    """Above zero once its controller's DELETE was seen: it is leaving, and until then its pods."""
    selector: Selector | None = None
    """What it takes for its own, as the view shows it or as a promise of it says."""
    shown: Shown = UNSEEN

    def versions(self) -> Iterator[Version]:
        """Yield what it asks for: as the view shows it, then as promised.

        Of one that is gone nothing is left but a retried create of its name under another uid.
        """
        if self.version is not None:
            yield self.version
        for promise in self.promises:
            if not self.gone_until or promise.uid != self.uid:
                yield promise.version

    @property
    def owner(self) -> str:
        """The uid of its controller, as it is shown or else as it was first promised."""
        if self.version is not None:
            return self.version.owner
        own = [promise.version.owner for promise in self.promises if promise.uid == self.uid]
        return own[0] if own and not self.gone_until else ""

    @property
    def desired(self) -> int:
        """The largest number of pods that any of its versions asks for; none once it is gone."""
        if self.gone_until:
            return 0
        return max((version.count for version in self.versions()), default=0)

    @property
    def unit(self) -> Load:
        """The largest pod that any of its versions asks for."""
        unit = NOTHING
        for version in self.versions():
            unit = unit.maximum(version.unit)
        return unit

    @property
    def covers(self) -> Selector | None:
        """What a promise says that it takes, while the view does not show it."""
        return next((promise.covers for promise in self.promises if promise.covers), None)

    @property
    def is_unknown(self) -> bool:
        """Whether it is an owner of a kind that we do not know."""
        return self.uid.startswith(UNKNOWN)

    @property
    def leads(self) -> bool:
        """Whether it speaks for its child workloads; if it asks for no pods, each is its own root."""
        return self.gone_until > 0.0 or self.desired > 0 or self.is_unknown

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it any more."""
        known = self.version or self.promises or self.pods or self.children or self.strays
        return not known

    def count_pod(self, size: Load, priority: int, change: int) -> None:
        """Count a live pod, or one that is live no more."""
        self.live += change
        count = self.sizes.get((size, priority), 0) + change
        if count:
            self.sizes[(size, priority)] = count
        else:
            del self.sizes[(size, priority)]


def is_in_place(
    version: Version, root: Group | None, group: Group, size: Load, priority: int
) -> bool:
    """Tell whether a live pod of a group is one of those that a version of its root asks for.

    A child workload's pods are of its template, whatever was added to them on the way. A root's own
    pods may be of an earlier template: they are in place if they are no smaller than the present one.
    A pod that weighs nothing is never in the way of its like.
    """
    if size == NOTHING:
        return True
    if priority != version.priority:
        return False
    if group is root:
        return not version.unit.exceeds(size)
    own = group.version
    return own is not None and (own.unit, own.placement) == (version.unit, version.placement)


def missing(root: Group, below: Sequence[Group]) -> tuple[Holding, ...]:
    """Return what a root holds for pods that do not live yet, one Holding for each of its versions.

    A root asks for the largest of its versions and at least for what its child workloads ask for
    (ledger-protocol L13); `below` are the root and its child workloads. Of a root that is gone
    nothing counts as there already.
    """
    below = () if root.gone_until else below
    holdings = (_lacking(version, root, below) for version in root.versions())
    return tuple(holding for holding in holdings if holding.total != NOTHING)


def _lacking(version: Version, root: Group, below: Sequence[Group]) -> Holding:
    """Return what is to come if the root is as this version asks for it.

    The largest of: so many pods as the root has too few, at the largest of the templates that still
    have pods (a rollback stays possible, and a shrink frees its difference when it is done); this
    version's pods that are not in place, less those whose place they take; and what its child
    workloads lack, each at its own size.
    """
    unit, live, desired, children = version.unit, 0, 0, NOTHING
    for group in below:
        live += group.live
        if group is not root:
            desired += group.desired
            children = children.plus(group.unit.times(group.desired - group.live))
            if group.live:
                unit = unit.maximum(group.unit)
        elif root.shown.keeps_old:
            for size, _ in root.sizes:
                unit = unit.maximum(size)
    count = max(0, max(version.count, desired) - live)
    renewed = renewal(version, root, below)
    total = unit.times(count).maximum(renewed.total).maximum(children).clamped()
    return msgspec.structs.replace(
        renewed,
        unit=unit,
        count=count,
        total=total,
        coming=total if version is root.version else NOTHING,
        replaces=renewed.replaces if total != unit.times(count) else (),
    )


def renewal(version: Version, root: Group, below: Sequence[Group]) -> Holding:
    """Return what a version needs beside what its pods in place have, less what it replaces.

    It may be below zero: then the root will free so much.
    """
    in_place, freed = 0, NOTHING
    elsewhere: dict[tuple[Placement, int], Load] = {}
    for group in below:
        placement = group.version.placement if group.version else version.placement
        for (size, priority), count in group.sizes.items():
            if is_in_place(version, root, group, size, priority):
                in_place += count
            elif (placement, priority) == (version.placement, version.priority):
                freed = freed.plus(size.times(count))
            else:
                nodes = (placement, priority)
                elsewhere[nodes] = elsewhere.get(nodes, NOTHING).plus(size.times(count))
    return Holding(
        placement=version.placement,
        priority=version.priority,
        unit=version.unit,
        count=0,
        total=version.unit.times(max(0, version.count - in_place)).minus(freed),
        coming=NOTHING,
        replaces=tuple(Replaced(*nodes, load) for nodes, load in elsewhere.items()),
    )
