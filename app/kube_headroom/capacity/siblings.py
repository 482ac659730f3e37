"""Siblings: known workloads of one owner of an unknown kind, such as the ReplicaSets of a canary.

They are one root: while one grows and another shrinks, what they ask for together counts. Nothing
says how many pods the owner wants, so together means: as they are, and no more.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from kube_headroom.capacity.held import Holding
from kube_headroom.capacity.load import NOTHING
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.roots import Group, is_in_place, missing

_WHOLE: Final = 10_000
_NONE: Final = (0, NOTHING)


def pools(siblings: Iterable[Group]) -> list[list[Group]]:
    """Return which siblings count together: those whose pods may stand in for each other's.

    Others, as those that move to other nodes or replace their own pods, count alone.
    """
    result: dict[object, list[Group]] = {}
    for group in siblings:
        kinds = {(version.placement, version.priority) for version in group.versions()}
        alone = group.gone_until or group.children or len(kinds) != 1 or not _is_settled(group)
        result.setdefault(group.uid if alone else kinds.pop(), []).append(group)
    return [sorted(pool, key=lambda group: group.uid) for pool in result.values()]


def _is_settled(group: Group) -> bool:
    return all(
        is_in_place(version, group, group, size, priority)
        for version in group.versions()
        for size, priority in group.sizes
    )


def pooled(pool: Sequence[Group]) -> tuple[Holding, ...]:
    """Return what siblings lack together: as the view shows them, and with what is promised."""
    if len(pool) == 1:
        return missing(pool[0], pool)
    holdings = [_lacking(pool, shown=True)]
    if any(group.promises for group in pool):
        holdings.append(_lacking(pool, shown=False))
    return tuple(holding for holding in holdings if holding.total != NOTHING)


def still_to_come(pool: Sequence[Group]) -> int:
    """Return how many pods siblings lack together."""
    return max(0, sum(group.desired - group.live for group in pool))


def _lacking(pool: Sequence[Group], *, shown: bool) -> Holding:
    """Return what they lack as the view shows them, or with what is promised."""
    unit, count, total = NOTHING, 0, NOTHING
    for group in pool:
        desired, size = group.desired, group.unit
        if shown:
            desired, size = (group.version.count, group.version.unit) if group.version else _NONE
        count += desired - group.live
        total = total.plus(size.times(desired - group.live))
        if desired > group.live:
            unit = unit.maximum(size)
    count = max(0, count)
    total = total.maximum(unit.times(count)).clamped()
    version = next(pool[0].versions())
    coming = total if shown else NOTHING
    return Holding(version.placement, version.priority, unit, count, total, coming)


def is_surge(promise: Promise, siblings: Iterable[Group], basis_points: int) -> bool:
    """Tell whether a ReplicaSet stays within what siblings beside the largest may have together.

    As a Deployment's maxSurge it is a share of the largest, rounded up.
    """
    others = [group for group in siblings if group.uid != promise.uid]
    largest = max(others, key=lambda group: group.desired, default=None)
    count = promise.version.count
    if largest is None or count >= largest.desired or promise.version.unit.exceeds(largest.unit):
        return False
    beside = count + sum(group.desired for group in others) - largest.desired
    return beside <= -(-largest.desired * basis_points // _WHOLE)
