"""Scenes: the sets of nodes in which a request must fit, and what is free and held in each.

Which sets these are depends on the nodes and on where anything is held, not on how much. So they
are kept until one of these changes, with the sums that follow every event by themselves.
"""

from collections.abc import Iterable

import msgspec

from kube_headroom.capacity.held import Holding, Register, Replaced, Tally, largest
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.node import EVERYTHING, Lens, Nodes
from kube_headroom.capacity.promise import Version
from kube_headroom.capacity.rules import Rule, Rules
from kube_headroom.resources.amounts import NAMES, ZERO, Amounts

Holders = tuple[tuple[Holding, ...], ...]
"""What several holders hold, each its holdings."""


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


class Scene(msgspec.Struct, frozen=True):
    """A region as it is before the request."""

    region: Region
    register: Register
    lens: Lens
    tally: Tally
    reserve: Load
    """What policy keeps free of it: the largest of share, quantity and spare nodes."""

    def held(self) -> Tally:
        """Return what is held here; to be read at once."""
        return self.register.completed(self.tally, self.region)

    def room(self, rule: Rule, held: Tally) -> int:
        """Return what one rule leaves free here."""
        amount = rule.amount
        free, kept = amount(self.lens.free), amount(self.reserve)
        return free - kept - amount(held.coming) - amount(held.promised)

    def holds(self, wanted: tuple[int, ...], rules: Rules) -> bool:
        """Tell whether there is room for what is wanted by each rule, beside all that is held."""
        held, amounts = self.held(), rules.amounts
        coming, promised = amounts(held.coming), amounts(held.promised)
        rows = zip(
            wanted, amounts(self.lens.free), amounts(self.reserve), coming, promised, strict=True
        )
        for want, free, reserve, due, given in rows:
            if want > 0 and want > free - reserve - due - given:
                return False
        return True

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


class Sight(msgspec.Struct, frozen=True):
    """All scenes that pods of one placement and priority see; the first is of its own nodes."""

    eligible: int
    threshold: int
    scenes: tuple[Scene, ...]


class Scenes:
    """Makes the scenes of one book and keeps them while they hold."""

    def __init__(self, nodes: Nodes, register: Register) -> None:
        self._nodes, self._register = nodes, register
        self._kept: dict[tuple[int, int], Sight] = {}
        self._rules: Rules | None = None
        self._epochs = (0, 0)

    def seen_by(self, version: Version, rules: Rules) -> Sight:
        """Return what pods of a version see under these rules."""
        epochs = (self._nodes.epoch, self._register.epoch)
        if self._epochs != epochs or self._rules is not rules:
            self._kept, self._epochs, self._rules = {}, epochs, rules
        threshold = threshold_of(version, rules)
        eligible = self._nodes.eligible(version.placement)
        sight = self._kept.get((eligible, threshold))
        if sight is None:
            sight = self._kept[eligible, threshold] = self._see(eligible, threshold, rules)
        return sight

    def _see(self, eligible: int, threshold: int, rules: Rules) -> Sight:
        everywhere = eligible | self._nodes.available
        return Sight(
            eligible=eligible,
            threshold=threshold,
            scenes=tuple(
                self._scene(bits, threshold, rules, everywhere=bits == everywhere)
                for bits in self._sets(eligible, everywhere)
            ),
        )

    def _sets(self, eligible: int, everywhere: int) -> Iterable[int]:
        """Return E, S_all, and every known eligible set that contains E; each once."""
        known = (self._nodes.eligible(each) for each in self._register.placements)
        wider = (bits for bits in known if bits & eligible == eligible)
        return dict.fromkeys((eligible, everywhere, *wider))

    def _scene(self, bits: int, threshold: int, rules: Rules, *, everywhere: bool) -> Scene:
        region = Region(self._nodes, bits, threshold)
        lens = self._nodes.lens(bits, threshold)
        spare = self._nodes.largest(bits, rules.spare_nodes) if everywhere else ZERO
        return Scene(
            region=region,
            register=self._register,
            lens=lens,
            tally=self._register.tally(region),
            reserve=_reserve(rules, lens, spare, everywhere=everywhere),
        )


def threshold_of(version: Version, rules: Rules) -> int:
    """Return the priority from which on others are in the way of pods of a version."""
    in_the_way = version.priority if version.preempts else EVERYTHING
    # Placeholders of a lower priority than policy counts are in nobody's way.
    return max(in_the_way, rules.ignore_priority_below)


def _reserve(rules: Rules, lens: Lens, spare: Amounts, *, everywhere: bool) -> Load:
    amounts = dict.fromkeys(NAMES, 0)
    for rule in rules.sums:
        if rule.basis == "limits":
            continue
        name = rule.resource
        kept = -(-getattr(lens.allocatable, name) * rule.reserve_basis_points // 10_000)
        if everywhere:
            kept = max(kept, rule.reserve_amount, getattr(spare, name))
        amounts[name] = kept
    return Load(requests=Amounts(**amounts))
