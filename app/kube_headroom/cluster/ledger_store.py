"""The shared ledger in one ConfigMap: read, compare-and-swap, and a watch on what others write."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kube_headroom.capacity.ledger_document import (
    Document,
    LedgerConflictError,
    Stored,
    decode,
    encode,
)
from kube_headroom.capacity.rows import version_number
from kube_headroom.cluster.api_error import ApiError
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import ResourcePath
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.objects import KubeObject

KEY: Final = "ledger.json"


class ConfigMapLedgerStore:
    """A LedgerStore; `owner` is an ownerReference, so that uninstalling leaves nothing."""

    def __init__(
        self, client: Client, namespace: str, name: str, owner: dict[str, Any] | None = None
    ) -> None:
        self._client = client
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._name = name
        self._metadata: dict[str, Any] = {"name": name, "namespace": namespace}
        if owner is not None:
            self._metadata["ownerReferences"] = [owner]

    async def read(self) -> Stored:
        """Return the ledger, created empty if absent."""
        try:
            return stored_in(_object(await self._client.get(f"{self._collection}/{self._name}")))
        except ApiError as error:
            if error.status != 404:
                raise
        try:
            body = self._body(encode(Document()), "")
            return stored_in(_object(await self._client.post(self._collection, body)))
        except ApiError as error:
            if error.status != 409:
                raise
        return await self.read()  # another replica made it meanwhile

    async def write(self, text: str, on: Stored) -> int:
        """Replace the ledger if it is still the one that this was judged on."""
        try:
            body = self._body(text, str(on.version), on.uid)
            answer = await self._client.put(f"{self._collection}/{self._name}", body)
        except ApiError as error:
            if error.status in {404, 409}:
                raise LedgerConflictError from error
            raise
        return stored_in(_object(answer)).version

    def _body(self, text: str, version: str, uid: str = "") -> bytes:
        metadata = dict(self._metadata)
        if version:
            metadata |= {"resourceVersion": version, "uid": uid}
        return msgspec.json.encode(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}
        )


def stored_in(obj: KubeObject) -> Stored:
    """Return what a ConfigMap holds. Raises ClusterUnavailable if it cannot be read."""
    metadata, data = obj.metadata, obj.data or {}
    document = decode(data[KEY]) if KEY in data else Document()
    version = version_number(metadata.resource_version or "")
    return Stored(document, metadata.uid or "", version)


def _object(body: bytes) -> KubeObject:
    try:
        return msgspec.json.decode(body, type=KubeObject)
    except msgspec.MsgspecError as error:
        raise ClusterUnavailable(f"the ledger cannot be read: {error}") from error


class LedgerWatch:
    """Tells what other replicas write."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        heard: Callable[[Stored], None],
        *,
        settings: ReflectorSettings = ReflectorSettings(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        resource = ResourcePath(
            "configmaps", "ConfigMap", namespace=namespace, field_selector=f"metadata.name={name}"
        )
        self.reflector = Reflector(client, resource, _Heard(heard), settings, clock)

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        await self.reflector.run()


class _Heard:
    """A view of one object, whose every version is passed on."""

    def __init__(self, heard: Callable[[Stored], None]) -> None:
        self._heard = heard

    def begin_list(self, resource: str) -> None:
        """There is one object at most."""

    def put(self, resource: str, obj: KubeObject) -> None:  # noqa: ARG002 - there is one
        self._heard(stored_in(obj))

    def remove(self, resource: str, obj: KubeObject) -> None:
        """The next write finds it gone and makes it anew."""

    def end_list(self, resource: str, resource_version: str, now: float) -> None:
        """Nothing to drop."""

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        """A ledger does not get stale: a write on an old one fails."""
