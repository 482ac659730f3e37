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
from kube_headroom.capacity.held import Held, Holding
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.node import EVERYTHING, Lens
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import TOO_LARGE, TOO_MANY, Action, Rule, Rules
from kube_headroom.resources.amounts import NAMES, ZERO, Amounts
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


class _Scene(msgspec.Struct, frozen=True):
    """One set of nodes as it is before the request."""

    lens: Lens
    held: Held
    everywhere: bool
    spare: Amounts


def shortfalls(book: Book, promise: Promise, rules: Rules) -> tuple[Shortfall, ...]:
    """Return every condition that the book with this promise in it would break.

    The book is left as it was. Where several sets of nodes are short, the tightest is returned.
    """
    if promise.version.priority < rules.ignore_priority_below:
        return ()
    book.nodes.set_maximums(rules.maximums)
    judge = _Judge(book, promise, rules)
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


class _Judge:
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
        self._scenes = tuple(self._scene(bits) for bits in self._sets())

    def sums(self, count: int) -> dict[str, Shortfall]:
        """Return the tightest shortfall of each code, were `count` pods asked for."""
        version = msgspec.structs.replace(self._promise.version, count=count)
        promise = msgspec.structs.replace(self._promise, version=version)
        missing = self._book.missing_pods(promise)
        self._book.lay(promise)
        after = [self._held(scene.lens.bits) for scene in self._scenes]
        pods = self._book.missing_pods(promise) - missing
        self._book.lift(promise)
        result: dict[str, Shortfall] = {}
        for scene, held in zip(self._scenes, after, strict=True):
            need = held.total.minus(scene.held.total)
            for rule in self._rules.sums:
                found = self._short(rule, scene, need, pods)
                known = result.get(rule.code)
                if found and (known is None or found.room < known.room):
                    result[rule.code] = found
        return result

    def misfit(self) -> Shortfall | None:
        """Return the shortfall if whole pods of this size do not fit into the single nodes."""
        if self._rules.fit == "off":
            return None
        current, leaving = self._book.replaced_by(self._promise)
        wanted = self._promise.version.count - current
        if wanted <= 0:
            return None
        need = wanted + self._others()
        fitting = self._fitting(leaving, need)
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

    def too_large(self) -> tuple[Shortfall, ...]:
        """Return the shortfall of a pod that no eligible node could take, were it empty.

        It cannot be off while the sum of what it lacks is enforced: it would count in no sum.
        """
        lens = self._book.nodes.lens(self._eligible, self._threshold)
        rows = list(self._book.nodes.members(self._eligible))
        larger = {
            name: max((getattr(row.allocatable, name) for row in rows), default=0)
            for name in NAMES
            if all(
                getattr(self._unit.requests, name) > getattr(row.allocatable, name) for row in rows
            )
        }
        resource, largest = next(iter(larger.items()), ("memory", 0))
        actions = [self._rules.fit, *(rule.action for rule in self._rules.sums)]
        action = min(actions, key=("enforce", "warn", "off").index)
        if action == "off":
            return ()
        unit = getattr(self._unit.requests, resource)
        count = self._promise.version.count
        found = Shortfall(
            code=TOO_LARGE,
            action=action,
            resource=resource,
            basis="requests",
            need=count,
            room=0,
            unit=unit,
            nodes=lens.nodes,
            pods=count,
            largest=largest,
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
        for each in found:
            if each.code == TOO_MANY and each.action == strictest:
                most = min(most, count - (each.need - each.room))
        return max(0, most)

    def largest(self, resource: str) -> int:
        """Return the most of a resource that is free on one eligible node."""
        rows = self._book.nodes.members(self._eligible)
        free = (row.free(self._threshold) for row in rows)
        return max((int(getattr(each, resource)) for each in free), default=0)

    def _sets(self) -> set[int]:
        """Return E, S_all, and every known eligible set that contains E."""
        mine = self._eligible
        known = {self._book.nodes.eligible(holding.placement) for holding in self._book.register}
        return {mine, self._everywhere} | {bits for bits in known if bits & mine == mine}

    def _scene(self, bits: int) -> _Scene:
        everywhere = bits == self._everywhere
        spare = self._rules.spare_nodes if everywhere else 0
        return _Scene(
            lens=self._book.nodes.lens(bits, self._threshold),
            held=self._held(bits),
            everywhere=everywhere,
            spare=self._book.nodes.largest(bits, spare) if spare else ZERO,
        )

    def _held(self, bits: int) -> Held:
        return self._book.register.within(lambda holding: self._counts(holding, bits))

    def _counts(self, holding: Holding, bits: int) -> bool:
        """Tell whether a holding can only land in this set, and can land at all."""
        if holding.priority < self._threshold:
            return False
        nodes = self._book.nodes
        if nodes.eligible(holding.placement) & ~bits:
            return False
        return nodes.can_hold(holding.placement, holding.unit)

    def _short(self, rule: Rule, scene: _Scene, need: Load, pods: int) -> Shortfall | None:
        def amount(load: Load) -> int:
            value: int = getattr(getattr(load, rule.basis), rule.resource)
            return value

        wanted, reserve = amount(need), self._reserve(rule, scene)
        free = amount(scene.lens.free)
        coming, promised = amount(scene.held.coming), amount(scene.held.promised)
        room = free - reserve - coming - promised
        if wanted <= max(0, room):
            return None
        unit = amount(self._unit)
        return Shortfall(
            code=rule.code,
            action=rule.action,
            resource=rule.resource,
            basis=rule.basis,
            need=wanted,
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
        every = self._book.register.pods_at_least(
            self._unit, lambda holding: self._counts(holding, self._eligible)
        )
        own = self._book.holdings(self._promise)
        return every - sum(
            holding.count
            for holding in own[:1]
            if self._counts(holding, self._eligible)
            and not self._unit.requests.exceeding(holding.unit.requests)
        )

    def _fitting(self, leaving: dict[str, Load], enough: int) -> int:
        """Return how many whole pods fit into the eligible nodes, counting no further than needed."""
        fitting = 0
        for row in self._book.nodes.members(self._eligible):
            free = row.free(self._threshold)
            if row.facts.name in leaving:
                free = free.plus(leaving[row.facts.name].requests)
            fitting += _times(free, self._unit.requests)
            if fitting >= enough:
                break
        return fitting

    def _scarcest(self) -> str:
        """Return the resource of which the fewest pods' worth is free on the eligible nodes."""
        free = self._book.nodes.lens(self._eligible, self._threshold).free.requests
        asked = [name for name in NAMES if getattr(self._unit.requests, name) > 0]
        return min(
            asked, key=lambda name: getattr(free, name) // getattr(self._unit.requests, name)
        )


def _times(free: Amounts, unit: Amounts) -> int:
    """Return how many whole units fit into what is free; a resource it asks 0 of is no matter."""
    counts = [getattr(free, name) // getattr(unit, name) for name in NAMES if getattr(unit, name)]
    return max(0, min(counts, default=0))
