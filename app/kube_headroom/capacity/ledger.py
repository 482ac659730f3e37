"""The ledger: what was promised and is not yet seen. Pure; time and resourceVersions come in.

    promise --laid over the book--> [open] --the view shows its effect---------------> settled
                                      |--- promise_seconds pass --> [old] --the view has passed the
                                                                     type's current rv--> expired

Absence never settles a create: a view that lags cannot tell "not yet" from "gone" (L5, L7).
"""

from collections.abc import Iterable, Iterator

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.failures import Failures
from kube_headroom.capacity.promise import Promise


class _Row(msgspec.Struct):
    """When this process last heard of a promise, and the rv that proves that it failed."""

    since: float
    proof: int | None = None


class Ledger:
    """The open promises, each laid over the book for as long as it is here."""

    def __init__(self, book: Book, *, promise_seconds: float) -> None:
        self._book = book
        self.promise_seconds = promise_seconds
        self._rows: dict[Promise, _Row] = {}
        self._of_uid: dict[str, list[Promise]] = {}
        self._lost: dict[str, _Row] = {}
        self.failures = Failures()

    def __len__(self) -> int:
        """Return the number of open promises."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Promise]:
        """Yield the open promises."""
        return iter(self._rows)

    def add(self, promise: Promise, now: float) -> None:
        """Open a promise, or wait anew for one that is open.

        Another version of the same uid, also at the same base, is another promise: of two requests
        that race nobody knows which one wins, and the book holds the larger (L3).
        """
        if promise not in self._rows:
            self._of_uid.setdefault(promise.uid, []).append(promise)
            self._book.lay(promise)
        self._rows[promise] = _Row(now)

    def promised(self, promise: Promise) -> bool:
        """Tell whether this very promise is open already: a review that came again (L11)."""
        return promise in self._rows

    def saw(self, uid: str, resource_version: int) -> None:
        """Settle what this object shows to have happened: an event of it, also of its end.

        For an object that a list no longer shows, it is the list's rv: it ended before.
        """
        for promise in tuple(self._of_uid.get(uid, ())):
            if resource_version > promise.base:
                self.failures.came_true(promise.namespace)
                self.drop(promise)

    def due(self, now: float) -> set[str]:
        """Return the resources with old promises, whose current rv would prove that they failed."""
        return {
            resource
            for resource, row in self._questions()
            if row.proof is None and now - row.since >= self.promise_seconds
        }

    def prove(self, resource: str, resource_version: int, now: float) -> None:
        """Note a rv of a resource, read at this time from the API server itself."""
        for about, row in self._questions():
            old = now - row.since >= self.promise_seconds
            if row.proof is None and old and about == resource:
                row.proof = resource_version

    def unproven(self, resource: str, resource_version: int) -> bool:
        """Tell whether something ends as soon as the view has passed a rv that it has not."""
        return any(
            about == resource and row.proof is not None and row.proof > resource_version
            for about, row in self._questions()
        )

    def expire(self, resource: str, resource_version: int) -> int:
        """Drop the old promises of a resource that the view has passed; return how many."""
        passed = [
            promise
            for promise, row in self._rows.items()
            if promise.resource == resource
            and row.proof is not None
            and resource_version >= row.proof
        ]
        for promise in passed:
            self.failures.failed(promise.namespace)
            self.drop(promise)
        lost = self._lost.get(resource)
        if lost is not None and lost.proof is not None and resource_version >= lost.proof:
            del self._lost[resource]
        return len(passed)

    def drop(self, promise: Promise) -> None:
        """Close a promise: settled, expired, or never written."""
        del self._rows[promise]
        others = self._of_uid[promise.uid]
        others.remove(promise)
        if not others:
            del self._of_uid[promise.uid]
        self._book.lift(promise)

    # What was promised and got lost (L9).

    @property
    def is_whole(self) -> bool:
        """Whether all that was promised is here, in the view, or has failed."""
        return not self._lost

    def lose(self, resources: Iterable[str], now: float) -> None:
        """Somebody removed promises of these resources: like old promises, they end by proof."""
        self._lost = {resource: _Row(now) for resource in resources}

    def mend(self) -> None:
        """Another replica proved that nothing is missing any more."""
        self._lost = {}

    def _questions(self) -> Iterator[tuple[str, _Row]]:
        for promise, row in self._rows.items():
            yield promise.resource, row
        yield from self._lost.items()
