"""What is held for pods that sit on no node yet: unassigned, missing and promised ones.

Each holder (a root, or a pod) has one Holding, or a few when versions of it with different eligible
nodes or priorities are promised side by side; then the largest of those that count is what it holds.
Holdings of the same placement, priority and pod size are summed, so a set of nodes is judged in the
number of different sizes that are waiting, not in the number of holders.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.resources.placement import Placement


class Holding(msgspec.Struct, frozen=True, gc=False):
    """Room held for `count` pods of size `unit`; `coming` is what the view shows of `total`."""

    placement: Placement
    priority: int
    unit: Load
    count: int
    total: Load
    coming: Load

    @property
    def promised(self) -> Load:
        """The part that only the ledger knows of."""
        return self.total.minus(self.coming)


class Held(msgspec.Struct, frozen=True, gc=False):
    """A sum of holdings: what the view shows, and what is promised beyond it."""

    coming: Load = NOTHING
    promised: Load = NOTHING

    @property
    def total(self) -> Load:
        """All of it."""
        return self.coming.plus(self.promised)


Key = tuple[Placement, int, Load]
Counts = Callable[[Holding], bool]
NONE: Final = Held()


class Register:
    """All holdings by holder."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[Holding, ...]] = {}
        self._sums: dict[Key, Holding] = {}
        self._plural: dict[str, tuple[Holding, ...]] = {}

    def of(self, holder: str) -> tuple[Holding, ...]:
        """Return what one holder holds."""
        return self._holders.get(holder, ())

    def set(self, holder: str, holdings: tuple[Holding, ...]) -> None:
        """Replace what a holder holds; nothing means that it holds nothing."""
        before = self._holders.get(holder, ())
        if before == holdings:
            return
        if len(before) == 1:
            self._sum(before[0], -1)
        self._plural.pop(holder, None)
        if not holdings:
            self._holders.pop(holder, None)
            return
        self._holders[holder] = holdings
        if len(holdings) == 1:
            self._sum(holdings[0], 1)
        else:
            self._plural[holder] = holdings

    def within(self, counts: Counts) -> Held:
        """Return the sum of all holdings that count, each holder once."""
        coming, promised = NOTHING, NOTHING
        for part in self._counted(counts):
            coming = coming.plus(part.coming)
            promised = promised.plus(part.promised)
        return Held(coming, promised)

    def pods_at_least(self, unit: Load, counts: Counts) -> int:
        """Return how many pods that count are no smaller in any requested resource."""
        return sum(
            part.count
            for part in self._counted(counts)
            if not unit.requests.exceeding(part.unit.requests)
        )

    def __iter__(self) -> Iterator[Holding]:
        """Yield the sums, and the holdings of those that hold more than one."""
        yield from self._sums.values()
        for holdings in self._plural.values():
            yield from holdings

    def __len__(self) -> int:
        """Return how many hold something."""
        return len(self._holders)

    def _counted(self, counts: Counts) -> Iterator[Holding]:
        for part in self._sums.values():
            if counts(part):
                yield part
        for holdings in self._plural.values():
            most = largest(holdings, counts)
            if most is not None:
                yield most

    def _sum(self, holding: Holding, sign: int) -> None:
        key = (holding.placement, holding.priority, holding.unit)
        present = self._sums.get(key)
        count = holding.count * sign + (present.count if present else 0)
        total = holding.total.times(sign).plus(present.total if present else NOTHING)
        coming = holding.coming.times(sign).plus(present.coming if present else NOTHING)
        if count == 0 and total == NOTHING and coming == NOTHING:
            self._sums.pop(key, None)
        else:
            self._sums[key] = Holding(*key, count, total, coming)


def largest(holdings: tuple[Holding, ...], counts: Counts) -> Holding | None:
    """Return the largest of one holder's holdings that count, resource by resource."""
    result: Holding | None = None
    for holding in holdings:
        if not counts(holding):
            continue
        if result is None:
            result = holding
        else:
            result = Holding(
                placement=holding.placement,
                priority=max(result.priority, holding.priority),
                unit=result.unit.maximum(holding.unit),
                count=max(result.count, holding.count),
                total=result.total.maximum(holding.total),
                coming=result.coming.maximum(holding.coming),
            )
    return result
