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
from kube_headroom.resources.level import UNSAID, Level, level_of
from kube_headroom.resources.objects import (
    Container,
    KubeObject,
    PodSpec,
    Quantities,
    Resources,
    Status,
)
from kube_headroom.resources.sums import pod_level, pod_total, resize_in

_FEW: Final = 8
"""Pods of more containers are worked out each time: what is remembered must stay small."""
_NO_SOURCES: Final[Mapping[tuple[str, str], str]] = {}
_NO_SPEC: Final = PodSpec()
_NO_RESOURCES: Final = Resources()
_NOTHING_DECLARED: Final = declared(None, None)


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

    spec: PodSpec
    declared: tuple[Declared, ...]
    """What each container declares after the LimitRanges, the init containers last."""
    sources: tuple[Mapping[tuple[str, str], str], ...]
    """Where it comes from if not from the container itself; empty where all of it does."""
    pod_requests: Mapping[str, int] | None
    pod_limits: Mapping[str, int] | None
    requests: Amounts
    limits: Amounts
    limited: tuple[str, ...]
    unlimited_containers: Mapping[str, int]
    qos_class: str
    faults: tuple[QuantityFault, ...]
    """Of the pod-level quantities; each container carries its own."""

    @property
    def containers(self) -> tuple[EffectiveContainer, ...]:
        """The containers one by one, for whoever has something to say of one."""
        init = self.spec.init_containers or ()
        each = [("containers", *pair) for pair in enumerate(self.spec.containers or ())]
        each += [("initContainers", *pair) for pair in enumerate(init)]
        sources = self.sources or (_NO_SOURCES,) * len(each)
        return tuple(
            EffectiveContainer(
                name=container.name,
                field=f"{kind}[{index}]",
                image=container.image or "",
                init=kind == "initContainers",
                sidecar=kind == "initContainers" and container.restart_policy == "Always",
                requests=read.requests,
                limits=read.limits,
                sources=source,
                faults=read.faults,
            )
            for (kind, index, container), read, source in zip(
                each, self.declared, sources, strict=True
            )
        )


class _Whole(msgspec.Struct, frozen=True, gc=False):
    """What the containers come to together."""

    requests: Amounts
    limits: Amounts
    limited: tuple[str, ...]
    unlimited_containers: Mapping[str, int]
    qos_class: str


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
    read, sources = _read(spec, limit_ranges) if limit_ranges else (_as_written(spec), ())
    level = level_of(spec, read)
    overhead = spec.overhead or overhead
    resize = resize_in(spec, status)
    if level is UNSAID and not (overhead or resize or spec.init_containers or len(read) > _FEW):
        whole = _plain(*read)
    else:
        whole = _whole(spec, read, level, resize, overhead)
    return EffectivePod(
        spec,
        read,
        sources,
        level.request_values,
        level.limit_values,
        whole.requests,
        whole.limits,
        whole.limited,
        whole.unlimited_containers,
        (status and status.qos_class) or whole.qos_class,
        level.faults,
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
    resize = resize_in(spec, pod.status)
    overhead = spec.overhead
    asked = pod_total("requests", spec, requests, pod_level(own.requests), resize, overhead)
    allowed = pod_total("limits", spec, limits, pod_level(own.limits), resize, overhead)
    return pod_amounts(asked), pod_amounts(allowed)


@lru_cache(maxsize=4096)
def _plain(*read: Declared) -> _Whole:
    """Return a pod of nothing but containers: shapes are few, and remembered."""
    return _whole(_NO_SPEC, read, UNSAID, None, None)


def _whole(
    spec: PodSpec,
    read: Sequence[Declared],
    level: Level,
    resize: Status | None,
    overhead: Quantities | None,
) -> _Whole:
    requests = [each.exact_requests for each in read]
    limits = [each.exact_limits for each in read]
    asked = pod_total("requests", spec, requests, level.requests, resize, overhead)
    allowed = pod_total("limits", spec, limits, level.limits, resize, overhead)
    return _Whole(
        pod_amounts(asked),
        pod_amounts(allowed),
        _limited(read, level),
        _unlimited(read, level),
        _qos_class(spec, requests, limits, level),
    )


def _as_written(spec: PodSpec) -> tuple[Declared, ...]:
    read = [_declared(each) for each in spec.containers or ()]
    if spec.init_containers:
        read += [_declared(each) for each in spec.init_containers]
    return tuple(read)


def _declared(container: Container) -> Declared:
    resources = container.resources
    return declared(resources.requests, resources.limits) if resources else _NOTHING_DECLARED


def _read(
    spec: PodSpec, limit_ranges: Sequence[LimitRangeDefaults]
) -> tuple[tuple[Declared, ...], tuple[Mapping[tuple[str, str], str], ...]]:
    """Return what each container declares with these defaults, and what came from them."""
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    defaulted = [with_limit_ranges(each.resources, limit_ranges) for each in containers]
    return (
        tuple(declared(each.requests, each.limits) for each in defaulted),
        tuple(each.sources for each in defaulted),
    )


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
