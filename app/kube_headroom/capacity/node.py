"""The nodes: what they offer, what is assigned to them, which of them a pod may use.

Sets of nodes are bit sets (one Python integer, bit = a node's index). A Lens keeps the sums of one
such set up to date while pods come and go, so that a decision reads them in O(1) in pods and nodes.
"""

import heapq
from operator import attrgetter
from typing import Final, TypeVar

import msgspec

from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.resources.amounts import NAMES, ZERO, Amounts
from kube_headroom.resources.placement import NodeFacts, Placement, admits

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

MAX_LENSES: Final = 256  # each costs one addition a pod event; the oldest goes first
MAX_PLACEMENTS: Final = 4096  # a stranger may send any number of different selectors
MAX_KEPT_BYTES: Final = 8192  # of one placement: larger ones are worked out each time
MAX_MEMBERS: Final = 64  # sets whose nodes are kept as a tuple
EVERYTHING: Final = -(2**63)
"""The threshold of a pod that may not preempt: commitments of every priority are in its way."""


class Maximums(msgspec.Struct, frozen=True):
    """How far limits may exceed allocatable, in basis points: policy's maximumLimits."""

    cpu: int = 10_000
    memory: int = 10_000
    ephemeral_storage: int = 10_000

    def of(self, allocatable: Amounts) -> Amounts:
        """Return the limits that this much allocatable may carry, rounded down."""
        return Amounts(
            cpu=allocatable.cpu * self.cpu // 10_000,
            memory=allocatable.memory * self.memory // 10_000,
            ephemeral_storage=allocatable.ephemeral_storage * self.ephemeral_storage // 10_000,
        )


class NodeRow(msgspec.Struct):
    """One node; `assigned` has the load of its pods by their priority."""

    index: int
    facts: NodeFacts
    allocatable: Amounts
    ready: bool
    assigned: dict[int, Load]
    frees: dict[int, Load] = msgspec.field(default_factory=dict)
    """What is free by threshold, as far as it was asked for since anything changed here."""

    @property
    def available(self) -> bool:
        """Whether new pods may be expected here, taints aside."""
        return self.ready and not self.facts.unschedulable

    def load(self, threshold: int) -> Load:
        """Return what pods of this priority and above ask of the node."""
        result = NOTHING
        for priority, load in self.assigned.items():
            if priority >= threshold:
                result = load if result is NOTHING else result.plus(load)
        return result

    def free(self, threshold: int, leaving: Load = NOTHING) -> Amounts:
        """Return what is free for requests of this priority, some pods apart; never below zero."""
        assigned = self.load(threshold).minus(leaving).requests
        return self.allocatable.minus(assigned).clamped()


class Lens(msgspec.Struct):
    """The sums of one set of nodes, for pods of one priority and above."""

    bits: int
    threshold: int
    nodes: int = 0
    allocatable: Amounts = ZERO
    free: Load = NOTHING
    """requests: allocatable - assigned; limits: maximum - assigned; each clamped per node."""

    def add(self, allocatable: Amounts, free: Load) -> None:
        """Count one more node."""
        self.nodes += 1
        self.allocatable = self.allocatable.plus(allocatable)
        self.free = self.free.plus(free)


class Nodes:
    """All nodes of a view."""

    def __init__(self) -> None:
        self.rows: dict[str, NodeRow] = {}
        self.maximums = Maximums()
        self._indexed: list[NodeRow | None] = []
        self._eligible: dict[Placement, int] = {}
        self._lenses: dict[tuple[int, int], Lens] = {}
        self._can_hold: dict[tuple[Placement, Amounts], bool] = {}
        self._vacant: list[int] = []
        self._assigned: dict[str, dict[int, Load]] = {}
        self._available: int | None = None
        self._members: dict[int, tuple[NodeRow, ...]] = {}
        self.generation = 0
        """Changes with everything that decides which nodes can take which pods."""
        self.epoch = 0
        """Changes when a lens that was handed out is not kept up to date any more."""

    def put(self, facts: NodeFacts, allocatable: Amounts, *, ready: bool) -> bool:
        """Add a node or replace what is known of it; return whether its readiness changed."""
        row = self.rows.get(facts.name)
        if row is None:
            index = self._vacant.pop() if self._vacant else len(self._indexed)
            if index == len(self._indexed):
                self._indexed.append(None)
            assigned = self._assigned.setdefault(facts.name, {})
            row = NodeRow(index, facts, allocatable, ready, assigned)
            self.rows[facts.name] = self._indexed[index] = row
            self._restructured()
            return True
        if row.allocatable != allocatable:
            row.allocatable = allocatable
            row.frees.clear()
            self._restructured()
        changed = row.ready != ready
        if changed or row.facts != facts:
            row.facts, row.ready = facts, ready
            self._restructured()
        return changed

    def remove(self, name: str) -> None:
        """Forget a node; what is assigned to its name is kept for its return."""
        row = self.rows.pop(name, None)
        if row is not None:
            self._indexed[row.index] = None
            self._vacant.append(row.index)
            if not row.assigned:
                del self._assigned[name]
            self._restructured()

    def is_ready(self, name: str) -> bool:
        """Tell whether the node exists and is Ready."""
        row = self.rows.get(name)
        return row is not None and row.ready

    def set_maximums(self, maximums: Maximums) -> None:
        """Take over policy's maximumLimits; the lenses are built anew."""
        if maximums != self.maximums:
            self.maximums = maximums
            self._forget_frees()

    def assign(self, name: str, priority: int, load: Load, *, add: bool) -> None:
        """Add a pod to a node by its name, known or not, or take it off."""
        row = self.rows.get(name)
        if row is None:
            self._change(name, priority, load, add=add)
            return
        affected = [lens for lens in self._lenses.values() if lens.bits >> row.index & 1]
        before = [self._free(row, lens.threshold) for lens in affected]
        row.frees.clear()
        self._change(name, priority, load, add=add)
        for lens, free in zip(affected, before, strict=True):
            lens.free = lens.free.minus(free).plus(self._free(row, lens.threshold))

    def _change(self, name: str, priority: int, load: Load, *, add: bool) -> None:
        assigned = self._assigned.setdefault(name, {})
        present = assigned.get(priority, NOTHING)
        changed = present.plus(load) if add else present.minus(load)
        if changed == NOTHING:
            assigned.pop(priority, None)
        else:
            assigned[priority] = changed
        if not assigned and name not in self.rows:
            del self._assigned[name]

    def eligible(self, placement: Placement) -> int:
        """Return E, the set of nodes that this placement admits."""
        bits = self._eligible.get(placement)
        if bits is None:
            bits = 0
            for row in self.rows.values():
                if admits(placement, row.facts):
                    bits |= 1 << row.index
            _keep(self._eligible, placement, placement, bits)
        return bits

    @property
    def available(self) -> int:
        """The set of nodes that are neither cordoned nor NotReady, whatever their other taints."""
        if self._available is None:
            rows = self.rows.values()
            self._available = sum(1 << row.index for row in rows if row.available)
        return self._available

    def lens(self, bits: int, threshold: int) -> Lens:
        """Return the sums of a set of nodes for pods of this priority and above."""
        lens = self._lenses.get((bits, threshold))
        if lens is None:
            if len(self._lenses) >= MAX_LENSES:
                del self._lenses[next(iter(self._lenses))]
                self.epoch += 1
            lens = Lens(bits, threshold)
            for row in self.members(bits):
                lens.add(row.allocatable, self._free(row, threshold))
            self._lenses[(bits, threshold)] = lens
        return lens

    def can_hold(self, placement: Placement, unit: Load) -> bool:
        """Tell whether an eligible node, were it empty, could take one such pod."""
        key = (placement, unit.requests)
        known = self._can_hold.get(key)
        if known is None:
            rows = self.members(self.eligible(placement))
            known = any(not unit.requests.exceeding(row.allocatable) for row in rows)
            _keep(self._can_hold, placement, key, known)
        return known

    def any_could_hold(self, unit: Load) -> bool:
        """Tell whether any known node, eligible or not, could take such a pod were it empty."""
        return any(not unit.requests.exceeding(row.allocatable) for row in self.rows.values())

    def largest(self, bits: int, count: int) -> Amounts:
        """Return the allocatable of the largest nodes of a set, resource by resource."""
        if count == 0:
            return ZERO
        offers = [row.allocatable for row in self.members(bits)]
        return Amounts(
            *(
                sum(heapq.nlargest(count, (getattr(each, name) for each in offers)))
                for name in NAMES
            )
        )

    def members(self, bits: int) -> tuple[NodeRow, ...]:
        """Return the nodes of a set."""
        members = self._members.get(bits)
        if members is None:
            if len(self._members) >= MAX_MEMBERS:
                del self._members[next(iter(self._members))]
            rows = zip(reversed(format(bits, "b")), self._indexed, strict=False)
            members = tuple(row for digit, row in rows if digit == "1" and row is not None)
            self._members[bits] = members
        return members

    def fitting(self, bits: int, threshold: int, unit: Amounts, enough: int) -> int:
        """Return how many whole units fit into single nodes of a set, counting until it is enough."""
        count = 0
        for row in self.members(bits):
            free = (row.frees.get(threshold) or self._free(row, threshold)).requests
            if unit.memory > free.memory or unit.cpu > free.cpu:
                continue
            count += free.over(unit)
            if count >= enough:
                break
        return count

    def most_free(self, bits: int, threshold: int, resource: str) -> int:
        """Return the most of a resource that is free for requests on one node of a set."""
        amount = attrgetter(f"requests.{resource}")
        rows = self.members(bits)
        frees = (row.frees.get(threshold) or self._free(row, threshold) for row in rows)
        return max(map(amount, frees), default=0)

    def _free(self, row: NodeRow, threshold: int) -> Load:
        free = row.frees.get(threshold)
        if free is None:
            load = row.load(threshold)
            limits = self.maximums.of(row.allocatable).minus(load.limits)
            free = Load(row.allocatable.minus(load.requests), limits).clamped()
            row.frees[threshold] = free
        return free

    def _forget_frees(self) -> None:
        self.epoch += 1
        self._lenses.clear()
        for row in self.rows.values():
            row.frees.clear()

    def _restructured(self) -> None:
        self.generation += 1
        self.epoch += 1
        self._eligible.clear()
        self._lenses.clear()
        self._can_hold.clear()
        self._members.clear()
        self._available = None


def _keep(kept: dict[_Key, _Value], placement: Placement, key: _Key, value: _Value) -> None:
    """Remember what a placement comes to, in bounded memory whatever strangers send."""
    if len(msgspec.json.encode(placement)) > MAX_KEPT_BYTES:
        return
    if len(kept) >= MAX_PLACEMENTS:
        kept.clear()
    kept[key] = value
