"""Amounts: how much of each resource, in exact integers.

One unit a resource, said here and nowhere else: cpu in milli-CPU, memory and ephemeral_storage in
bytes, pods in pieces. Python integers never wrap; what exceeds int64 is cut where quantities are
read, so that one absurd object cannot hide another behind it (capacity-rules Q3).
"""

from collections.abc import Iterable
from typing import Final

import msgspec

MAX_INT64: Final = 2**63 - 1
_MORE_THAN_ANY: Final = 2**128
NAMES: Final = ("cpu", "memory", "ephemeral_storage", "pods")
"""The fields of Amounts; the first three are also what containers declare."""

KUBERNETES_NAMES: Final = {
    "cpu": "cpu",
    "memory": "memory",
    "ephemeral_storage": "ephemeral-storage",
    "pods": "pods",
}


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """How much of each resource: milli-CPU, bytes, bytes, pods."""

    cpu: int = 0
    memory: int = 0
    ephemeral_storage: int = 0
    pods: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        """Return the sum."""
        return Amounts(
            self.cpu + other.cpu,
            self.memory + other.memory,
            self.ephemeral_storage + other.ephemeral_storage,
            self.pods + other.pods,
        )

    def minus(self, other: "Amounts") -> "Amounts":
        """Return the difference, which may be negative."""
        return Amounts(
            self.cpu - other.cpu,
            self.memory - other.memory,
            self.ephemeral_storage - other.ephemeral_storage,
            self.pods - other.pods,
        )

    def times(self, count: int) -> "Amounts":
        """Return these amounts count times."""
        return Amounts(
            self.cpu * count,
            self.memory * count,
            self.ephemeral_storage * count,
            self.pods * count,
        )

    def maximum(self, other: "Amounts") -> "Amounts":
        """Return the larger of the two, resource by resource."""
        return Amounts(
            max(self.cpu, other.cpu),
            max(self.memory, other.memory),
            max(self.ephemeral_storage, other.ephemeral_storage),
            max(self.pods, other.pods),
        )

    def clamped(self) -> "Amounts":
        """Return these amounts with nothing below zero."""
        return self.maximum(ZERO)

    def over(self, unit: "Amounts") -> int:
        """Return how many whole units fit into these amounts; of what it has 0 does not matter."""
        least = _MORE_THAN_ANY
        if unit.memory:
            least = self.memory // unit.memory
        if unit.cpu and (count := self.cpu // unit.cpu) < least:
            least = count
        if unit.ephemeral_storage:
            count = self.ephemeral_storage // unit.ephemeral_storage
            least = min(least, count)
        if unit.pods and (count := self.pods // unit.pods) < least:
            least = count
        return 0 if least < 0 or least == _MORE_THAN_ANY else least

    def exceeding(self, other: "Amounts") -> tuple[str, ...]:
        """Return the names of the resources in which these amounts are larger than the other's."""
        return tuple(name for name in NAMES if getattr(self, name) > getattr(other, name))


ZERO: Final = Amounts()


def total(parts: Iterable[Amounts]) -> Amounts:
    """Return the sum of all parts."""
    result = ZERO
    for part in parts:
        result = result.plus(part)
    return result
