"""The ledger: what was promised and is not yet seen. Pure; time and resourceVersions come in.

    promise --laid over the book--> [open] --the view shows its effect---------------> settled
                                      |--- promise_seconds pass --> [old] --the view has passed the
                                                                     type's current rv--> expired

Absence never settles a create: a view that lags cannot tell "not yet" from "gone" (L5, L7).
"""

from collections.abc import Iterator

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.promise import Promise


class _Row(msgspec.Struct):
    """One promise, when this process first saw it, and the rv that proves it failed."""

    promise: Promise
    since: float
    proof: int | None = None


class Ledger:
    """The open promises, each laid over the book for as long as it is here."""

    def __init__(self, book: Book, *, promise_seconds: float) -> None:
        self._book = book
        self._promise_seconds = promise_seconds
        self._rows: dict[tuple[str, int], _Row] = {}
        self._keys: dict[str, list[tuple[str, int]]] = {}

    def __len__(self) -> int:
        """Return the number of open promises."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Promise]:
        """Yield the open promises."""
        return (row.promise for row in self._rows.values())

    def add(self, promise: Promise, now: float) -> None:
        """Open a promise. The same uid at the same base replaces its row."""
        known = self._rows.get(promise.key)
        if known is None:
            self._keys.setdefault(promise.uid, []).append(promise.key)
        else:
            self._book.lift(known.promise)
        self._rows[promise.key] = _Row(promise, now)
        self._book.lay(promise)

    def promised(self, promise: Promise) -> bool:
        """Tell whether this very promise is open already: a review that came again (L11)."""
        known = self._rows.get(promise.key)
        return known is not None and known.promise == promise

    def saw(self, uid: str, resource_version: int) -> None:
        """Settle what an event of this object, its deletion included, shows to have happened."""
        keys = self._keys.get(uid)
        if keys is None:
            return
        for key in tuple(keys):
            if resource_version > key[1]:
                self._drop(key)

    def due(self, now: float) -> set[str]:
        """Return the resources with old promises, whose current rv would prove that they failed."""
        return {
            row.promise.resource
            for row in self._rows.values()
            if row.proof is None and now - row.since >= self._promise_seconds
        }

    def prove(self, resource: str, resource_version: int, now: float) -> None:
        """Note a rv of a resource, read at this time from the API server itself."""
        for row in self._rows.values():
            old = now - row.since >= self._promise_seconds
            if row.proof is None and old and row.promise.resource == resource:
                row.proof = resource_version

    def expire(self, resource: str, resource_version: int) -> int:
        """Drop the old promises of a resource that the view has passed; return how many."""
        passed = [
            key
            for key, row in self._rows.items()
            if row.promise.resource == resource
            and row.proof is not None
            and resource_version >= row.proof
        ]
        for key in passed:
            self._drop(key)
        return len(passed)

    def _drop(self, key: tuple[str, int]) -> None:
        row = self._rows.pop(key)
        keys = self._keys[key[0]]
        keys.remove(key)
        if not keys:
            del self._keys[key[0]]
        self._book.lift(row.promise)
