"""The pod level: what spec.resources says for a pod as a whole, defaults included.

Separate because its defaulting has an order of its own: the API server fills in requests that
spec.resources leaves open when the pod is decoded, then the LimitRanges complete the containers, and
what is still open is filled in when the pod is stored and read again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from kube_headroom.resources.declared import Declared, QuantityFault, declared, pod_amounts
from kube_headroom.resources.objects import PodSpec, Quantities, Resources
from kube_headroom.resources.sums import POD_LEVEL_RESOURCES, PodLevel, aggregate, pod_level


class Level(msgspec.Struct, frozen=True, gc=False):
    """What a pod's own spec.resources comes to: for the sums, and for people to judge."""

    requests: PodLevel | None = None
    limits: PodLevel | None = None
    request_values: Mapping[str, int] | None = None
    limit_values: Mapping[str, int] | None = None
    faults: tuple[QuantityFault, ...] = ()


UNSAID: Final = Level()


def level_of(spec: PodSpec, completed: Sequence[Declared]) -> Level:
    """Return the pod level; completed is what its containers declare after the LimitRanges."""
    if spec.resources is None:
        return UNSAID
    asked = _supported(spec.resources.requests)
    limited = _supported(spec.resources.limits)
    values = declared(asked, limited)
    request_values, exact = dict(values.requests), list(values.exact_requests)
    if spec.resources.limits:
        settled = set(asked)
        for read in (_as_written(spec), completed):
            for index, amount in _from_containers(spec, read, settled):
                name = POD_LEVEL_RESOURCES[index]
                request_values[name], exact[index] = amount
            settled |= request_values.keys()
    cpu, memory, storage = exact
    return Level(
        PodLevel(frozenset(request_values), (cpu, memory, storage)) if request_values else None,
        pod_level(limited),
        request_values,
        values.limits,
        values.faults,
    )


def _supported(quantities: Quantities | None) -> Quantities:
    return {name: text for name, text in (quantities or {}).items() if name in POD_LEVEL_RESOURCES}


def _as_written(spec: PodSpec) -> list[Declared]:
    resources = [
        container.resources or Resources()
        for container in (*(spec.containers or ()), *(spec.init_containers or ()))
    ]
    return [declared(each.requests, each.limits) for each in resources]


def _from_containers(
    spec: PodSpec, read: Sequence[Declared], settled: set[str]
) -> Iterable[tuple[int, tuple[int, int]]]:
    """Yield index, amount and exact amount of each open resource that some container requests."""
    total = aggregate(spec, [each.exact_requests for each in read])
    amounts = pod_amounts(total)
    for index, amount in enumerate((amounts.cpu, amounts.memory)):
        name = POD_LEVEL_RESOURCES[index]
        if name not in settled and any(name in each.requests for each in read):
            yield index, (amount, total[index])
