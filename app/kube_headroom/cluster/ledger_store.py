"""The shared ledger in one ConfigMap: read, compare-and-swap, and a watch on what others write."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from kube_headroom.capacity.ledger_document import LedgerConflictError, Stored
from kube_headroom.capacity.rows import version_number
from kube_headroom.cluster.api_error import ApiError
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import ResourcePath
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.objects import KubeObject

Send = Callable[[str, bytes], Awaitable[bytes]]

KEY: Final = "ledger.json"
ACCOUNT: Final = "system:serviceaccount:"
WHO_AM_I: Final = b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}'


class ConfigMapLedgerStore:
    """A LedgerStore. The ConfigMap belongs to our ServiceAccount: uninstalling leaves nothing."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._owner: dict[str, str] | None = None

    async def read(self) -> Stored | None:
        """Return the ledger; None if there is none."""
        try:
            return stored_in(_object(await self._client.get(f"{self._collection}/{self._name}")))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, text: str) -> Stored:
        """Make the ledger."""
        return stored_in(_object(await self._sent(self._client.post, self._collection, text, {})))

    async def write(self, text: str, on: Stored) -> int:
        """Replace the ledger if it is still the one that this was judged on."""
        path = f"{self._collection}/{self._name}"
        there = {"resourceVersion": str(on.version), "uid": on.uid}
        return stored_in(_object(await self._sent(self._client.put, path, text, there))).version

    async def _sent(self, send: Send, path: str, text: str, metadata: dict[str, Any]) -> bytes:
        metadata |= {"name": self._name, "namespace": self._namespace}
        if self._owner is None:
            self._owner = await self._own_account()
        if self._owner:
            metadata["ownerReferences"] = [self._owner]
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}
        try:
            return await send(path, msgspec.json.encode(body))
        except ApiError as error:
            if error.status in {404, 409}:
                raise LedgerConflictError from error
            raise

    async def _own_account(self) -> dict[str, str]:
        """Return a reference to the ServiceAccount that we are; empty if we are none of ours."""
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        try:
            answer = msgspec.json.decode(await self._client.post(path, WHO_AM_I), type=_Review)
        except (ApiError, msgspec.MsgspecError):
            return {}  # the API server is older, or does not say
        user = answer.status.user_info
        namespace, _, name = user.username.removeprefix(ACCOUNT).partition(":")
        if not user.username.startswith(ACCOUNT) or namespace != self._namespace or not user.uid:
            return {}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "name": name, "uid": user.uid}


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""


class _ReviewStatus(msgspec.Struct, rename="camel"):
    user_info: _User = msgspec.field(default_factory=_User)


class _Review(msgspec.Struct):
    status: _ReviewStatus = msgspec.field(default_factory=_ReviewStatus)


def stored_in(obj: KubeObject) -> Stored:
    """Return what a ConfigMap holds; text that is missing is as unreadable as any other."""
    metadata = obj.metadata
    version = version_number(metadata.resource_version or "")
    return Stored((obj.data or {}).get(KEY) or "", metadata.uid or "", version)


def _object(body: bytes) -> KubeObject:
    try:
        return msgspec.json.decode(body, type=KubeObject)
    except msgspec.MsgspecError as error:
        raise ClusterUnavailable(f"the ledger cannot be read: {error}") from error


class LedgerWatch:
    """Tells what other replicas write."""

    def __init__(  # noqa: PLR0913 - each names one thing, most have defaults
        self,
        client: Client,
        namespace: str,
        name: str,
        heard: Callable[[Stored], None],
        deleted: Callable[[], None],
        *,
        settings: ReflectorSettings = ReflectorSettings(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        resource = ResourcePath(
            "configmaps", "ConfigMap", namespace=namespace, field_selector=f"metadata.name={name}"
        )
        self.reflector = Reflector(client, resource, _Heard(heard, deleted), settings, clock)

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        await self.reflector.run()


class _Heard:
    """A view of one object, whose every version is passed on."""

    def __init__(self, heard: Callable[[Stored], None], deleted: Callable[[], None]) -> None:
        self._heard = heard
        self._deleted = deleted
        self._found = False

    def begin_list(self, resource: str) -> None:  # noqa: ARG002 - there is one
        self._found = False

    def put(self, resource: str, obj: KubeObject) -> None:  # noqa: ARG002
        self._found = True
        self._heard(stored_in(obj))

    def remove(self, resource: str, obj: KubeObject) -> None:  # noqa: ARG002
        self._deleted()

    def end_list(self, resource: str, resource_version: str, now: float) -> None:  # noqa: ARG002
        if not self._found:
            self._deleted()

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        """A ledger does not get stale: a write on an old one fails."""
