"""Roots: what belongs to one owner, and what a root still lacks beside the pods that live."""

from collections.abc import Iterator, Sequence

import msgspec

from kube_headroom.capacity.held import Holding
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.resources.placement import Placement


class Group(msgspec.Struct):
    """What belongs to one owner: its versions, its pods, its child workloads."""

    uid: str
    version: Version | None = None
    promises: dict[tuple[str, int], Promise] = msgspec.field(default_factory=dict)
    pods: set[str] = msgspec.field(default_factory=set)
    children: set[str] = msgspec.field(default_factory=set)
    parent: str = ""
    live: int = 0
    size: Load = NOTHING
    """What its live pods ask for, as they are."""
    gone_until: float = 0.0
    """Above zero once its controller's DELETE was seen: it is leaving, and until then its pods."""

    def versions(self) -> Iterator[Version]:
        """Yield what it asks for: as the view shows it, then as promised."""
        if self.version is not None:
            yield self.version
        for promise in self.promises.values():
            yield promise.version

    @property
    def desired(self) -> int:
        """The largest number of pods that any of its versions asks for."""
        if self.gone_until:
            return 0
        return max((version.count for version in self.versions()), default=0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it any more."""
        return not (self.version or self.promises or self.pods or self.children)


def missing(root: Group, below: Sequence[Group]) -> tuple[Holding, ...]:
    """Return what a root holds for pods that do not live yet, one Holding for each set of nodes.

    A root asks for the largest of its versions and at least for what its child workloads ask for
    (ledger-protocol L13); `below` are the root and its child workloads.
    """
    if root.gone_until:
        return ()
    result: dict[tuple[Placement, int], Holding] = {}
    for version in root.versions():
        unit, count, total = _lacking(version, root, below)
        if total == NOTHING:
            continue
        nodes = (version.placement, version.priority)
        coming = total if version is root.version else NOTHING
        known = result.get(nodes)
        if known is not None:
            unit, count = unit.maximum(known.unit), max(count, known.count)
            total, coming = total.maximum(known.total), known.coming
        result[nodes] = Holding(*nodes, unit, count, total, coming)
    return tuple(result.values())


def _lacking(version: Version, root: Group, below: Sequence[Group]) -> tuple[Load, int, Load]:
    """Return the size and number of the pods to come, and all that they need.

    While pods of another template live, the largest of their templates counts: a rollback stays
    possible, and a shrink frees its difference when it is done.
    """
    unit, live, wanted, current, old = version.unit, 0, version.count, 0, NOTHING
    children = 0
    for group in below:
        live += group.live
        if group is not root:
            children += group.desired
        if group.live:
            for other in group.versions():
                unit = unit.maximum(other.unit)
        if group.version is not None and group.version.unit == version.unit:
            current += group.live
        else:
            old = old.plus(group.size)
    count = max(0, max(wanted, children) - live)
    outgrown = version.unit.times(max(0, wanted - current)).minus(old)
    return unit, count, unit.times(count).maximum(outgrown).clamped()
