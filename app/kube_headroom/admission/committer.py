"""The committer: many replicas, one ledger, group commit (ledger-protocol L1, L2, L6, L8, L9).

All charged requests of this process wait in one queue. One task takes all that wait, judges each in
turn against the view, the promises and what it just granted, and writes once by compare-and-swap.
Nobody is answered before the write is acknowledged; a lost race is judged again on what won it.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from kube_headroom.admission.promiser import Judge, Refuses
from kube_headroom.capacity.headroom import Shortfall
from kube_headroom.capacity.ledger_document import (
    Document,
    LedgerConflictError,
    LedgerStore,
    Stored,
    encode,
)
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.view import WORKLOADS, View
from kube_headroom.errors import ClusterUnavailable

HOLDING: Final = frozenset({"pods", *WORKLOADS})
"""The resources that hold commitments: their watermarks are kept."""


class Pace(msgspec.Struct, frozen=True):
    """How long things may take, in seconds, and how large the ledger may be."""

    share_of_timeout: float = 0.4
    """Of the caller's timeout: the API server's own retry needs the rest."""
    catch_up_seconds: float = 1.0
    poll_seconds: float = 0.005
    sweep_seconds: float = 5.0
    max_bytes: int = 256 * 1024
    bytes_per_second: int = 2 * 1024 * 1024
    """Of history that etcd keeps for five minutes (L10)."""


class _Waiter(msgspec.Struct, gc=True):
    promise: Promise
    judge: Judge
    refuses: Refuses
    result: "asyncio.Future[tuple[Shortfall, ...]]"


class Committer:
    """A Promiser over a shared ledger. run() must run beside it, in the same event loop."""

    def __init__(
        self, view: View, store: LedgerStore, clock: Callable[[], float], pace: Pace | None = None
    ) -> None:
        self._view = view
        self._store = store
        self._clock = clock
        self._pace = pace or Pace()
        self._queue: list[_Waiter] = []
        self._wake = asyncio.Event()
        self._wake.set()  # read the ledger at once
        self._stored: Stored | None = None
        self._heard: Stored | None = None
        self._settled: set[Promise] = set()
        """Rows that others still hold open."""
        self._in_doubt = True
        """Whether the ledger must be read anew: at first, and after a write without an answer."""
        self._written_at = -1e9
        self._closed_until = -1e9
        self.commits = 0
        self.conflicts = 0

    @property
    def missing(self) -> str | None:
        """Why nothing can be promised yet; None once the ledger was read."""
        return None if self._stored is not None else "the ledger was not read yet"

    async def promise(
        self, promise: Promise, judge: Judge, refuses: Refuses, *, timeout_seconds: float
    ) -> tuple[Shortfall, ...]:
        """Judge and promise; see Promiser. Raises ClusterUnavailable when it takes too long."""
        seconds = timeout_seconds * self._pace.share_of_timeout
        loop = asyncio.get_running_loop()
        waiter = _Waiter(promise, judge, refuses, loop.create_future())
        self._queue.append(waiter)
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                return await waiter.result
        except TimeoutError as error:
            raise ClusterUnavailable("the ledger could not be written in time") from error

    def heard(self, stored: Stored) -> None:
        """Take over what another replica wrote, as the watch shows it."""
        if self._heard is None or stored.version > self._heard.version:
            self._heard = stored
        self._wake.set()

    async def run(self) -> None:
        """Commit and sweep for ever."""
        while True:
            sweep = await self._wait_for_work()
            batch, self._queue = self._queue, []
            try:
                await self._commit([each for each in batch if not each.result.done()], sweep=sweep)
            except ClusterUnavailable as error:
                self._in_doubt = True
                for waiter in batch:
                    if not waiter.result.done():
                        waiter.result.set_exception(error)

    async def _wait_for_work(self) -> bool:
        """Return when something came in, or, with True, when it is time to sweep."""
        seconds = self._pace.sweep_seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spread
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return True
        self._wake.clear()
        return False

    async def _commit(self, batch: list[_Waiter], *, sweep: bool) -> None:
        """Judge a batch, write what is granted without what is settled, then answer."""
        while True:
            await self._take_over()
            if not batch and not (sweep and self._droppable()):
                return
            await self._catch_up()
            found = [self._judged(each) for each in batch]
            granted = [promise for promise, _ in found if promise is not None]
            if not granted and not sweep:
                break
            if await self._written():
                break
            for promise in filter(self._view.ledger.promised, granted):
                self._view.ledger.drop(promise)
        for waiter, (_, shortfalls) in zip(batch, found, strict=True):
            if not waiter.result.done():
                waiter.result.set_result(shortfalls)

    def _judged(self, waiter: _Waiter) -> "tuple[Promise | None, tuple[Shortfall, ...]]":
        """Judge one request beside all granted before it; return the promise if one is new."""
        ledger = self._view.ledger
        if ledger.promised(waiter.promise):
            return None, ()  # the same review again: L11
        found = waiter.judge()
        if waiter.refuses(found) or waiter.result.done():
            return None, found
        ledger.add(waiter.promise, self._clock())
        return waiter.promise, found

    async def _written(self) -> bool:
        """Write the open promises; False if another write came first and all is to be judged anew."""
        stored = self._stored
        assert stored is not None
        watermarks = {
            name: max(stored.document.watermarks.get(name, 0), version)
            for name, version in self._view.event_versions.items()
            if name in HOLDING and version
        }
        document = Document(tuple(self._view.ledger), watermarks, uuid.uuid4().hex)
        text = encode(document)
        await self._wait_for_pace(len(text))
        try:
            version = await self._store.write(text, stored)
        except LedgerConflictError:
            self.conflicts += 1
            await asyncio.sleep(random.uniform(0.0, 0.02))  # noqa: S311 - spread
            self._heard = await self._store.read()
            return False
        except ClusterUnavailable:
            self._heard = await self._store.read()  # raises if nobody can tell
            if self._heard.document.write != document.write:
                return False
            version = self._heard.version
        self.commits += 1
        self._stored = Stored(document, stored.uid, version)
        return True

    async def _take_over(self) -> None:
        """Make the open promises those that stand in the newest ledger known."""
        if self._in_doubt:
            self._heard = await self._store.read()
        newest, self._heard = self._heard, None
        known = self._stored.version if self._stored is not None else -1
        if newest is None or (newest.version <= known and not self._in_doubt):
            return
        self._in_doubt = False
        now = self._clock()
        if self._stored is not None and newest.uid != self._stored.uid:
            # Somebody deleted it: what stood there is lost, and may still come into being (L9).
            self._closed_until = now + self._view.ledger.promise_seconds
        self._replace_open_promises(newest, now)
        self._stored = newest

    def _replace_open_promises(self, newest: Stored, now: float) -> None:
        """Open what is new, close what is gone, and do not open again what was settled here.

        What others dropped was settled in their view; the watermark keeps us from judging before
        ours is as far.
        """
        ledger, rows = self._view.ledger, set(newest.document.rows)
        before = self._stored.document.rows if self._stored is not None else ()
        self._settled.update(each for each in before if not ledger.promised(each))
        self._settled &= rows
        for promise in [each for each in ledger if each not in rows]:
            ledger.drop(promise)
        for promise in newest.document.rows:
            known = ledger.promised(promise) or promise in self._settled
            if not known and not self._view.shows(promise):
                ledger.add(promise, now)

    async def _catch_up(self) -> None:
        """Wait until the view is as far as those who wrote the ledger (L6)."""
        assert self._stored is not None
        now = self._clock()
        if now < self._closed_until:
            raise ClusterUnavailable("the ledger was deleted; its promises are waited for")
        watermarks = self._stored.document.watermarks
        until = now + self._pace.catch_up_seconds
        while lagging := self._view.behind(watermarks):
            if self._clock() >= until:
                raise ClusterUnavailable(f"the view is behind the ledger: {', '.join(lagging)}")
            await asyncio.sleep(self._pace.poll_seconds)

    def _droppable(self) -> bool:
        """Tell whether rows stand in the ledger that this view knows to be settled or expired."""
        assert self._stored is not None
        return len(self._stored.document.rows) > len(self._view.ledger)

    async def _wait_for_pace(self, size: int) -> None:
        if size > self._pace.max_bytes:
            raise ClusterUnavailable(f"the ledger is full: {size} bytes")
        seconds = self._written_at + size / self._pace.bytes_per_second - self._clock()
        if seconds > 0:
            await asyncio.sleep(seconds)
        self._written_at = self._clock()
