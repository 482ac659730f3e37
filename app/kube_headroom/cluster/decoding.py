"""Bytes from the API server -> objects, in pieces small enough not to hold the event loop.

Pure: no client, no clock. A list page of 500 pods is about 4 MB on one line; decoding it whole
would hold the loop for 5 ms and more. So it is cut between items. Candidates for a cut are found
by text search, and a piece is accepted only if it is valid JSON by itself: a wrong candidate (the
same text deeper inside an object) leaves brackets open, so it cannot pass.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from kube_headroom.resources.objects import KubeObject, ObjectMeta

Text = bytes | bytearray

ITEMS: Final = b'"items":['
BETWEEN_ITEMS: Final = b'},{"metadata":{'


class ListMeta(msgspec.Struct, rename="camel", gc=False):
    """The metadata of a list."""

    resource_version: str | None = None
    continue_: str | None = msgspec.field(default=None, name="continue")


class PageHead(msgspec.Struct, gc=False):
    """A list without its items."""

    metadata: ListMeta


class WatchEvent(msgspec.Struct, gc=False):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: KubeObject


class RawEvent(msgspec.Struct):
    """An event whose object is not looked at yet: it may be an error's status."""

    type: str
    object: msgspec.Raw


class ErrorStatus(msgspec.Struct):
    """metav1.Status: what the API server says when something went wrong."""

    code: int = 0
    reason: str | None = None
    message: str | None = None


class MetadataOnly(msgspec.Struct):
    """The least that is needed to name an object."""

    metadata: ObjectMeta


class Undecodable(msgspec.Struct, frozen=True):
    """An object that does not have the shape its type promises."""

    metadata: ObjectMeta
    fault: str


class WatchError(Exception):
    """The watch carried an ERROR event."""

    def __init__(self, status: ErrorStatus) -> None:
        self.status = status
        super().__init__(f"{status.code} {status.reason}: {status.message}")


_HEAD: Final = msgspec.json.Decoder(PageHead)
_OBJECTS: Final = msgspec.json.Decoder(list[KubeObject])
_RAW_OBJECTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(KubeObject)
_METADATA: Final = msgspec.json.Decoder(MetadataOnly)
_EVENTS: Final = msgspec.json.Decoder(WatchEvent)
_RAW_EVENT: Final = msgspec.json.Decoder(RawEvent)
_STATUS: Final = msgspec.json.Decoder(ErrorStatus)


def page_head(body: Text) -> ListMeta:
    """Return a page's metadata; its items are not even scanned where they come last, as in Go."""
    start = body.find(ITEMS)
    if start >= 0:
        try:
            return _HEAD.decode(body[:start].rstrip(b", \n") + b"}").metadata
        except msgspec.DecodeError:
            pass  # the metadata comes after the items: read it all
    return _HEAD.decode(body).metadata


def page_items(body: Text, piece_bytes: int) -> Iterator[list[KubeObject | Undecodable]]:
    """Yield a page's objects in pieces of about piece_bytes of JSON."""
    start, end = body.find(ITEMS) + len(ITEMS), body.rfind(b"]")
    if start < len(ITEMS):
        return  # "items": null
    while start < end:
        objects, start = _piece(body, start, end, piece_bytes)
        yield objects


def _piece(
    body: Text, start: int, end: int, piece_bytes: int
) -> tuple[list[KubeObject | Undecodable], int]:
    """Return the objects from start to the first good cut, and where the next piece starts."""
    candidate = start + piece_bytes
    while True:
        candidate = body.find(BETWEEN_ITEMS, candidate, end)
        stop = end if candidate < 0 else candidate + 1
        try:
            return _decode_objects(b"[" + body[start:stop] + b"]"), stop + 1
        except msgspec.DecodeError:
            if stop == end:
                raise
            candidate += 1  # not between two items: the next one


def _decode_objects(text: bytes) -> list[KubeObject | Undecodable]:
    """Decode a JSON array; an object of a wrong shape does not take the others with it."""
    try:
        return list(_OBJECTS.decode(text))
    except msgspec.ValidationError:
        return [_decode_object(raw) for raw in _RAW_OBJECTS.decode(text)]


def _decode_object(raw: msgspec.Raw) -> KubeObject | Undecodable:
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError as error:
        return Undecodable(_METADATA.decode(raw).metadata, str(error))


def line_pieces(block: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Cut a block of whole lines into pieces of whole lines, each about piece_bytes long."""
    if len(block) <= piece_bytes:
        yield block
        return
    start = 0
    while start < len(block):
        stop = block.find(b"\n", start + piece_bytes) + 1 or len(block)
        yield block[start:stop]
        start = stop


def watch_events(lines: bytes) -> list[WatchEvent | Undecodable | WatchError]:
    """Decode the events of whole lines; an ERROR event ends them."""
    try:
        return list(_EVENTS.decode_lines(lines))
    except msgspec.ValidationError:
        return list(_one_by_one(lines))


def _one_by_one(lines: bytes) -> Iterator[WatchEvent | Undecodable | WatchError]:
    for line in lines.splitlines():
        event = _RAW_EVENT.decode(line)
        if event.type == "ERROR":
            yield WatchError(_STATUS.decode(event.object))
            return
        decoded = _decode_object(event.object)
        if isinstance(decoded, KubeObject):
            yield WatchEvent(event.type, decoded)
        elif event.type == "DELETED":  # to forget it, its name is enough
            yield WatchEvent(event.type, KubeObject(metadata=decoded.metadata))
        else:
            yield decoded
