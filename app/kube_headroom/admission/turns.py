"""Turns: replicas that all write one object let each other go first, so that few writes are in vain.

Of those that write at the same time one wins, and all others begin again. If the winner did so too,
it would be ready first and win again. So who has written waits as long as the others' writes take;
what comes in meanwhile goes into the next one.
"""

from typing import Final

ACTIVE_SECONDS: Final = 1.0
"""Who has written within this time is likely to write again."""
LONGEST_SECONDS: Final = 0.1
"""A write that took longer met a trouble of its own."""


class Turns:
    """Who else writes, and when it is our turn again."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._next = 0.0

    def heard(self, writer: str, now: float) -> None:
        """Note another's write."""
        self._last[writer] = now

    def wrote(self, seconds: float, now: float) -> None:
        """Note a write of our own that took so long."""
        self._last = {writer: at for writer, at in self._last.items() if now - at <= ACTIVE_SECONDS}
        self._next = now + min(seconds, LONGEST_SECONDS) * len(self._last)

    def seconds_left(self, now: float) -> float:
        """Return how long to let others go first."""
        return max(0.0, self._next - now)
