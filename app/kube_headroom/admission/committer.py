"""The committer: many replicas, one ledger, group commit (ledger-protocol L1, L2, L6, L8, L9).

All charged requests of this process wait in one queue. One task takes all that wait, judges each in
turn against the view, the promises and what it just granted, and writes once by compare-and-swap.
Nobody is answered before the write is acknowledged; a lost race is judged again on what won it.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec

from kube_headroom.admission.ledger_access import Figures, LedgerAccess
from kube_headroom.admission.ledger_limits import LedgerLimits, excess, too_many_failing
from kube_headroom.admission.promiser import Judge, Refuses
from kube_headroom.capacity.headroom import Shortfall
from kube_headroom.capacity.ledger_document import (
    Document,
    Encoded,
    LedgerStore,
    Stored,
    encode,
)
from kube_headroom.capacity.ledger_replica import LedgerReplica
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.view import View
from kube_headroom.errors import ClusterUnavailable


class Patience(msgspec.Struct, frozen=True):
    """How long the committer waits for what, in seconds."""

    share_of_timeout: float = 0.4
    """Of the caller's timeout: the API server's own retry needs the rest."""
    catch_up_seconds: float = 1.0
    poll_seconds: float = 0.005
    slice_seconds: float = 0.002
    """So long requests are judged before the loop may do something else."""
    sweep_seconds: float = 5.0
    jitter_seconds: float = 0.01
    """At most so long, twice as long after each further conflict, a lost race is waited out."""
    longest_jitter_seconds: float = 0.1


class _Waiter(msgspec.Struct):
    promise: Promise
    judge: Judge
    refuses: Refuses
    result: "asyncio.Future[tuple[Shortfall, ...]]"
    found: tuple[Shortfall, ...] = ()

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    def answer(self) -> None:
        if not self.result.done():
            self.result.set_result(self.found)


class Committer:
    """A Promiser over a shared ledger. run() must run beside it, in the same event loop."""

    waits = True

    def __init__(
        self,
        view: View,
        store: LedgerStore,
        clock: Callable[[], float],
        *,
        patience: Patience | None = None,
        limits: LedgerLimits | None = None,
    ) -> None:
        self._view = view
        self._clock = clock
        self._patience = patience or Patience()
        self._limits = limits or LedgerLimits()
        self._replica = LedgerReplica(view)
        self._access = LedgerAccess(self._replica, store, clock, self._limits)
        self._queue: list[_Waiter] = []
        self._wake = asyncio.Event()
        self._wake.set()  # read the ledger at once
        self._conflicts_in_a_row = 0
        self._sweep_at = clock()

    @property
    def missing(self) -> str | None:
        """Why nothing can be promised here at present; None when something can."""
        return self._access.fault or None

    @property
    def figures(self) -> Figures:
        """What was done so far."""
        return self._access.figures

    def lagging(self) -> tuple[str, ...]:
        """Return the resources in which the view is behind the ledger: for long, it needs a list."""
        return self._replica.behind()

    async def promise(
        self, promise: Promise, judge: Judge, refuses: Refuses, *, timeout_seconds: float
    ) -> tuple[Shortfall, ...]:
        """Judge and promise; see Promiser. Raises ClusterUnavailable when it takes too long."""
        seconds = timeout_seconds * self._patience.share_of_timeout
        loop = asyncio.get_running_loop()
        waiter = _Waiter(promise, judge, refuses, loop.create_future())
        self._queue.append(waiter)
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                return await waiter.result
        except TimeoutError as error:
            raise ClusterUnavailable("the ledger could not be written in time") from error

    # What the watch tells.

    def heard(self, stored: Stored) -> None:
        """Note what another replica wrote."""
        if self._access.heard(stored):
            self._wake.set()

    def deleted(self) -> None:
        """Note that somebody deleted it: it is made anew, and known to be incomplete."""
        self._access.in_doubt = True
        self._wake.set()

    # The one task.

    async def run(self) -> None:
        """Commit and sweep for ever."""
        while True:
            await self._wait_for_work()
            await asyncio.sleep(self._access.seconds_left())
            queue, self._queue = self._queue, []
            waiting = [each for each in queue if not each.result.done()]
            try:
                await self._commit(waiting)
            except ClusterUnavailable as error:
                self._access.in_doubt = True
                for waiter in waiting:
                    waiter.fail(error)

    async def _wait_for_work(self) -> None:
        """Return when something came in, or when it is time to sweep."""
        try:
            async with asyncio.timeout(max(0.0, self._sweep_at - self._clock())):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _commit(self, waiting: list[_Waiter]) -> None:
        """Judge all that wait, write what is granted without what is over, then answer."""
        await self._access.take_over()
        if waiting and (why := await self._unjudgeable()):
            for waiter in waiting:
                waiter.fail(ClusterUnavailable(why))
            waiting = []
        await self._judge_all(waiting)
        if not self._has_news() or await self._access.write(*self._draft(waiting)):
            self._conflicts_in_a_row = 0
            for waiter in waiting:
                waiter.answer()
            return
        self._queue[:0] = waiting
        self._wake.set()
        await self._wait_out()

    def _has_news(self) -> bool:
        """Tell whether there is something to write; what is over can wait for the next sweep."""
        replica, now = self._replica, self._clock()
        if now >= self._sweep_at:
            spread = random.uniform(0.5, 1.5)  # noqa: S311 - so that replicas do not all sweep at once
            self._sweep_at = now + self._patience.sweep_seconds * spread
            replica.settle()
            return bool(replica.has_news or replica.is_droppable)
        return replica.has_news

    async def _judge_all(self, waiting: list[_Waiter]) -> None:
        """Judge one after the other; others may use the loop in between, the ledger stands still."""
        until = self._clock() + self._patience.slice_seconds
        for waiter in waiting:
            self._judge(waiter)
            if self._clock() >= until:
                await asyncio.sleep(0)
                until = self._clock() + self._patience.slice_seconds

    def _judge(self, waiter: _Waiter) -> None:
        """Judge one request beside all granted before it, and grant it if it is not refused."""
        replica, promise, now = self._replica, waiter.promise, self._clock()
        if waiter.result.done() or replica.covers(promise, now):
            return
        ledger = self._view.ledger
        if not ledger.promised(promise):
            try:
                waiter.found = waiter.judge()
            except Exception as error:  # noqa: BLE001 - a bug costs the one request that meets it
                waiter.fail(error)
                return
            if waiter.refuses(waiter.found):
                return
            if too_many_failing(ledger, promise.namespace):
                self._refuse(waiter, f"promises of namespace {promise.namespace} keep failing")
                return
        replica.grant(promise, now)

    def _draft(self, waiting: list[_Waiter]) -> tuple[Document, Encoded]:
        """Return a draft that the limits allow; who asked for more than that is refused."""
        write = self._access.next_id()
        document = self._replica.draft(write)
        encoded = encode(document)
        granted = self._replica.granted
        for promise in excess(encoded, granted, self._limits):
            self._replica.withdraw(promise)
            for waiter in waiting:
                if waiter.promise == promise:
                    self._refuse(waiter, "the ledger is full")
        if len(self._replica.granted) == len(granted):
            return document, encoded
        document = self._replica.draft(write)
        return document, encode(document)

    def _refuse(self, waiter: _Waiter, why: str) -> None:
        self.figures.full += 1
        waiter.fail(ClusterUnavailable(why))

    async def _unjudgeable(self) -> str:
        """Wait until the view is as far as those who wrote the ledger (L6); return why it is not."""
        if self._replica.is_closed:
            return "promises were lost; nothing is promised until they are over"
        until = self._clock() + self._patience.catch_up_seconds
        while lagging := self._replica.behind():
            if self._clock() >= until:
                return f"the view is behind the ledger: {', '.join(lagging)}"
            await asyncio.sleep(self._patience.poll_seconds)
        return ""

    async def _wait_out(self) -> None:
        """Let others go first for a moment, longer each time (L2)."""
        self._conflicts_in_a_row += 1
        longest = self._patience.jitter_seconds * 2 ** min(self._conflicts_in_a_row, 6)
        longest = min(longest, self._patience.longest_jitter_seconds)
        await asyncio.sleep(random.uniform(0.0, longest))  # noqa: S311 - spread
