"""The ledger as it is stored: one text that any replica, also of another version, can judge.

Rows are as small as a stranger's judgement allows (ledger-protocol L4): placements, which many rows
share, stand once; the ledger is the hottest object of the cluster, and its size is its price.
"""

from collections import Counter
from typing import Annotated, Final, Protocol

import msgspec

from kube_headroom.capacity.load import Load
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.view import WORKLOADS
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.placement import Placement
from kube_headroom.resources.selector import Selector

FORMAT: Final = 1
"""Raised by a release only after one that can read it already (L16)."""

HOLDING: Final = ("pods", *WORKLOADS)
"""The resources that hold commitments."""


class LedgerTooNewError(ClusterUnavailable):
    """A newer release writes it: only that release may judge by it (L16)."""


class LedgerUnreadableError(ClusterUnavailable):
    """No release wrote this: somebody edited it."""


class Document(msgspec.Struct, frozen=True):
    """All open promises, and how far a view must be to be judged beside them."""

    rows: dict[Promise, int] = msgspec.field(default_factory=dict)
    """How often each was asked for anew by a later request."""
    watermarks: dict[str, int] = msgspec.field(default_factory=dict)
    """By resource, the rv of the last object that the writers' views had seen (L6)."""
    gap: str = ""
    """Names a loss of rows that nobody has proven harmless yet (L9); empty when all is there."""
    write: str = ""
    """Who wrote this last: tells a writer whose answer was lost that it succeeded (L9)."""


class Stored(msgspec.Struct, frozen=True):
    """The ledger as it stands in the store."""

    text: str
    uid: str
    version: int


class LedgerConflictError(Exception):
    """Somebody else wrote first."""


class LedgerStore(Protocol):
    """The one object that all replicas share. Raises ClusterUnavailable when nobody can tell."""

    async def read(self) -> Stored | None:
        """Return what stands there now, never an older state; None where there is nothing."""
        ...

    async def create(self, text: str) -> Stored:
        """Put it there for the first time. Raises LedgerConflictError if there is something."""
        ...

    async def write(self, text: str, on: Stored) -> int:
        """Replace what stood there and return the new version.

        Raises LedgerConflictError if something else, or nothing, stands there.
        """
        ...


Natural = Annotated[int, msgspec.Meta(ge=0)]
Four = tuple[Natural, Natural, Natural, Natural]


class _Row(msgspec.Struct, array_like=True, frozen=True):
    resource: str
    uid: str
    base: Natural
    namespace: str
    name: str
    count: Natural
    requests: Four
    limits: Four
    placement: Natural
    priority: int
    preempts: bool
    owner: str
    renewals: Natural


class _CoveringRow(_Row, array_like=True, frozen=True):
    """A row that takes what others left; most take nothing, and say nothing of it."""

    covers: Selector | None = None


class _Stored(msgspec.Struct):
    format: int
    write: str
    gap: str
    watermarks: dict[str, Natural]
    placements: list[Placement]
    rows: list[_CoveringRow]


class _Head(msgspec.Struct):
    format: Annotated[int, msgspec.Meta(ge=1)]


class Encoded(msgspec.Struct, frozen=True):
    """A document as text, and how much of it each namespace's rows take, in characters."""

    text: str
    by_namespace: Counter[str]


def encode(document: Document) -> Encoded:
    """Return the text of a document."""
    encoder = msgspec.json.Encoder()
    placements: dict[Placement, int] = {}
    by_namespace: Counter[str] = Counter()
    rows = []
    for promise, renewals in document.rows.items():
        placement = promise.version.placement
        if placement not in placements:
            placements[placement] = len(placements)
            by_namespace[promise.namespace] += len(encoder.encode(placement))
        row = encoder.encode(_row(promise, placements[placement], renewals))
        by_namespace[promise.namespace] += len(row)
        rows.append(msgspec.Raw(row))
    text = encoder.encode(
        {
            "format": FORMAT,
            "write": document.write,
            "gap": document.gap,
            "watermarks": document.watermarks,
            "placements": list(placements),
            "rows": rows,
        }
    ).decode()
    return Encoded(text, by_namespace)


def decode(text: str) -> Document:
    """Return the document of a text. Raises LedgerTooNewError, LedgerUnreadableError."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format > FORMAT:
            raise LedgerTooNewError(
                f"the ledger has format {head.format}; this release reads up to {FORMAT}"
            )
        stored = msgspec.json.decode(text, type=_Stored)
        rows = {_promise(each, stored.placements): each.renewals for each in stored.rows}
    except (msgspec.MsgspecError, IndexError) as error:
        raise LedgerUnreadableError(f"the ledger cannot be read: {error}") from error
    strange = {promise.resource for promise in rows}.difference(HOLDING)
    if strange:
        raise LedgerTooNewError(f"the ledger has rows of unknown kinds: {', '.join(strange)}")
    return Document(rows, stored.watermarks, stored.gap, stored.write)


def _row(promise: Promise, placement: int, renewals: int) -> _Row:
    version = promise.version
    fields = (
        promise.resource,
        promise.uid,
        promise.base,
        promise.namespace,
        promise.name,
        version.count,
        msgspec.structs.astuple(version.unit.requests),
        msgspec.structs.astuple(version.unit.limits),
        placement,
        version.priority,
        version.preempts,
        version.owner,
        renewals,
    )
    return _Row(*fields) if promise.covers is None else _CoveringRow(*fields, promise.covers)


def _promise(row: _CoveringRow, placements: list[Placement]) -> Promise:
    version = Version(
        count=row.count,
        unit=Load(Amounts(*row.requests), Amounts(*row.limits)),
        placement=placements[row.placement],
        priority=row.priority,
        owner=row.owner,
        preempts=row.preempts,
    )
    return Promise(row.resource, row.uid, row.base, row.namespace, row.name, version, row.covers)
