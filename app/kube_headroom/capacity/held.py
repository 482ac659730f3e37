"""What is held for pods that sit on no node yet: unassigned, missing and promised ones.

Each holder (a root, or a pod) has one Holding, or a few while versions of it are promised side by
side; then the largest of those that count is what it holds. While its pods move to other nodes or to
another priority, what it holds depends on where one looks. All other holdings of the same placement,
priority and pod size are summed, so a set of nodes is judged in the number of different sizes that
are waiting, not in the number of holders.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, Protocol

import msgspec

from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.resources.placement import Placement


class Replaced(msgspec.Struct, frozen=True, gc=False):
    """Live pods whose room, where they have it, passes to the pods that a holding is for."""

    placement: Placement
    priority: int
    load: Load


class Holding(msgspec.Struct, frozen=True, gc=False):
    """Room held for `count` pods of size `unit`; `coming` is what the view shows of `total`.

    `total` may be more than count x unit, for pods that take the place of others: where those that
    it names in `replaces` are, it is so much less.
    """

    placement: Placement
    priority: int
    unit: Load
    count: int
    total: Load
    coming: Load
    replaces: tuple[Replaced, ...] = ()

    @property
    def promised(self) -> Load:
        """The part that only the ledger knows of."""
        return self.total.minus(self.coming)

    def where(self, frees: "Frees") -> "Holding":
        """Return this holding as it is where these replaced pods are, and no others."""
        freed = NOTHING
        for each in self.replaces:
            if frees(each):
                freed = freed.plus(each.load)
        least = self.unit.times(self.count)
        total = self.total.minus(freed).maximum(least)
        coming = self.coming.minus(freed).maximum(least) if self.coming != NOTHING else NOTHING
        return msgspec.structs.replace(self, total=total, coming=coming, replaces=())


class Held(msgspec.Struct, frozen=True, gc=False):
    """A sum of holdings: what the view shows, and what is promised beyond it."""

    coming: Load = NOTHING
    promised: Load = NOTHING

    @property
    def total(self) -> Load:
        """All of it."""
        return self.coming.plus(self.promised)


MAX_TALLIES: Final = 256  # each costs one addition a change; the oldest goes first
Key = tuple[Placement, int, Load]
Counts = Callable[[Holding], bool]
Frees = Callable[[Replaced], bool]


def _everywhere(_: Replaced) -> bool:
    return True


class Question(Protocol):
    """Which holdings count; in headroom.py a set of nodes, as pods of one priority see it."""

    @property
    def key(self) -> Hashable:
        """What tells it from others."""
        ...

    @property
    def generation(self) -> int:
        """Changes when holdings that did not count may count, or the other way round."""
        ...

    def counts(self, holding: Holding) -> bool:
        """Tell whether a holding counts."""
        ...

    def frees(self, replaced: Replaced) -> bool:
        """Tell whether pods that are replaced are here."""
        ...


class Tally(msgspec.Struct, gc=False):
    """What the holdings that count for one question come to, and their pods."""

    coming: Load = NOTHING
    promised: Load = NOTHING
    pods: int = 0

    @property
    def total(self) -> Load:
        """All of it."""
        return self.coming.plus(self.promised)

    def add(self, part: Holding) -> None:
        """Count one more."""
        self.coming = self.coming.plus(part.coming)
        self.promised = self.promised.plus(part.promised)
        self.pods += part.count


class Register:
    """All holdings by holder."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[Holding, ...]] = {}
        self._sums: dict[Key, Holding] = {}
        self._plural: dict[str, tuple[Holding, ...]] = {}
        self._placements: dict[Placement, int] = {}
        self._tallies: dict[Hashable, tuple[Question, Tally]] = {}
        self._generation = 0
        self.epoch = 0
        """Changes with the placements, and when a tally handed out is not kept up to date any more."""

    @property
    def placements(self) -> Iterable[Placement]:
        """Where anything is held; each once."""
        return self._placements

    def of(self, holder: str) -> tuple[Holding, ...]:
        """Return what one holder holds."""
        return self._holders.get(holder, ())

    def set(self, holder: str, holdings: tuple[Holding, ...]) -> None:
        """Replace what a holder holds; nothing means that it holds nothing."""
        before = self._holders.get(holder, ())
        if before == holdings:
            return
        if before and holder not in self._plural:
            self._sum(before[0], -1)
        for each in self._plural.pop(holder, ()):
            self._count_placement(each.placement, -1)
        if not holdings:
            self._holders.pop(holder, None)
            return
        self._holders[holder] = holdings
        if len(holdings) == 1 and not holdings[0].replaces:
            self._sum(holdings[0], 1)
        else:
            self._plural[holder] = holdings
            for each in holdings:
                self._count_placement(each.placement, 1)

    def tally(self, question: Question) -> Tally:
        """Return what counts, as `within` does, in sums.

        It is kept up to date until the epoch changes; holdings that cannot be summed are not in it.
        """
        if question.generation != self._generation:
            self._generation = question.generation
            self._tallies.clear()
            self.epoch += 1
        known = self._tallies.get(question.key)
        return known[1] if known is not None else self._new_tally(question)

    def completed(self, tally: Tally, question: Question) -> Tally:
        """Return a tally with the holdings that cannot be summed; to be read at once."""
        if not self._plural:
            return tally
        tally = msgspec.structs.replace(tally)
        for holdings in self._plural.values():
            most = largest(holdings, question.counts, question.frees)
            if most is not None:
                tally.add(most)
        return tally

    def _new_tally(self, question: Question) -> Tally:
        if len(self._tallies) >= MAX_TALLIES:
            del self._tallies[next(iter(self._tallies))]
            self.epoch += 1
        tally = Tally()
        for part in self._sums.values():
            if question.counts(part):
                tally.add(part)
        self._tallies[question.key] = (question, tally)
        return tally

    def within(self, counts: Counts, frees: Frees = _everywhere) -> Held:
        """Return the sum of all holdings that count, each holder once."""
        return held(self._counted(counts, frees))

    def pods_at_least(self, unit: Load, counts: Counts) -> int:
        """Return how many pods that count are no smaller in any requested resource."""
        pods = sum(pods_of((one,), unit, counts) for one in self._sums.values())
        return pods + sum(pods_of(each, unit, counts) for each in self._plural.values())

    def __iter__(self) -> Iterator[Holding]:
        """Yield the sums, and the holdings that are not summed."""
        yield from self._sums.values()
        for holdings in self._plural.values():
            yield from holdings

    def __len__(self) -> int:
        """Return how many hold something."""
        return len(self._holders)

    def _counted(self, counts: Counts, frees: Frees) -> Iterator[Holding]:
        for part in self._sums.values():
            if counts(part):
                yield part
        for holdings in self._plural.values():
            most = largest(holdings, counts, frees)
            if most is not None:
                yield most

    def _sum(self, holding: Holding, sign: int) -> None:
        key = (holding.placement, holding.priority, holding.unit)
        change = holding if sign > 0 else _negative(holding)
        for question, tally in self._tallies.values():
            if question.counts(holding):
                tally.add(change)
        present = self._sums.get(key)
        if present is None:
            self._sums[key] = change
            self._count_placement(holding.placement, 1)
            return
        count = present.count + change.count
        total, coming = present.total.plus(change.total), present.coming.plus(change.coming)
        if count == 0 and total == NOTHING and coming == NOTHING:
            del self._sums[key]
            self._count_placement(holding.placement, -1)
        else:
            self._sums[key] = Holding(*key, count, total, coming)

    def _count_placement(self, placement: Placement, change: int) -> None:
        before = self._placements.get(placement, 0)
        if before + change:
            self._placements[placement] = before + change
        else:
            del self._placements[placement]
        if not before or not before + change:
            self.epoch += 1


def _negative(holding: Holding) -> Holding:
    return msgspec.structs.replace(
        holding,
        count=-holding.count,
        total=NOTHING.minus(holding.total),
        coming=NOTHING.minus(holding.coming),
    )


def held(holdings: Iterable[Holding]) -> Held:
    """Return the sum of holdings."""
    coming, promised = NOTHING, NOTHING
    for each in holdings:
        coming = coming.plus(each.coming)
        promised = promised.plus(each.promised)
    return Held(coming, promised)


def largest(
    holdings: tuple[Holding, ...], counts: Counts, frees: Frees = _everywhere
) -> Holding | None:
    """Return the largest of one holder's holdings that count, resource by resource."""
    result: Holding | None = None
    for holding in holdings:
        if not counts(holding):
            continue
        each = holding.where(frees) if holding.replaces else holding
        if result is None:
            result = each
        else:
            result = Holding(
                placement=each.placement,
                priority=max(result.priority, each.priority),
                unit=result.unit.maximum(each.unit),
                count=max(result.count, each.count),
                total=result.total.maximum(each.total),
                coming=result.coming.maximum(each.coming),
            )
    return result


def pods_of(holdings: tuple[Holding, ...], unit: Load, counts: Counts) -> int:
    """Return how many pods one holder waits for that are no smaller than the unit.

    Not to be read off the largest: so many of one version are not so large as those of another.
    """
    pods = (
        holding.count
        for holding in holdings
        if not unit.requests.exceeding(holding.unit.requests) and counts(holding)
    )
    return max(pods, default=0)
