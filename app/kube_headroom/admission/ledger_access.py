"""Access: one replica's way to the ledger in the store, and what it knows of what stands there.

Whatever is lost, late or raced here, the replica's document is one that stood in the store, and a
write that nobody answered is found out about before the next (ledger-protocol L9).
"""

import uuid
from collections.abc import Callable
from itertools import count

import msgspec

from kube_headroom.admission.ledger_limits import LedgerLimits, LedgerPace
from kube_headroom.admission.turns import Turns
from kube_headroom.capacity.ledger_document import (
    Document,
    Encoded,
    LedgerConflictError,
    LedgerStore,
    Stored,
    encode,
)
from kube_headroom.capacity.ledger_replica import LedgerReplica
from kube_headroom.errors import ClusterUnavailable


class Figures(msgspec.Struct):
    """What one replica has done so far, and how large the ledger is."""

    commits: int = 0
    conflicts: int = 0
    full: int = 0
    """Promises that found no place in the ledger."""
    rows: int = 0
    characters: int = 0


class LedgerAccess:
    """Reads, makes and writes the ledger for one replica, one thing at a time."""

    def __init__(
        self,
        replica: LedgerReplica,
        store: LedgerStore,
        clock: Callable[[], float],
        limits: LedgerLimits,
    ) -> None:
        self.figures = Figures()
        self.fault = "the ledger was not read yet"
        self.in_doubt = True
        """Whether it must be read anew: at first, and when nobody knows what stands there."""
        self._replica = replica
        self._store = store
        self._clock = clock
        self._pace = LedgerPace(limits)
        self._turns = Turns()
        self._id = uuid.uuid4().hex
        self._writes = count()
        self._heard: Stored | None = None

    def seconds_left(self) -> float:
        """Return how long to wait before the next write."""
        now = self._clock()
        return max(self._pace.seconds_left(now), self._turns.seconds_left(now))

    def next_id(self) -> str:
        """Return a name for the next write."""
        return f"{self._id}-{next(self._writes)}"

    def heard(self, stored: Stored) -> bool:
        """Note what the watch shows; tell whether it is news."""
        if self._heard is not None and stored.version <= self._heard.version:
            return False
        self._heard = stored
        self._pace.written(len(stored.text), self._clock())
        return True

    async def take_over(self) -> None:
        """Make the open promises those that stand in the newest ledger known."""
        known = self._replica.stored
        newest = self._newer_heard()
        if self.in_doubt or known is None or (self._heard and self._heard.uid != known.uid):
            newest = await self._read()
        self._heard = None
        if newest is None:
            return
        try:
            self._replica.take_over(newest, self._clock())
        except ClusterUnavailable as error:
            self.fault = str(error)
            raise
        self.in_doubt, self.fault = False, ""
        writer = self._replica.document.write.rpartition("-")[0]
        if writer != self._id:
            self._turns.heard(writer, self._clock())
        self._note_size()

    async def _read(self) -> Stored:
        """Return what stands in the store, made anew where there is nothing."""
        while True:
            stored = await self._store.read()
            if stored is not None:
                return stored
            lost = uuid.uuid4().hex if self._replica.stored is not None else ""
            try:
                return await self._store.create(encode(Document(gap=lost)).text)
            except LedgerConflictError:
                continue  # another replica made it meanwhile

    async def write(self, document: Document, encoded: Encoded) -> bool:
        """Write a draft; False if another write came first and all is to be judged anew.

        Raises ClusterUnavailable when it did not take place for another reason, or nobody can tell.
        """
        stored = self._replica.stored
        assert stored is not None
        started = self._clock()
        try:
            version = await self._store.write(encoded.text, stored)
        except (LedgerConflictError, ClusterUnavailable) as error:
            return await self._recover(document, encoded, error)
        self._wrote(document, Stored(encoded.text, stored.uid, version))
        now = self._clock()
        self._turns.wrote(now - started, now)
        return True

    async def _recover(self, document: Document, encoded: Encoded, error: Exception) -> bool:
        """Find out whether a write that failed, or was not answered, took place (L9)."""
        lost_race = isinstance(error, LedgerConflictError)
        newest = self._newer_heard() if lost_race else None
        if newest is None:
            self.in_doubt = True
            newest = await self._store.read()
        if newest is not None and newest.text == encoded.text:
            self.in_doubt = False
            self._wrote(document, newest)
            return True
        for promise in self._replica.granted:
            self._replica.withdraw(promise)
        if lost_race:
            self.figures.conflicts += 1
            return False
        raise error

    def _newer_heard(self) -> Stored | None:
        """Return what the watch has shown of the same ledger, if it is newer than what we know."""
        known, heard = self._replica.stored, self._heard
        if known is None or heard is None or heard.uid != known.uid:
            return None
        return heard if heard.version > known.version else None

    def _wrote(self, document: Document, stored: Stored) -> None:
        self._replica.written(document, stored)
        self._pace.written(len(stored.text), self._clock())
        self.figures.commits += 1
        self._note_size()

    def _note_size(self) -> None:
        stored = self._replica.stored
        self.figures.rows = len(self._replica.document.rows)
        self.figures.characters = len(stored.text) if stored is not None else 0
