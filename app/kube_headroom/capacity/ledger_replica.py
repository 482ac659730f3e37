"""One replica's side of the shared ledger: what it takes over, grants, and writes. Pure.

    take_over(what stands in the store) -> behind()? closed? -> covers() or grant() ... -> draft()
        -> the store took it: written()    -> it did not: withdraw(), and all over again

The open promises of the view's ledger are the rows of the document less what this view has settled
or proven to have failed; what it leaves out of a draft is thereby dropped for all. Others do not
judge before their views are as far as the draft's watermarks, so they miss nothing by it (L6).
"""

from typing import Final

from kube_headroom.capacity.ledger_document import (
    HOLDING,
    Document,
    LedgerUnreadableError,
    Stored,
    decode,
)
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.view import POLICY, View

WATERMARKED: Final = frozenset({*HOLDING, POLICY})
RENEWAL_SHARE: Final = 1 / 15
"""Of promise_seconds: 75 s less this cover a request of the API server's 60 s in every replica."""


class LedgerReplica:
    """The document as it was last read or written, beside the view that is judged."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.stored: Stored | None = None
        self.document = Document()
        self._granted: dict[Promise, bool] = {}
        """What the next draft adds or renews, and whether it was open before."""
        self._granted_at: dict[Promise, float] = {}
        """When an update was last granted here."""
        self.unmarked = False
        """Whether a loss is not noted in the store yet."""
        self._gap = ""

    # What stands in the store.

    def take_over(self, stored: Stored, now: float) -> None:
        """Make the open promises those that stand there. Raises LedgerTooNewError."""
        self._granted.clear()
        lost = self.stored is not None and stored.uid != self.stored.uid
        try:
            document = decode(stored.text)
        except LedgerUnreadableError:
            document, lost = Document(watermarks=self.document.watermarks), True
        self._note_gap(document.gap, now, lost=lost)
        self._open_promises(document, now)
        self.stored, self.document = stored, document

    def _note_gap(self, gap: str, now: float, *, lost: bool) -> None:
        """Close the gate when rows were lost, open it when that was proven harmless (L9)."""
        ledger = self._view.ledger
        if lost or (gap and gap != self._gap):
            ledger.lose(HOLDING, now)
        if gap:
            self.unmarked = False
        elif lost:
            self.unmarked = True
        elif not self.unmarked:
            ledger.mend()
        self._gap = gap

    def _open_promises(self, document: Document, now: float) -> None:
        """Open what is new or renewed, close what is gone; what was closed here stays closed."""
        ledger, known = self._view.ledger, self.document.rows
        for promise in [each for each in ledger if each not in document.rows]:
            ledger.drop(promise)
        for promise, renewals in document.rows.items():
            if known.get(promise) != renewals and not self._view.shows(promise):
                ledger.add(promise, now)

    # Whether a request may be judged.

    def behind(self) -> tuple[str, ...]:
        """Return the resources in which the view is not as far as those who wrote (L6)."""
        return self._view.behind(self.document.watermarks)

    @property
    def is_closed(self) -> bool:
        """Whether promises may be missing that are not in the view yet either (L9)."""
        return self.unmarked or not self._view.ledger.is_whole

    # What is promised.

    def covers(self, promise: Promise, now: float) -> bool:
        """Tell whether a promise stands that outlasts the request that asks for it (L11).

        A create's uid is its request's own. An update may be asked for by another request later,
        when others are about to question the row: then it is to be granted anew.
        """
        if not self._view.ledger.promised(promise):
            return False
        if not promise.base or promise in self._granted:
            return True
        granted_at = self._granted_at.get(promise)
        seconds = self._view.ledger.promise_seconds * RENEWAL_SHARE
        return granted_at is not None and now - granted_at < seconds

    def grant(self, promise: Promise, now: float) -> None:
        """Promise this with the next draft, unless it is in the view's past and cannot land."""
        if promise.base and self._view.shows(promise):
            return
        ledger = self._view.ledger
        self._granted.setdefault(promise, ledger.promised(promise))
        if promise.base:
            self._granted_at[promise] = now
        ledger.add(promise, now)

    @property
    def granted(self) -> tuple[Promise, ...]:
        """What the next draft promises."""
        return tuple(self._granted)

    def draft(self, write: str) -> Document:
        """Return what is to be written."""
        known, granted = self.document.rows, self._granted
        rows = {
            promise: known.get(promise, -1) + 1 if promise in granted else known.get(promise, 0)
            for promise in self._view.ledger
        }
        watermarks = dict(self.document.watermarks)
        for name, version in self._view.event_versions.items():
            if version and name in WATERMARKED:
                watermarks[name] = max(watermarks.get(name, 0), version)
        gap = "" if self._view.ledger.is_whole else self.document.gap
        return Document(rows, watermarks, write if self.unmarked else gap, write)

    def written(self, document: Document, stored: Stored) -> None:
        """Note that the store took a draft."""
        self.stored, self.document = stored, document
        self._granted.clear()
        self._granted_at = {
            promise: at for promise, at in self._granted_at.items() if promise in document.rows
        }
        if self.unmarked:
            self.unmarked, self._gap = False, document.gap

    def withdraw(self, promise: Promise) -> None:
        """Take back what was granted and not written."""
        was_open = self._granted.pop(promise)
        self._granted_at.pop(promise, None)
        if not was_open and self._view.ledger.promised(promise):
            self._view.ledger.drop(promise)

    def settle(self) -> None:
        """Close what the view was too far for when it heard of it (L5)."""
        for promise in [each for each in self._view.ledger if self._view.shows(each)]:
            self._view.ledger.drop(promise)

    @property
    def has_news(self) -> bool:
        """Whether there is something to write that others should know at once."""
        mended = self.document.gap != "" and self._view.ledger.is_whole
        return bool(self._granted or self.unmarked or mended)

    @property
    def is_droppable(self) -> bool:
        """Whether the store holds rows that this view knows to be over."""
        ledger = self._view.ledger
        return any(not ledger.promised(promise) for promise in self.document.rows)
