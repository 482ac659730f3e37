"""The policy's text, followed in its ConfigMap.

Through the API and not through a mounted file: a mount may lag by a minute, a watch does not.
"""

import time
from collections.abc import Callable

from kube_headroom.cluster.client import Client
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import ResourcePath
from kube_headroom.resources.objects import KubeObject

OnText = Callable[[str | None, str], None]
"""Called with the text (None: no such ConfigMap or key) and the resourceVersion."""


class PolicySource:
    """Calls on_text once after the first list, and then with every change of the text."""

    def __init__(  # noqa: PLR0913 - each names one thing, most have defaults
        self,
        client: Client,
        namespace: str,
        name: str,
        on_text: OnText,
        *,
        key: str = "policy.yaml",
        on_version: Callable[[str], None] | None = None,
        settings: ReflectorSettings = ReflectorSettings(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A watch by name: this is what a Role with resourceNames allows.
        resource = ResourcePath(
            "configmaps", "ConfigMap", namespace=namespace, field_selector=f"metadata.name={name}"
        )
        self.reflector = Reflector(
            client, resource, _OneText(name, key, on_text, on_version), settings, clock
        )

    async def run(self) -> None:
        """Follow the ConfigMap until cancelled."""
        await self.reflector.run()


class _OneText:
    """A view of a single key of a single object."""

    def __init__(
        self, name: str, key: str, on_text: OnText, on_version: Callable[[str], None] | None
    ) -> None:
        self._on_version = on_version
        self._name = name
        self._key = key
        self._on_text = on_text
        self._listing = False
        self._listed: str | None = None
        self._told: tuple[str | None] | None = None

    def begin_list(self, resource: str) -> None:  # noqa: ARG002 - there is one
        self._listing, self._listed = True, None

    def put(self, resource: str, obj: KubeObject) -> None:  # noqa: ARG002
        if obj.metadata.name != self._name:
            return
        text = (obj.data or {}).get(self._key)
        version = obj.metadata.resource_version or ""
        if self._listing:
            self._listed = text
        else:
            self._tell(text, version)
        if self._on_version is not None:
            self._on_version(version)

    def remove(self, resource: str, obj: KubeObject) -> None:  # noqa: ARG002
        if obj.metadata.name == self._name:
            self._tell(None, obj.metadata.resource_version or "")

    def end_list(self, resource: str, resource_version: str, now: float) -> None:  # noqa: ARG002
        self._listing = False
        self._tell(self._listed, resource_version)

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        """Nothing to note: a policy does not get stale."""

    def _tell(self, text: str | None, resource_version: str) -> None:
        if self._told != (text,):
            self._told = (text,)
            self._on_text(text, resource_version)
