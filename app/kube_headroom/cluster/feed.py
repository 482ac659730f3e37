"""All reflectors of a view: started together, stopped together, asked about together."""

import asyncio
import time
from collections.abc import Callable, Iterable

from kube_headroom.cluster.client import Client
from kube_headroom.cluster.reflector import Reflector, ReflectorSettings
from kube_headroom.cluster.resource_paths import RESOURCES, ResourcePath
from kube_headroom.cluster.view import View


class Feed:
    """Keeps a view as the cluster is, one task per resource type."""

    def __init__(
        self,
        client: Client,
        view: View,
        resources: Iterable[ResourcePath] = tuple(RESOURCES.values()),
        settings: ReflectorSettings = ReflectorSettings(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self.reflectors = {
            resource.plural: Reflector(client, resource, view, settings, clock)
            for resource in resources
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start to follow the cluster."""
        self._tasks = [
            asyncio.create_task(reflector.run(), name=f"follow {plural}")
            for plural, reflector in self.reflectors.items()
        ]

    async def stop(self) -> None:
        """Stop; the view stays as it is and gets stale."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def relist(self, plural: str) -> None:
        """List this type anew at once (ledger rule L8)."""
        self.reflectors[plural].relist()

    def hurry(self, plural: str) -> None:
        """Let the API server say soon how far this type's watch is (ledger rule L7)."""
        self.reflectors[plural].hurry()

    async def current_version(self, plural: str) -> str:
        """Ask the API server which version this type is at now (ledger rule L7)."""
        resource = self.reflectors[plural].resource
        query = {"fieldSelector": resource.field_selector} if resource.field_selector else {}
        return await self._client.current_version(resource.path, **query)

    def faults(self) -> dict[str, str]:
        """Return the last error of each type that is in trouble right now."""
        return {
            plural: reflector.last_error
            for plural, reflector in self.reflectors.items()
            if reflector.last_error is not None
        }
