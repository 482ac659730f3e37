"""Pods: what a pod spec asks for in the end, container by container and as a whole.

Separate because this is the one picture of a pod that rules, headroom and people share: requests
defaulted from limits, LimitRanges and pod-level values applied, the sums of sums.py, the QoS class.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.declared import (
    RESOURCES,
    Declared,
    Exact,
    QuantityFault,
    declared,
    exact,
    pod_amounts,
)
from kube_headroom.resources.defaults import LimitRangeDefaults, with_limit_ranges
from kube_headroom.resources.level import Level, level_of
from kube_headroom.resources.objects import (
    Container,
    KubeObject,
    PodSpec,
    Quantities,
    Resources,
    Status,
)
from kube_headroom.resources.sums import pod_level, pod_total

_NO_SOURCES: Final[Mapping[tuple[str, str], str]] = {}
_NO_SPEC: Final = PodSpec()
_NO_RESOURCES: Final = Resources()


class EffectiveContainer(msgspec.Struct, frozen=True, gc=False):
    """One container as Kubernetes will see it; requests and limits by their Kubernetes names."""

    name: str
    field: str
    image: str
    init: bool
    sidecar: bool
    requests: Mapping[str, int]
    limits: Mapping[str, int]
    sources: Mapping[tuple[str, str], str]
    faults: tuple[QuantityFault, ...]


class EffectivePod(msgspec.Struct, frozen=True, gc=False):
    """A pod as Kubernetes will see it. Amounts are of one pod: pods=1."""

    containers: tuple[EffectiveContainer, ...]
    pod_requests: Mapping[str, int] | None
    pod_limits: Mapping[str, int] | None
    requests: Amounts
    limits: Amounts
    limited: tuple[str, ...]
    unlimited_containers: Mapping[str, int]
    qos_class: str
    faults: tuple[QuantityFault, ...]
    """Of the pod-level quantities; each container carries its own."""


def effective_pod(
    spec: PodSpec,
    *,
    status: Status | None = None,
    limit_ranges: Sequence[LimitRangeDefaults] = (),
    overhead: Quantities | None = None,
) -> EffectivePod:
    """Return the pod as Kubernetes will see it.

    A template is completed by the LimitRanges of its namespace and the overhead of its RuntimeClass;
    a pod from the API server already has both. Requests default to limits either way.
    """
    shown: list[EffectiveContainer] = []
    read: list[Declared] = []
    _read(spec.containers, limit_ranges, shown, read, init=False)
    if spec.init_containers:
        _read(spec.init_containers, limit_ranges, shown, read, init=True)
    requests = [each.exact_requests for each in read]
    level = level_of(spec, read)
    overhead = spec.overhead or overhead
    limits = [each.exact_limits for each in read]
    return EffectivePod(
        containers=tuple(shown),
        pod_requests=level.request_values,
        pod_limits=level.limit_values,
        requests=pod_amounts(
            pod_total(
                "requests", spec, requests, level=level.requests, status=status, overhead=overhead
            )
        ),
        limits=pod_amounts(
            pod_total("limits", spec, limits, level=level.limits, status=status, overhead=overhead)
        ),
        limited=_limited(read, level),
        unlimited_containers=_unlimited(read, level),
        qos_class=(status and status.qos_class) or _qos_class(spec, requests, limits, level),
        faults=level.faults,
    )


def scheduler_amounts(pod: KubeObject) -> tuple[Amounts, Amounts]:
    """Return an existing pod's requests and limits as the scheduler counts them."""
    spec = pod.spec if pod.spec is not None else _NO_SPEC
    requests: list[Exact] = []
    limits: list[Exact] = []
    for containers in (spec.containers, spec.init_containers):
        for container in containers or ():
            resources = container.resources or _NO_RESOURCES
            requests.append(exact(resources.requests))
            limits.append(exact(resources.limits))
    own = spec.resources or _NO_RESOURCES
    return (
        pod_amounts(
            pod_total(
                "requests",
                spec,
                requests,
                level=pod_level(own.requests),
                status=pod.status,
                overhead=spec.overhead,
            )
        ),
        pod_amounts(
            pod_total(
                "limits",
                spec,
                limits,
                level=pod_level(own.limits),
                status=pod.status,
                overhead=spec.overhead,
            )
        ),
    )


def _read(
    containers: Sequence[Container] | None,
    limit_ranges: Sequence[LimitRangeDefaults],
    shown: list[EffectiveContainer],
    read: list[Declared],
    *,
    init: bool,
) -> None:
    for index, container in enumerate(containers or ()):
        sources = _NO_SOURCES
        if limit_ranges:
            defaulted = with_limit_ranges(container.resources, limit_ranges)
            each = declared(defaulted.requests, defaulted.limits)
            sources = defaulted.sources
        else:
            each = _declared(container)
        read.append(each)
        shown.append(
            EffectiveContainer(
                container.name,
                _field(index, init=init),
                container.image or "",
                init,
                init and container.restart_policy == "Always",
                each.requests,
                each.limits,
                sources,
                each.faults,
            )
        )


def _declared(container: Container) -> Declared:
    resources = container.resources or _NO_RESOURCES
    return declared(resources.requests, resources.limits)


@lru_cache(maxsize=256)
def _field(index: int, *, init: bool) -> str:
    return f"initContainers[{index}]" if init else f"containers[{index}]"


def _limited(read: Sequence[Declared], level: Level) -> tuple[str, ...]:
    return tuple(
        name
        for name in RESOURCES
        if name in (level.limit_values or ()) or any(name in each.limits for each in read)
    )


def _unlimited(read: Sequence[Declared], level: Level) -> Mapping[str, int]:
    """Return how many containers have no limit, for each resource the whole pod does not limit."""
    counts: dict[str, int] = {}
    for name in RESOURCES:
        if level.limit_values and name in level.limit_values:
            continue
        count = sum(name not in each.limits for each in read)
        if count:
            counts[name] = count
    return counts


def _qos_class(
    spec: PodSpec, requests: Sequence[Exact], limits: Sequence[Exact], level: Level
) -> str:
    """Return the QoS class. Kubernetes compares sums over all containers, init ones included."""
    if spec.resources is not None:
        requests = [level.requests.exact] if level.requests else []
        limits = [level.limits.exact] if level.limits else [(0, 0, 0)]
    asked = [sum(each[index] for each in requests) for index in (0, 1)]
    allowed = [sum(each[index] for each in limits) for index in (0, 1)]
    if not any(asked) and not any(allowed):
        return "BestEffort"
    if asked == allowed and all(each[0] and each[1] for each in limits):
        return "Guaranteed"
    return "Burstable"
