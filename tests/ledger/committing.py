"""Committers over one store in memory that fails as a real one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kube_headroom.admission.committer import Committer, Patience
from kube_headroom.admission.ledger_limits import LedgerLimits
from kube_headroom.capacity.ledger_document import Document, LedgerConflictError, Stored, decode
from kube_headroom.errors import ClusterUnavailable
from tests.ledger.cluster import FakeCluster, Follower, made

Fault = Callable[["MemoryStore", str, Stored], "int | None"]
"""Stands in for one write; None lets it happen."""


class MemoryStore:
    """A LedgerStore over the fake cluster's ledger; `faults` are used up one a write."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.faults: list[Fault] = []
        self.seconds = 0.004
        self.reads = self.writes = 0
        self.is_down = False
        self.listeners: list[Committer] = []

    async def read(self) -> Stored | None:
        await asyncio.sleep(self.seconds)
        self.reads += 1
        if self.is_down:
            raise ClusterUnavailable("down")
        return self.cluster.ledger

    async def create(self, text: str) -> Stored:
        await asyncio.sleep(self.seconds)
        if self.cluster.ledger is not None:
            raise LedgerConflictError
        self.cluster.create_ledger(text)
        return self.tell()

    async def write(self, text: str, on: Stored) -> int:
        await asyncio.sleep(self.seconds)
        if self.is_down:
            raise ClusterUnavailable("down")
        if self.faults:
            version = self.faults.pop(0)(self, text, on)
            if version is not None:
                return version
        return self.write_now(text, on)

    def write_now(self, text: str, on: Stored) -> int:
        if self.cluster.write_ledger(text, on) is None:
            raise LedgerConflictError
        self.writes += 1
        return self.tell().version

    def tell(self) -> Stored:
        assert self.cluster.ledger is not None
        for committer in self.listeners:
            asyncio.get_running_loop().call_later(0.001, committer.heard, self.cluster.ledger)
        return self.cluster.ledger

    def delete(self) -> None:
        self.cluster.ledger = None
        for committer in self.listeners:
            committer.deleted()

    @property
    def document(self) -> Document:
        assert self.cluster.ledger is not None
        return decode(self.cluster.ledger.text)


def lost_answer(store: MemoryStore, text: str, on: Stored) -> int | None:
    """The write happens, and nobody hears of it."""
    store.write_now(text, on)
    raise ClusterUnavailable("the connection broke")


def lost_question(store: MemoryStore, text: str, on: Stored) -> int | None:
    """The write never arrives."""
    raise ClusterUnavailable("the connection broke")


def beaten(store: MemoryStore, text: str, on: Stored) -> int | None:
    """Somebody else writes first: the same text, under another version."""
    assert store.cluster.ledger is not None
    store.write_now(store.cluster.ledger.text, store.cluster.ledger)
    return None


class Server:
    """One replica: its follower, its committer, and how requests reach it."""

    def __init__(
        self,
        store: MemoryStore,
        patience: Patience | None = None,
        limits: LedgerLimits | None = None,
    ) -> None:
        self.follower = Follower(store.cluster)
        clock = asyncio.get_running_loop().time
        self.committer = Committer(
            self.follower.view, store, clock, patience=patience, limits=limits
        )
        store.listeners.append(self.committer)
        self.task = asyncio.create_task(self.committer.run())

    async def ask(
        self, uid: str, count: int = 1, *, base: int = 0, seconds: float = 5.0, units: int = 1
    ) -> str:
        """Ask for a Deployment; return allowed, refused or unavailable."""
        follower = self.follower
        promise = follower.promise("deployments", made("deployments", uid, count, units), base)
        try:
            found = await self.committer.promise(
                promise, lambda: follower.judge(promise), bool, timeout_seconds=seconds
            )
        except ClusterUnavailable:
            return "unavailable"
        return "refused" if found else "allowed"

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def prove(server: Server) -> None:
    """Note what would prove that old promises failed."""
    ledger, now = server.follower.view.ledger, asyncio.get_running_loop().time()
    for resource in ledger.due(now):
        ledger.prove(resource, server.follower.cluster.version, now)


def expire(server: Server) -> None:
    """Let the view pass every proof."""
    view, cluster = server.follower.view, server.follower.cluster
    for resource in view.ledger.due(1e9) | set(view.resource_versions):
        if resource in server.follower.seen:
            server.follower.bookmark(resource)
        elif resource in view.resource_versions and resource != "policy":
            view.progress(resource, str(cluster.version), cluster.now)
    for resource, seen in view.resource_versions.items():
        view.ledger.expire(resource, seen)


@asynccontextmanager
async def servers(
    count: int,
    *,
    room: int = 100,
    patience: Patience | None = None,
    limits: LedgerLimits | None = None,
) -> AsyncIterator[tuple[MemoryStore, list[Server]]]:
    """Run so many replicas over one store."""
    store = MemoryStore(FakeCluster(room))
    running = [Server(store, patience, limits) for _ in range(count)]
    await asyncio.sleep(0.1)
    try:
        yield store, running
    finally:
        for server in running:
            await server.stop()
