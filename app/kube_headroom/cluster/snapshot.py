"""A cluster from a file: what `kubectl get ... -o json` wrote, or any manifests.

For the commands that work without a cluster; so it imports no client.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from kube_headroom.cluster.resource_paths import RESOURCES, api_group
from kube_headroom.cluster.view import View
from kube_headroom.errors import AppError
from kube_headroom.resources.manifest import (
    Document,
    Fault,
    UnreadableObject,
    read_documents,
    to_object,
)
from kube_headroom.resources.objects import KubeObject


class SnapshotError(AppError):
    """The file cannot be read as a snapshot of a cluster."""


class _Collection(msgspec.Struct, rename="camel", gc=False):
    """A List, a PodList, ... or a single object, which has no items."""

    api_version: str = ""
    kind: str = ""
    items: list[KubeObject] | None = None


_COLLECTION: Final = msgspec.json.Decoder(_Collection)
_OBJECT: Final = msgspec.json.Decoder(KubeObject)
_PLURALS: Final = {(path.group, path.kind): path.plural for path in RESOURCES.values()}
_MAX_FAULTS: Final = 10


def load_snapshot(path: str | Path) -> list[KubeObject]:
    """Return the objects in a file that a cluster's view is made of; others are skipped.

    Raises SnapshotError with what is wrong and where.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror or error}") from error
    objects = _quickly(text)
    return _carefully(text, str(path)) if objects is None else objects


def fill_view(
    view: View,
    objects: Iterable[KubeObject],
    *,
    now: float = 0.0,
    resources: Iterable[str] = tuple(RESOURCES),
) -> None:
    """Pour objects into a view of these types, as if each had been listed; absent ones are empty."""
    sorted_out: dict[str, list[KubeObject]] = {plural: [] for plural in resources}
    for obj in objects:
        plural = plural_of(obj.api_version, obj.kind)
        if plural in sorted_out:
            sorted_out[plural].append(obj)
    for plural, found in sorted_out.items():
        view.begin_list(plural)
        for obj in found:
            view.put(plural, obj)
        view.end_list(plural, _latest_version(found), now)


def plural_of(api_version: str, kind: str) -> str | None:
    """Return the resource type's name, in whatever version of its group; None if not ours."""
    return _PLURALS.get((api_group(api_version), kind))


def _quickly(text: bytes) -> list[KubeObject] | None:
    """Read what kubectl prints, one JSON List or object, in one go; None if it is not that."""
    try:
        collection = _COLLECTION.decode(text)
        found = [_OBJECT.decode(text)] if collection.items is None else collection.items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if any(obj.kind.endswith("List") for obj in found):
        return None
    for obj in found:  # the items of a PodList do not repeat what they are
        obj.kind = obj.kind or collection.kind.removesuffix("List")
        obj.api_version = obj.api_version or collection.api_version
    return [obj for obj in found if plural_of(obj.api_version, obj.kind)]


def _carefully(text: bytes, source: str) -> list[KubeObject]:
    """Read YAML or several documents; name every fault."""
    objects: list[KubeObject] = []
    faults: list[str] = []
    try:
        documents = list(read_documents(text.decode(), source))
    except UnicodeDecodeError as error:
        raise SnapshotError(f"{source}: no UTF-8 text: {error.reason}") from error
    for document in documents:
        if isinstance(document, Fault):
            faults.append(str(document))
        elif _is_ours(document):
            try:
                objects.append(to_object(document))
            except UnreadableObject as error:
                faults.append(str(error))
    if faults:
        more = f"\n... and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
        raise SnapshotError("\n".join(faults[:_MAX_FAULTS]) + more)
    return objects


def _is_ours(document: Document) -> bool:
    """Objects of kinds we never read may have any shape."""
    version, kind = document.data.get("apiVersion"), document.data.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return True  # to_object says what is missing
    return plural_of(version, kind) is not None


def _latest_version(objects: Iterable[KubeObject]) -> str:
    versions = (obj.metadata.resource_version or "" for obj in objects)
    return str(max((int(text) for text in versions if text.isdecimal()), default=0))
