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
from kube_headroom.capacity.held import pods_of
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.rules import TOO_LARGE, TOO_MANY, Action, Rule, Rules
from kube_headroom.capacity.scenes import Holders, Region, Scene, Sight
from kube_headroom.resources.amounts import NAMES
from kube_headroom.resources.placement import why_not


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


def shortfalls(book: Book, promise: Promise, rules: Rules) -> tuple[Shortfall, ...]:
    """Return every condition that the book with this promise in it would break.

    The book is left as it was. Where several sets of nodes are short, the tightest is returned.
    """
    if promise.version.priority < rules.ignore_priority_below:
        return ()
    book.nodes.set_maximums(rules.maximums)
    if book.is_new(promise) and _has_room_for_all(book, promise.version, rules):
        return ()
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


def _has_room_for_all(book: Book, version: Version, rules: Rules) -> bool:
    """Tell at a glance that there is room for a request of which nothing is in the book.

    Nearly all are of this kind, and all count on it. It needs what it asks for, everywhere.
    """
    unit, count = version.unit, version.count
    need = unit if count == 1 else unit.times(count)
    sight, wanted = book.scenes.seen_by(version, rules), rules.amounts(need)
    for scene in sight.scenes:
        if not scene.holds(wanted, rules):
            return False
    if rules.fit == "off":
        return book.nodes.can_hold(version.placement, unit)
    # A node that one of these fits into can also hold it.
    plenty = count + sight.scenes[0].held().pods
    fitting = book.nodes.fitting(sight.eligible, sight.threshold, unit.requests, plenty)
    return fitting >= plenty > 0


class Judge:
    """One request before one book."""

    def __init__(self, book: Book, promise: Promise, rules: Rules) -> None:
        self._book, self._promise, self._rules = book, promise, rules
        self._unit = promise.version.unit
        self._sight: Sight = book.scenes.seen_by(promise.version, rules)
        self._threshold, self._eligible = self._sight.threshold, self._sight.eligible
        self._before, self._asked = book.holdings(promise), book.asked(promise)

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
        for scene in self._sight.scenes:
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
        plenty = wanted + self._sight.scenes[0].held().pods
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

    def _tried(self, count: int) -> Holders:
        """Return what those whom the request changes would hold, were `count` pods asked for."""
        return self._book.holdings_with(self._promise_of(count))

    def _promise_of(self, count: int) -> Promise:
        promise = self._promise
        if count == promise.version.count:
            return promise
        version = msgspec.structs.replace(promise.version, count=count)
        return msgspec.structs.replace(promise, version=version)

    def _short(self, rule: Rule, scene: Scene, need: Load, pods: int) -> Shortfall | None:
        amount = rule.amount
        wanted, held = amount(need), scene.held()
        room = scene.room(rule, held)
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
            free=amount(scene.lens.free),
            reserve=amount(scene.reserve),
            coming=amount(held.coming),
            promised=amount(held.promised),
            eligible_only=scene.lens.bits == self._eligible,
            pods=pods if unit * pods == wanted else 0,
        )

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
