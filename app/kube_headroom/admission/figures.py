"""Figures: the numbers of one sum, shown so that they add up and never favour who asks.

Every figure of a sentence is in the same unit. Where one decimal of it says all of them exactly,
they are exact; else what is free is rounded down, what is held up, and their difference follows.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from kube_headroom.resources.quantity import show_milli

_UNITS: Final = tuple(
    (suffix, 1 << shift)
    for suffix, shift in (("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10))
)
_MOST_DIGITS: Final = 100_000  # of a unit: beyond it the exact figure is no longer read


class Sum(msgspec.Struct, frozen=True):
    """free - reserve - coming - promised = room, as text."""

    room: str
    free: str
    reserve: str
    coming: str
    promised: str


def show_sum(resource: str, values: tuple[int, int, int, int]) -> Sum:
    """Return free, reserve, coming and promised as text, with the room they leave."""
    free, *held = values
    if resource == "pods":
        return _joined(free, held, str)
    if resource == "cpu":
        return _joined(free, held, show_milli)
    for suffix, size in _UNITS:
        if max(values) >= size and all(value * 10 % size == 0 for value in values):
            if max(values) // size >= _MOST_DIGITS:
                break
            return _joined(free * 10 // size, [each * 10 // size for each in held], _tenths(suffix))
    suffix, size = next((each for each in _UNITS if max(values) >= 10 * each[1]), _UNITS[-1])
    return _joined(free * 10 // size, [-(-each * 10 // size) for each in held], _tenths(suffix))


def _tenths(suffix: str) -> Callable[[int], str]:
    def text(tenths: int) -> str:
        sign, tenths = ("-" if tenths < 0 else ""), abs(tenths)
        fraction = f".{tenths % 10}" if tenths % 10 else ""
        return f"{sign}{tenths // 10}{fraction}{suffix if tenths else ''}"

    return text


def _joined(free: int, held: list[int], text: Callable[[int], str]) -> Sum:
    return Sum(text(free - sum(held)), text(free), *map(text, held))
