"""LimitRanges: whether a template's pods would get past those of their namespace.

Separate because the API server judges pods only: a Deployment is accepted, and then its controller
is refused pod after pod where nobody looks. The rules are LimitRanger's, existence rules included,
over the pod as it will be completed. Everything is compared in thousandths, as LimitRanger does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from kube_headroom.resources.declared import declared
from kube_headroom.resources.defaults import (
    DefaultedResources,
    LimitRangeDefaults,
    limit_range_defaults,
    with_limit_ranges,
)
from kube_headroom.resources.level import Level, level_of
from kube_headroom.resources.objects import (
    Container,
    KubeObject,
    LimitRangeItem,
    PodSpec,
    Quantities,
)
from kube_headroom.resources.quantity import (
    NANO_PER_MILLI,
    QuantityError,
    away_from_zero,
    nano,
    show,
)
from kube_headroom.resources.sums import POD_LEVEL_RESOURCES, PodLevel

Millis = dict[str, int]
"""Amounts by the resource's name, in thousandths of whatever it is counted in."""
_NOTHING_GIVEN: Final[Mapping[tuple[str, str], str]] = {}


class LimitRange(msgspec.Struct, frozen=True, gc=False):
    """One LimitRange: what it gives to containers, and what it demands of them and of pods."""

    name: str
    defaults: LimitRangeDefaults | None
    items: tuple[LimitRangeItem, ...]


class LimitRangeFault(msgspec.Struct, frozen=True, gc=False):
    """One demand that the pods would not meet; without a container it is the whole pod's."""

    limit_range: str
    demand: Literal["min", "max", "ratio", "valid"]
    basis: Literal["requests", "limits"]
    resource: str
    message: str
    container: str | None = None
    field: str = ""
    """Of the container or the pod level, below the pod's spec."""


class _Bearer(msgspec.Struct, frozen=True, gc=False):
    """A container, or a pod as a whole, with all that it will ask for."""

    kind: Literal["Container", "Pod"]
    requests: Millis
    limits: Millis
    sources: Mapping[tuple[str, str], str] = _NOTHING_GIVEN
    container: str | None = None
    field: str = ""

    def of(self, basis: str) -> Millis:
        """Return one of the two lists."""
        return self.requests if basis == "requests" else self.limits


def limit_range(obj: KubeObject) -> LimitRange:
    """Return a LimitRange as it is kept."""
    items = (obj.spec.limits if obj.spec is not None else None) or ()
    judged = tuple(item for item in items if item.type in {"Container", "Pod"})
    return LimitRange(obj.metadata.name or "", limit_range_defaults(obj), judged)


def limit_range_faults(
    spec: PodSpec, limit_ranges: Sequence[LimitRange]
) -> tuple[LimitRangeFault, ...]:
    """Return everything for which the pods of a template would be refused."""
    if not limit_ranges:
        return ()
    defaults = [each.defaults for each in limit_ranges if each.defaults is not None]
    members = [*(spec.containers or ()), *(spec.init_containers or ())]
    completed = [with_limit_ranges(each.resources, defaults) for each in members]
    level = level_of(spec, [declared(each.requests, each.limits) for each in completed])
    containers = _containers(spec, members, completed)
    bearers = [*containers, _whole(spec, containers, level)]
    faults = [fault for each in limit_ranges for fault in _refusals(each, bearers)]
    return (*faults, *_invalid(spec, containers, level))


def _containers(
    spec: PodSpec, members: Sequence[Container], completed: Sequence[DefaultedResources]
) -> list[_Bearer]:
    count = len(spec.containers or ())
    return [
        _Bearer(
            "Container",
            _read(resources.requests),
            _read(resources.limits),
            resources.sources,
            member.name,
            f"containers[{index}]" if index < count else f"initContainers[{index - count}]",
        )
        for index, (member, resources) in enumerate(zip(members, completed, strict=True))
    ]


def _whole(spec: PodSpec, containers: Sequence[_Bearer], level: Level) -> _Bearer:
    """Return the pod as LimitRanger sums it up: without overhead, pod-level values in place."""
    requests = _aggregate(spec, [each.requests for each in containers])
    limits = _aggregate(spec, [each.limits for each in containers])
    return _Bearer("Pod", requests | _pod_level(level.requests), limits | _pod_level(level.limits))


def _aggregate(spec: PodSpec, values: Sequence[Millis]) -> Millis:
    """Return the sum, or the peak while the pod starts; a name that nobody says is not there."""
    count = len(spec.containers or ())
    total: Millis = {}
    started: Millis = {}
    peak: Millis = {}
    for value in values[:count]:
        _add(total, value)
    for container, value in zip(spec.init_containers or (), values[count:], strict=True):
        now = dict(started)
        _add(now, value)
        if container.restart_policy == "Always":
            _add(total, value)
            started = now
        for name, amount in now.items():
            peak[name] = max(peak.get(name, 0), amount)
    return {name: max(total.get(name, 0), peak.get(name, 0)) for name in total.keys() | peak.keys()}


def _add(total: Millis, value: Millis) -> None:
    for name, amount in value.items():
        total[name] = total.get(name, 0) + amount


def _read(quantities: Quantities | None) -> Millis:
    """Return what can be read; what cannot is refused elsewhere, for itself."""
    result: Millis = {}
    for name, text in (quantities or {}).items():
        try:
            result[name] = away_from_zero(nano(text), NANO_PER_MILLI)
        except QuantityError:
            continue
    return result


def _refusals(limit_range: LimitRange, bearers: Iterable[_Bearer]) -> Iterator[LimitRangeFault]:
    for item in limit_range.items:
        for bearer in bearers:
            if bearer.kind != item.type:
                continue
            for name, bound in sorted(_read(item.min).items()):
                yield from _bounded(limit_range, bearer, "min", name, bound)
            for name, bound in sorted(_read(item.max).items()):
                yield from _bounded(limit_range, bearer, "max", name, bound)
            for name, ratio in sorted(_read(item.max_limit_request_ratio).items()):
                yield from _in_ratio(limit_range, bearer, name, ratio)


def _bounded(
    limit_range: LimitRange,
    bearer: _Bearer,
    demand: Literal["min", "max"],
    name: str,
    bound: int,
) -> Iterator[LimitRangeFault]:
    """A minimum binds the request, which must be there, and a limit; a maximum the other way."""
    least = demand == "min"
    must: Literal["requests", "limits"] = "requests" if least else "limits"
    of = f"LimitRange {limit_range.name}'s {'minimum' if least else 'maximum'}"
    of += f" of {_shown(name, bound)} per {bearer.kind}"
    if name not in bearer.of(must):
        message = f"no {name} {must[:-1]}, without which {of} cannot hold"
        yield _fault(limit_range, bearer, demand, must, name, message)
        return
    other: Literal["requests", "limits"] = "limits" if least else "requests"
    for basis in (must, other):
        amount = bearer.of(basis).get(name)
        if amount is not None and (amount < bound if least else amount > bound):
            where = "below" if least else "above"
            message = f"{_what(bearer, basis, name)} is {where} {of}"
            yield _fault(limit_range, bearer, demand, basis, name, message)
            return


def _in_ratio(
    limit_range: LimitRange, bearer: _Bearer, name: str, ratio: int
) -> Iterator[LimitRangeFault]:
    of = f"LimitRange {limit_range.name}'s maximum ratio of {ratio / 1000:g} per {bearer.kind}"
    request, limit = bearer.requests.get(name, 0), bearer.limits.get(name, 0)
    if not request or not limit:
        basis: Literal["requests", "limits"] = "limits" if request else "requests"
        message = f"no {name} {basis[:-1]}, without which {of} cannot hold"
        yield _fault(limit_range, bearer, "ratio", basis, name, message)
    elif limit / request * 1000 > ratio:  # in floats, as LimitRanger does
        have = f"{_what(bearer, 'limits', name)} to {_what(bearer, 'requests', name)}"
        yield _fault(limit_range, bearer, "ratio", "limits", name, f"{have} is above {of}")


def _invalid(
    spec: PodSpec, containers: Sequence[_Bearer], level: Level
) -> Iterator[LimitRangeFault]:
    """A value that a LimitRange gives may contradict one that is there: the pod is then invalid."""
    for each in containers:
        for name in sorted(each.requests.keys() & each.limits.keys()):
            source = each.sources.get(("limits", name)) or each.sources.get(("requests", name))
            if source and each.requests[name] > each.limits[name]:
                what = f"{_what(each, 'requests', name)} is above {_what(each, 'limits', name)}"
                yield _contradiction(each, source, "requests", name, what)
        for name, amount in _pod_level(level.limits).items():
            source = each.sources.get(("limits", name))
            if each.field.startswith("init"):
                break  # only containers that stay are compared with the whole pod's limit
            if source and each.limits[name] > amount:
                what = f"{_what(each, 'limits', name)} is above the {name} limit of the whole pod"
                yield _contradiction(each, source, "limits", name, what)
    total = _aggregate(spec, [each.requests for each in containers])
    for name, amount in _pod_level(level.requests).items():
        given = (each.sources.get(("requests", name)) for each in containers)
        source = next((each for each in given if each), None)
        if source and total.get(name, 0) > amount:
            asked = f"{name} request {_shown(name, total[name])} of its containers"
            what = f"{asked} (with what {source} adds) is above that of the whole pod"
            yield _contradiction(_Bearer("Pod", total, {}), source, "requests", name, what)


def _pod_level(given: PodLevel | None) -> Millis:
    """Return what spec.resources says for the whole pod."""
    if given is None:
        return {}
    return {
        name: away_from_zero(given.exact[POD_LEVEL_RESOURCES.index(name)], NANO_PER_MILLI)
        for name in sorted(given.names)
    }


def _contradiction(
    bearer: _Bearer, source: str, basis: Literal["requests", "limits"], name: str, what: str
) -> LimitRangeFault:
    return LimitRangeFault(
        limit_range=source.removeprefix("LimitRange "),
        demand="valid",
        basis=basis,
        resource=name,
        message=f"{what}, which makes the pod invalid",
        container=bearer.container,
        field=bearer.field,
    )


def _fault(
    limit_range: LimitRange,
    bearer: _Bearer,
    demand: Literal["min", "max", "ratio"],
    basis: Literal["requests", "limits"],
    resource: str,
    message: str,
) -> LimitRangeFault:
    return LimitRangeFault(
        limit_range.name, demand, basis, resource, message, bearer.container, bearer.field
    )


def _what(bearer: _Bearer, basis: str, name: str) -> str:
    """Return `memory limit 2Gi`, and where it comes from if its author did not write it."""
    amount = _shown(name, bearer.of(basis)[name])
    source = bearer.sources.get((basis, name))
    given = f" (from {source})" if source else ""
    return f"{name} {basis[:-1]} {amount}{given}"


def _shown(name: str, millis: int) -> str:
    return show(name, millis if name == "cpu" else -(-millis // 1000), up=True)
