"""The committer: many replicas, one ledger, group commit (ledger-protocol L1, L2, L6, L8, L9).

All charged requests of this process wait in one queue. One task takes all that wait, judges each in
turn against the view, the promises and what it just granted, and writes once by compare-and-swap.
Nobody is answered before the write is acknowledged; a lost race is judged again on what won it.
"""

import asyncio
import contextlib
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
    deadline: float
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
        self._stored: Stored | None = None
        self._heard: Stored | None = None
        self._written_at = -1e9
        self._closed_until = -1e9
        self.commits = 0
        self.conflicts = 0

    @property
    def ready(self) -> bool:
        """Whether the ledger was read once."""
        return self._stored is not None

    async def promise(
        self, promise: Promise, judge: Judge, refuses: Refuses, *, timeout_seconds: float
    ) -> tuple[Shortfall, ...]:
        """Judge and promise; see Promiser. Raises ClusterUnavailable when it takes too long."""
        seconds = timeout_seconds * self._pace.share_of_timeout
        loop = asyncio.get_running_loop()
        waiter = _Waiter(promise, judge, refuses, self._clock() + seconds, loop.create_future())
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
            await self._wait_for_work()
            batch, self._queue = self._queue, []
            try:
                await self._commit([each for each in batch if not each.result.done()])
            except ClusterUnavailable as error:
                for waiter in batch:
                    if not waiter.result.done():
                        waiter.result.set_exception(error)

    async def _wait_for_work(self) -> None:
        """Return when something came in, or when it is time to sweep; replicas differ in when."""
        seconds = self._pace.sweep_seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spread
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _commit(self, batch: list[_Waiter]) -> None:
        """Judge a batch, write what is granted and drop what is settled, then answer."""
        await self._take_over()
        while True:
            await self._catch_up()
            found = {id(each): self._judged(each) for each in batch}
            granted = [promise for promise, _ in found.values() if promise is not None]
            if not granted and not self._droppable():
                break
            if await self._written():
                break
            for promise in granted:
                self._view.ledger.drop(promise)
            await self._take_over()
            if not batch:
                return  # what another wrote is swept next time
        for waiter in batch:
            if not waiter.result.done():
                waiter.result.set_result(found[id(waiter)][1])

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
        if self._stored is None:
            self._heard = await self._store.read()
        newest, self._heard = self._heard, None
        if newest is None or (self._stored is not None and not _is_newer(newest, self._stored)):
            return
        now = self._clock()
        if self._stored is not None and newest.uid != self._stored.uid:
            # Somebody deleted it: what stood there is lost, and may still come into being (L9).
            self._closed_until = now + self._view.ledger.promise_seconds
        self._stored = newest
        rows = set(newest.document.rows)
        for promise in [each for each in self._view.ledger if each not in rows]:
            self._view.ledger.drop(promise)
        for promise in newest.document.rows:
            if not self._view.ledger.promised(promise) and not self._view.shows(promise):
                self._view.ledger.add(promise, now)

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


def _is_newer(one: Stored, other: Stored) -> bool:
    return one.uid != other.uid or one.version > other.version
