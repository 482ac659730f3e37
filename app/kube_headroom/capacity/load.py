"""Load: what a pod, or many, ask of a node on both bases, requests and limits.

A container without a limit adds nothing to limits; who has none is counted elsewhere, out loud.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from kube_headroom.resources.amounts import ZERO, Amounts


class Load(msgspec.Struct, frozen=True, gc=False):
    """Requests (pods counted there) and limits, in the units of Amounts."""

    requests: Amounts = ZERO
    limits: Amounts = ZERO

    def plus(self, other: "Load") -> "Load":
        """Return the sum."""
        return Load(self.requests.plus(other.requests), self.limits.plus(other.limits))

    def minus(self, other: "Load") -> "Load":
        """Return the difference, which may be negative."""
        return Load(self.requests.minus(other.requests), self.limits.minus(other.limits))

    def times(self, count: int) -> "Load":
        """Return this load count times."""
        return Load(self.requests.times(count), self.limits.times(count))

    def maximum(self, other: "Load") -> "Load":
        """Return the larger of the two, resource by resource and basis by basis."""
        return Load(self.requests.maximum(other.requests), self.limits.maximum(other.limits))

    def clamped(self) -> "Load":
        """Return this load with nothing below zero."""
        return Load(self.requests.clamped(), self.limits.clamped())

    def exceeds(self, other: "Load") -> bool:
        """Tell whether this load is larger than the other in any resource on any basis."""
        return bool(self.requests.exceeding(other.requests) or self.limits.exceeding(other.limits))


NOTHING: Final = Load()


def total(parts: Iterable[Load]) -> Load:
    """Return the sum of all parts."""
    result = NOTHING
    for part in parts:
        result = result.plus(part)
    return result
