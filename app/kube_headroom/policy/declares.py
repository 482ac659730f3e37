"""What the checks look at: a container, or the pod-level resources that stand in for containers.

Both in one shape, so that a check is written once. A quantity that cannot be taken at its word is
set aside here: it is reported as that, and judged no further.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from kube_headroom.resources.declared import QuantityFault
from kube_headroom.resources.pod import EffectiveContainer, EffectivePod
from kube_headroom.resources.quantity import show

SINGULAR: Final = {"requests": "request", "limits": "limit"}


class Declares(msgspec.Struct, frozen=True):
    """What is judged: a container, or the pod-level resources that stand in for its containers."""

    container: str | None
    subject: str
    """How a message begins: empty, or `pod `."""
    path: str
    values: Mapping[str, Mapping[str, int]]
    """Basis and resource to amount, of what can be taken at its word."""
    doubted: frozenset[tuple[str, str]]
    """Basis and resource of what cannot."""
    sources: Mapping[tuple[str, str], str]

    def amount(self, basis: str, resource: str) -> int:
        """Return what is declared; nothing and zero are the same to Kubernetes."""
        return self.values[basis].get(resource, 0)

    def field(self, basis: str, resource: str) -> str:
        """Return the full path of one quantity."""
        return f"{self.path}.{basis}.{resource}"

    def shown(self, basis: str, resource: str, *, up: bool) -> str:
        """Return `memory limit 512Mi`, with where it comes from if not from the object itself."""
        amount = show(resource, self.amount(basis, resource), up=up)
        source = self.sources.get((basis, resource))
        text = f"{self.subject}{resource} {SINGULAR[basis]} {amount}"
        return f"{text} comes from {source}," if source else f"{text} is"


def of_container(container: EffectiveContainer, path: str) -> Declares:
    """Return what a container declares; path is that of the pod spec."""
    doubted = _doubted(container.faults)
    return Declares(
        container=container.name,
        subject="",
        path=f"{path}.{container.field}.resources",
        values={
            "requests": _undoubted(container.requests, "requests", doubted),
            "limits": _undoubted(container.limits, "limits", doubted),
        },
        doubted=doubted,
        sources=container.sources,
    )


def of_pod(pod: EffectivePod, path: str) -> Declares:
    """Return what the pod declares for all its containers together."""
    doubted = _doubted(pod.faults)
    return Declares(
        container=None,
        subject="pod ",
        path=f"{path}.resources",
        values={
            "requests": _undoubted(pod.pod_requests or {}, "requests", doubted),
            "limits": _undoubted(pod.pod_limits or {}, "limits", doubted),
        },
        doubted=doubted,
        sources={},
    )


def _doubted(faults: tuple[QuantityFault, ...]) -> frozenset[tuple[str, str]]:
    """Return what the faults cast doubt on; a limit in doubt may be the request as well."""
    own = {(fault.basis, fault.resource) for fault in faults}
    return frozenset(own | {("requests", resource) for _, resource in own})


def _undoubted(
    amounts: Mapping[str, int], basis: str, doubted: frozenset[tuple[str, str]]
) -> Mapping[str, int]:
    if not doubted:
        return amounts
    return {name: amount for name, amount in amounts.items() if (basis, name) not in doubted}


def amounts_of(container: EffectiveContainer, basis: str) -> Mapping[str, int]:
    """Return one basis of a container."""
    return container.requests if basis == "requests" else container.limits


def pod_level(pod: EffectivePod, basis: str) -> Mapping[str, int]:
    """Return one basis of the pod-level resources."""
    return (pod.pod_requests if basis == "requests" else pod.pod_limits) or {}
