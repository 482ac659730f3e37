"""Headroom: would the book, with this request in it, stay within the limit?

Two necessary conditions, nothing heuristic: the sum over every set of nodes that contains the
eligible ones, and the fit of whole pods into single nodes. Each failure is a value that carries its
figures; words come later.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.held import Holding, Replaced, Tally, largest, pods_of
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.node import EVERYTHING, Lens, Nodes
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import TOO_LARGE, TOO_MANY, Action, Rule, Rules
from kube_headroom.resources.amounts import NAMES, ZERO, Amounts
from kube_headroom.resources.placement import why_not

Holders = tuple[tuple[Holding, ...], ...]
"""What several holders hold, each its holdings."""


class Shortfall(msgspec.Struct, frozen=True):
    """One condition that fails, with figures in the units of Amounts.

    A sum: need > room, and room = free - reserve - coming - promised over `nodes` nodes.
    A fit (HR207, HR208): `need` whole pods are to come, `room` of them fit; `unit` is one's size.
    """

    code: str
    action: Action
    resource: str
    basis: str
    need: int
    room: int
    unit: int
    nodes: int
    free: int = 0
    reserve: int = 0
    coming: int = 0
    promised: int = 0
    eligible_only: bool = True
    """Whether these are the pod's eligible nodes, or a wider set that contains them."""
    pods: int = 0
    """How many pods of this size the request adds; 0 where pods that exist would grow."""
    at_most: int = 0
    """How many pods, in all, the request could have asked for."""
    largest: int = 0
    """The most of the resource that is free on one node; for HR207 the largest node's size."""
    why: tuple[tuple[str, int], ...] = ()
    """Where no node is eligible: the reasons, and how many nodes each keeps out."""


class Region(msgspec.Struct, frozen=True):
    """A set of nodes as pods of one priority and above see it."""

    nodes: Nodes
    bits: int
    threshold: int

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from others."""
        return (self.bits, self.threshold)

    @property
    def generation(self) -> int:
        """Changes with the nodes."""
        return self.nodes.generation

    def counts(self, holding: Holding) -> bool:
        """Tell whether a holding can only land here, and can land at all."""
        if holding.priority < self.threshold:
            return False
        if self.nodes.eligible(holding.placement) & ~self.bits:
            return False
        return self.nodes.can_hold(holding.placement, holding.unit)

    def frees(self, replaced: Replaced) -> bool:
        """Tell whether pods that are replaced may be here, and count.

        They are where they were eligible, or anywhere if no node would have them now.
        """
        if replaced.priority < self.threshold:
            return False
        eligible = self.nodes.eligible(replaced.placement)
        return eligible == 0 or eligible & self.bits != 0


class _Scene(msgspec.Struct, frozen=True):
    """A region as it is before the request."""

    region: Region
    lens: Lens
    held: Tally
    everywhere: bool
    spare: Amounts

    def total(self, holders: Holders) -> Load:
        """Return what these hold here."""
        result = NOTHING
        for holdings in holders:
            most = largest(holdings, self.region.counts, self.region.frees)
            if most is not None:
                result = most.total if result is NOTHING else result.plus(most.total)
        return result

    def renewed(self, own: Holding) -> Load:
        """Return what a root needs here to become what it asks for; below zero, what it frees."""
        result = own.total if self.region.counts(own) else NOTHING
        for each in own.replaces:
            if self.region.frees(each):
                result = result.minus(each.load)
        return result


def shortfalls(book: Book, promise: Promise, rules: Rules) -> tuple[Shortfall, ...]:
    """Return every condition that the book with this promise in it would break.

    The book is left as it was. Where several sets of nodes are short, the tightest is returned.
    """
    if promise.version.priority < rules.ignore_priority_below:
        return ()
    book.nodes.set_maximums(rules.maximums)
    judge = Judge(book, promise, rules)
    if not judge.asks():
        return ()
    if not book.nodes.can_hold(promise.version.placement, promise.version.unit):
        return judge.too_large()
    found = [*judge.sums(promise.version.count).values()]
    misfit = judge.misfit()
    if misfit is not None:
        found.append(misfit)
    if not found:
        return ()
    at_most = judge.at_most(found)
    return tuple(
        msgspec.structs.replace(
            each,
            action="warn" if rules.elastic else each.action,
            at_most=at_most,
            largest=judge.largest(each.resource),
        )
        for each in found
    )


class Judge:
    """One request before one book."""

    def __init__(self, book: Book, promise: Promise, rules: Rules) -> None:
        self._book, self._promise, self._rules = book, promise, rules
        version = promise.version
        self._unit = version.unit
        # Placeholders of a lower priority than policy counts are in nobody's way.
        in_the_way = version.priority if version.preempts else EVERYTHING
        self._threshold = max(in_the_way, rules.ignore_priority_below)
        self._eligible = book.nodes.eligible(version.placement)
        self._everywhere = self._eligible | book.nodes.available
        self._before, self._asked = book.holdings(promise), book.asked(promise)
        self._scenes = tuple(self._scene(bits) for bits in self._sets())

    def asks(self) -> bool:
        """Tell whether it asks for any pod, or lets one grow."""
        return self._promise.version.count > 0 or self._tried(0) != self._before

    def sums(self, count: int) -> dict[str, Shortfall]:
        """Return the tightest shortfall of each code, were `count` pods asked for."""
        after = self._tried(count)
        pods = _pods(after) - _pods(self._before)
        own = self._book.renewal(self._promise_of(count))
        # A workload that asks for more than ever must find room for it beside all others: that it
        # holds as much already, because its parts are seen at different times, is nobody's promise.
        more = self._unit.times(count).minus(self._asked) if own else NOTHING
        result: dict[str, Shortfall] = {}
        for scene in self._scenes:
            before = scene.total(self._before)
            need = scene.total(after).minus(before)
            alone = scene.renewed(own).minus(before) if own else NOTHING
            for rule in self._rules.sums:
                if rule.amount(need) <= 0 and rule.amount(more) <= 0:
                    continue
                needed = need if rule.amount(need) > 0 else alone
                found = self._short(rule, scene, needed, pods)
                known = result.get(rule.code)
                if found and (known is None or found.room < known.room):
                    result[rule.code] = found
        return result

    def misfit(self) -> Shortfall | None:
        """Return the shortfall if whole pods of this size do not fit into the single nodes."""
        if self._rules.fit == "off":
            return None
        current, leaving = self._book.replaced_by(self._promise, self._threshold)
        wanted = self._promise.version.count - current
        if wanted <= 0:
            return None
        # Mostly there is room for all that is to come here, however small: no need to sort it.
        plenty = wanted + self._tally(self._eligible).pods
        fitting = self._fitting(leaving, plenty)
        if fitting >= plenty:
            return None
        need = wanted + self._others()
        if fitting >= need:
            return None
        scarce = self._scarcest()
        return Shortfall(
            code=TOO_MANY,
            action=self._rules.fit,
            resource=scarce,
            basis="requests",
            need=need,
            room=fitting,
            unit=getattr(self._unit.requests, scarce),
            nodes=self._eligible.bit_count(),
            pods=wanted,
        )

    def most_that_fit(self) -> int:
        """Return how many pods of this size, in all, fit whole into the single nodes."""
        current, leaving = self._book.replaced_by(self._promise, self._threshold)
        slots = sum(row.allocatable.pods for row in self._book.nodes.members(self._eligible))
        return current + max(0, self._fitting(leaving, slots) - self._others())

    def too_large(self) -> tuple[Shortfall, ...]:
        """Return the shortfall of a pod that no eligible node could take, were it empty.

        It cannot be off while the sum of what it lacks is enforced: it would count in no sum.
        """
        lens = self._book.nodes.lens(self._eligible, self._threshold)
        rows = list(self._book.nodes.members(self._eligible))
        offers = {name: [int(getattr(row.allocatable, name)) for row in rows] for name in NAMES}
        asked = {name: int(getattr(self._unit.requests, name)) for name in NAMES}
        larger = (name for name in NAMES if asked[name] > max(offers[name], default=0))
        resource = next(larger, "memory")
        actions = [self._rules.fit, *(rule.action for rule in self._rules.sums)]
        action = min(actions, key=("enforce", "warn", "off").index)
        if action == "off":
            return ()
        if self._rules.elastic and self._book.nodes.any_could_hold(self._unit):
            action = "warn"
        count = self._promise.version.count
        found = Shortfall(
            code=TOO_LARGE,
            action=action,
            resource=resource,
            basis="requests",
            need=count,
            room=0,
            unit=asked[resource],
            nodes=lens.nodes,
            pods=count,
            largest=max(offers[resource], default=0),
            why=self._why_none(),
        )
        return (found,)

    def at_most(self, found: Sequence[Shortfall]) -> int:
        """Return the largest number of pods, in all, that would have been accepted.

        Of findings of both kinds only the enforced ones limit it: a warning accepts.
        """
        strictest = "enforce" if any(each.action == "enforce" for each in found) else "warn"

        def short(count: int) -> bool:
            return any(each.action == strictest for each in self.sums(count).values())

        count = self._promise.version.count
        most = bisect_left(range(count + 1), 1, key=short) - 1
        if any(each.code == TOO_MANY and each.action == strictest for each in found):
            most = min(most, self.most_that_fit())
        return max(0, most)

    def largest(self, resource: str) -> int:
        """Return the most of a resource that is free on one eligible node."""
        return self._book.nodes.most_free(self._eligible, self._threshold, resource)

    def _sets(self) -> set[int]:
        """Return E, S_all, and every known eligible set that contains E."""
        mine = self._eligible
        known = {self._book.nodes.eligible(each) for each in self._book.register.placements}
        return {mine, self._everywhere} | {bits for bits in known if bits & mine == mine}

    def _scene(self, bits: int) -> _Scene:
        everywhere = bits == self._everywhere
        spare = self._rules.spare_nodes if everywhere else 0
        return _Scene(
            region=self._region(bits),
            lens=self._book.nodes.lens(bits, self._threshold),
            held=self._tally(bits),
            everywhere=everywhere,
            spare=self._book.nodes.largest(bits, spare) if spare else ZERO,
        )

    def _region(self, bits: int) -> Region:
        return Region(self._book.nodes, bits, self._threshold)

    def _tally(self, bits: int) -> Tally:
        return self._book.register.tally(self._region(bits))

    def _tried(self, count: int) -> Holders:
        """Return what those whom the request changes would hold, were `count` pods asked for."""
        return self._book.holdings_with(self._promise_of(count))

    def _promise_of(self, count: int) -> Promise:
        promise = self._promise
        if count == promise.version.count:
            return promise
        version = msgspec.structs.replace(promise.version, count=count)
        return msgspec.structs.replace(promise, version=version)

    def _short(self, rule: Rule, scene: _Scene, need: Load, pods: int) -> Shortfall | None:
        amount = rule.amount
        wanted = amount(need)
        free, reserve = amount(scene.lens.free), self._reserve(rule, scene)
        coming, promised = amount(scene.held.coming), amount(scene.held.promised)
        room = free - reserve - coming - promised
        if wanted <= room:
            return None
        unit = amount(self._unit)
        return Shortfall(
            code=rule.code,
            action=rule.action,
            resource=rule.resource,
            basis=rule.basis,
            need=max(0, wanted),
            room=room,
            unit=unit,
            nodes=scene.lens.nodes,
            free=free,
            reserve=reserve,
            coming=coming,
            promised=promised,
            eligible_only=scene.lens.bits == self._eligible,
            pods=pods if unit * pods == wanted else 0,
        )

    def _reserve(self, rule: Rule, scene: _Scene) -> int:
        """Return what policy keeps free of this set: the largest of share, quantity and spares."""
        if rule.basis == "limits":
            return 0
        share = 0
        if rule.reserve_basis_points:
            allocatable: int = getattr(scene.lens.allocatable, rule.resource)
            share = -(-allocatable * rule.reserve_basis_points // 10_000)
        if not scene.everywhere:
            return share
        spare: int = getattr(scene.spare, rule.resource)
        return max(share, rule.reserve_amount, spare)

    def _why_none(self) -> tuple[tuple[str, int], ...]:
        if self._eligible:
            return ()
        placement = self._promise.version.placement
        reasons = (why_not(placement, row.facts) for row in self._book.nodes.rows.values())
        return tuple(Counter(reason for reason in reasons if reason).most_common(3))

    def _others(self) -> int:
        """Return how many pods of other roots, no smaller than this one, must land in E."""
        counts = Region(self._book.nodes, self._eligible, self._threshold).counts
        own = sum(pods_of(holdings, self._unit, counts) for holdings in self._before)
        return self._book.register.pods_at_least(self._unit, counts) - own

    def _fitting(self, leaving: dict[str, Load], enough: int) -> int:
        """Return how many whole pods fit into the eligible nodes, counting no further than needed."""
        unit = self._unit.requests
        nodes, fitting = self._book.nodes, 0
        for name, load in leaving.items():
            row = nodes.rows.get(name)
            if row is not None and self._eligible >> row.index & 1:
                fitting += row.free(self._threshold, load).over(unit)
                fitting -= row.free(self._threshold).over(unit)
        return fitting + nodes.fitting(self._eligible, self._threshold, unit, enough - fitting)

    def _scarcest(self) -> str:
        """Return the resource of which the fewest pods' worth is free on the eligible nodes."""
        free = self._book.nodes.lens(self._eligible, self._threshold).free.requests
        asked = [name for name in NAMES if getattr(self._unit.requests, name) > 0]
        return min(
            asked, key=lambda name: getattr(free, name) // getattr(self._unit.requests, name)
        )


def _pods(holders: Holders) -> int:
    """Return how many pods are to come of these."""
    return sum(max((each.count for each in holdings), default=0) for holdings in holders)
