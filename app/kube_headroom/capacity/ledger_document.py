"""The ledger as it is stored: one text that any replica, also of another version, can judge.

Rows are as small as a stranger's judgement allows (ledger-protocol L4): placements, which many rows
share, stand once; the ledger is the hottest object of the cluster, and its size is its price.
"""

from typing import Final, Protocol

import msgspec

from kube_headroom.capacity.load import Load
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.placement import Placement

FORMAT: Final = 1
"""Raised by a release only after one that can read it already (L16)."""


class Document(msgspec.Struct, frozen=True):
    """All open promises, and how far a view must be to be judged beside them."""

    rows: tuple[Promise, ...] = ()
    watermarks: dict[str, int] = msgspec.field(default_factory=dict)
    """By resource, the rv of the last object that the writers' views had seen (L6)."""
    write: str = ""
    """Who wrote this last: tells a writer whose answer was lost that it succeeded (L9)."""


class Stored(msgspec.Struct, frozen=True):
    """A document as it stands in the store."""

    document: Document
    uid: str
    version: int


class LedgerConflictError(Exception):
    """Somebody else wrote first."""


class LedgerStore(Protocol):
    """The one object that all replicas share, changed by compare-and-swap."""

    async def read(self) -> Stored:
        """Return what stands there, created empty if absent. Raises ClusterUnavailable."""
        ...

    async def write(self, text: str, on: Stored) -> int:
        """Replace what stood there and return the new version.

        Raises LedgerConflictError if something else stands there, ClusterUnavailable if nobody can
        tell whether it was written.
        """
        ...


class _Row(msgspec.Struct, array_like=True, frozen=True):
    resource: str
    uid: str
    base: int
    namespace: str
    name: str
    count: int
    requests: tuple[int, int, int, int]
    limits: tuple[int, int, int, int]
    placement: int
    priority: int
    preempts: bool
    owner: str


class _Stored(msgspec.Struct):
    format: int
    write: str
    watermarks: dict[str, int]
    placements: list[Placement]
    rows: list[_Row]


class _Head(msgspec.Struct):
    format: int


def encode(document: Document) -> str:
    """Return the text of a document."""
    placements: dict[Placement, int] = {}
    rows = [
        _row(each, placements.setdefault(each.version.placement, len(placements)))
        for each in document.rows
    ]
    stored = _Stored(FORMAT, document.write, document.watermarks, list(placements), rows)
    return msgspec.json.encode(stored).decode()


def decode(text: str) -> Document:
    """Return the document of a text. Raises ClusterUnavailable for one that cannot be read."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format > FORMAT:
            raise ClusterUnavailable(
                f"the ledger has format {head.format}; this replica reads up to {FORMAT}"
            )
        stored = msgspec.json.decode(text, type=_Stored)
        rows = tuple(_promise(each, stored.placements) for each in stored.rows)
    except (msgspec.MsgspecError, IndexError) as error:
        raise ClusterUnavailable(f"the ledger cannot be read: {error}") from error
    return Document(rows, stored.watermarks, stored.write)


def _row(promise: Promise, placement: int) -> _Row:
    version = promise.version
    return _Row(
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
    )


def _promise(row: _Row, placements: list[Placement]) -> Promise:
    version = Version(
        count=row.count,
        unit=Load(Amounts(*row.requests), Amounts(*row.limits)),
        placement=placements[row.placement],
        priority=row.priority,
        owner=row.owner,
        preempts=row.preempts,
    )
    return Promise(row.resource, row.uid, row.base, row.namespace, row.name, version)
