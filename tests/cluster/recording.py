"""A view that only remembers, and complains when it is shown an older state."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from kube_headroom.resources.objects import KubeObject


class RecordingView:
    """What a reflector told, per resource type."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, KubeObject]] = {}
        self.versions: dict[str, str] = {}
        self.progressed: dict[str, int] = {}
        self.listed: dict[str, int] = {}
        self.went_back: list[str] = []
        self._listing: dict[str, set[str]] = {}

    def begin_list(self, resource: str) -> None:
        self._listing[resource] = set()

    def put(self, resource: str, obj: KubeObject) -> None:
        name = self._name(obj)
        known = self.objects.setdefault(resource, {})
        if name in known and _version(obj) < _version(known[name]):
            self.went_back.append(name)
        known[name] = obj
        if resource in self._listing:
            self._listing[resource].add(name)

    def remove(self, resource: str, obj: KubeObject) -> None:
        self.objects.setdefault(resource, {}).pop(self._name(obj), None)

    def end_list(self, resource: str, resource_version: str, now: float) -> None:
        shown = self._listing.pop(resource)
        known = self.objects.get(resource, {})
        self.objects[resource] = {name: obj for name, obj in known.items() if name in shown}
        self.versions[resource] = resource_version
        self.listed[resource] = self.listed.get(resource, 0) + 1

    def progress(self, resource: str, resource_version: str, now: float) -> None:
        self.versions[resource] = resource_version
        self.progressed[resource] = self.progressed.get(resource, 0) + 1

    def names(self, resource: str, namespace: str = "shop") -> list[str]:
        inside = f"{namespace}/"
        known = self.objects.get(resource, {})
        return sorted(name.removeprefix(inside) for name in known if name.startswith(inside))

    def _name(self, obj: KubeObject) -> str:
        return f"{obj.metadata.namespace or ''}/{obj.metadata.name}"


def _version(obj: KubeObject) -> int:
    return int(obj.metadata.resource_version or 0)


async def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    """Wait for a condition without holding the loop; fail with what was awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        await asyncio.sleep(0.005)
