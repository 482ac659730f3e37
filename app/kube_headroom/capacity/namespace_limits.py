"""Namespace limits: the LimitRanges and ResourceQuotas of each namespace, as rows.

They decide nothing here: they are read to tell people what pods would run into later. A view in
which they are missing says less, so nobody waits for them.
"""

from typing import Final

from kube_headroom.capacity.quota import Quota, quota_of
from kube_headroom.resources.limit_range import LimitRange, limit_range
from kube_headroom.resources.objects import KubeObject

LIMITING: Final = ("limitranges", "resourcequotas")


class NamespaceLimits:
    """LimitRanges and ResourceQuotas, by namespace and name."""

    def __init__(self) -> None:
        self._limit_ranges: dict[str, dict[str, LimitRange]] = {}
        self._quotas: dict[str, dict[str, Quota]] = {}

    def put(self, resource: str, obj: KubeObject) -> None:
        """Take over an object as it is."""
        namespace, name = obj.metadata.namespace or "", obj.metadata.name or ""
        if resource == "limitranges":
            self._limit_ranges.setdefault(namespace, {})[name] = limit_range(obj)
            return
        quota = quota_of(obj)
        if quota is None:
            self.remove(resource, namespace, name)
        else:
            self._quotas.setdefault(namespace, {})[name] = quota

    def remove(self, resource: str, namespace: str, name: str) -> None:
        """Forget an object."""
        if resource == "limitranges":
            _remove(self._limit_ranges, namespace, name)
        else:
            _remove(self._quotas, namespace, name)

    def limit_ranges(self, namespace: str) -> tuple[LimitRange, ...]:
        """Return the namespace's LimitRanges, in the order in which they complete pods."""
        found = self._limit_ranges.get(namespace)
        return tuple(found[name] for name in sorted(found)) if found else ()

    def quotas(self, namespace: str) -> tuple[Quota, ...]:
        """Return the namespace's ResourceQuotas by name."""
        found = self._quotas.get(namespace)
        return tuple(found[name] for name in sorted(found)) if found else ()


def _remove(
    kept: dict[str, dict[str, LimitRange]] | dict[str, dict[str, Quota]], namespace: str, name: str
) -> None:
    rows = kept.get(namespace)
    if rows is not None:
        rows.pop(name, None)
        if not rows:
            del kept[namespace]
