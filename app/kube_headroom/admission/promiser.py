"""Promisers: how an allowed request is promised before it is answered.

The seam between the decision, which is made at once on one event loop, and the ledger, which may be
shared and then takes time to write.
"""

from collections.abc import Callable
from typing import Protocol

from kube_headroom.capacity.headroom import Shortfall
from kube_headroom.capacity.ledger import Ledger
from kube_headroom.capacity.promise import Promise

Judge = Callable[[], tuple[Shortfall, ...]]
Refuses = Callable[[tuple[Shortfall, ...]], bool]


class Promiser(Protocol):
    """Judges and promises as one step that nothing comes between."""

    waits: bool
    """Whether `promise` may wait for anything; else it ends in the step in which it begins."""

    async def promise(
        self, promise: Promise, judge: Judge, refuses: Refuses, *, timeout_seconds: float
    ) -> tuple[Shortfall, ...]:
        """Return what `judge` finds; unless `refuses` says no to it, the promise is made.

        timeout_seconds is the caller's patience, of which only a part is used. Raises
        ClusterUnavailable when the ledger cannot be written in time.
        """
        ...


class LocalPromiser:
    """For one process: the ledger in memory is the only one, so a promise is made at once."""

    waits = False

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock

    async def promise(
        self,
        promise: Promise,
        judge: Judge,
        refuses: Refuses,
        *,
        timeout_seconds: float,  # noqa: ARG002 - nothing here waits
    ) -> tuple[Shortfall, ...]:
        """Judge and promise without giving way to another request."""
        if self._ledger.promised(promise):
            if promise.base:  # another request may ask for the same update: it lasts anew
                self._ledger.add(promise, self._clock())
            return ()  # the same review again: L11
        found = judge()
        if not refuses(found):
            self._ledger.add(promise, self._clock())
        return found
