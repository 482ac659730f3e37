"""Sums: from what each container declares to what its pod asks for.

Separate from pod.py because two callers share it: the rules, for pods that may still be templates,
and the scheduler's view of pods that exist. The formula is KEP-753's: what starts before others and
stays (sidecars) adds up, what ends before others start (init containers) only peaks.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from kube_headroom.resources.declared import NOTHING, Basis, Exact, exact, larger, plus
from kube_headroom.resources.objects import (
    Container,
    ContainerStatus,
    PodSpec,
    Quantities,
    Resources,
    Status,
)

POD_LEVEL_RESOURCES: Final = ("cpu", "memory")
"""What spec.resources may say for a whole pod, of what is read here (hugepages are not)."""

_NO_RESOURCES: Final = Resources()


class PodLevel(msgspec.Struct, frozen=True, gc=False):
    """What spec.resources says for the whole pod: it replaces the containers' sum, name by name."""

    names: frozenset[str]
    exact: Exact


def pod_level(quantities: Quantities | None) -> PodLevel | None:
    """Return the pod-level values as they stand, or None if none counts."""
    if not quantities:
        return None
    names = frozenset(POD_LEVEL_RESOURCES).intersection(quantities)
    return PodLevel(names, exact(quantities)) if names else None


def pod_total(
    basis: Basis,
    spec: PodSpec,
    values: Sequence[Exact],
    level: PodLevel | None,
    resize: Status | None,
    overhead: Quantities | None,
) -> Exact:
    """Return what the pod asks for; values are of its containers, then of its init containers.

    resize is what resize_in found: the status of a pod that has other sizes than it asks for.
    """
    if resize is not None:
        values = _in_status(basis, spec, values, resize)
    total = aggregate(spec, values)
    if level is not None:
        total = _replaced(total, level.names, _level_in_status(basis, level, resize))
    if not overhead:
        return total
    added = exact(overhead)
    if basis == "requests":
        return plus(total, added)
    cpu, memory, storage = (have and have + more for have, more in zip(total, added, strict=True))
    return cpu, memory, storage


def resize_in(spec: PodSpec, status: Status | None) -> Status | None:
    """Return the status if it has other sizes than the spec asks for; mostly it has not."""
    if status is None or status.resources is not None:
        return status
    states = status.container_statuses
    if status.init_container_statuses:
        states = [*(states or ()), *status.init_container_statuses]
    if not states:
        return None
    wanted = {container.name: container.resources for container in spec.containers or ()}
    for container in spec.init_containers or ():
        wanted[container.name] = container.resources
    for state in states:
        if state.resources is not None and not _is_as_wanted(wanted.get(state.name), state):
            return status
    return None


def _is_as_wanted(wanted: Resources | None, state: ContainerStatus) -> bool:
    if wanted is None or wanted != state.resources:
        return False
    return state.allocated_resources is None or state.allocated_resources == wanted.requests


def aggregate(spec: PodSpec, values: Sequence[Exact]) -> Exact:
    """Return the containers' sum, or the peak while the pod starts where that is larger."""
    if not spec.init_containers:
        return _sum(values)
    app_count = len(values) - len(spec.init_containers)
    total = _sum(values[:app_count])
    started = peak = NOTHING
    for container, value in zip(spec.init_containers, values[app_count:], strict=True):
        if container.restart_policy == "Always":
            total = plus(total, value)
            started = plus(started, value)
            peak = larger(peak, started)
        else:
            peak = larger(peak, plus(started, value))
    return larger(total, peak)


def _sum(values: Sequence[Exact]) -> Exact:
    cpu = memory = storage = 0
    for value in values:
        cpu += value[0]
        memory += value[1]
        storage += value[2]
    return cpu, memory, storage


def _in_status(
    basis: Basis, spec: PodSpec, values: Sequence[Exact], status: Status
) -> Sequence[Exact]:
    """Return the containers' values as the kubelet has them: a resize counts at its largest."""
    states = {
        state.name: state
        for state in (status.container_statuses or []) + (status.init_container_statuses or [])
        if state.resources is not None
    }
    if not states:
        return values
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    app_count = len(spec.containers or ())
    infeasible = _is_resize_infeasible(status)
    return [
        _resized(basis, container, value, states.get(container.name), infeasible=infeasible)
        if index < app_count or container.restart_policy == "Always"
        else value
        for index, (container, value) in enumerate(zip(containers, values, strict=True))
    ]


def _resized(
    basis: Basis,
    container: Container,
    value: Exact,
    state: ContainerStatus | None,
    *,
    infeasible: bool,
) -> Exact:
    if state is None or state.resources is None:
        return value
    asked = container.resources or _NO_RESOURCES
    if basis == "requests":
        actuated, allocated = state.resources.requests, state.allocated_resources
        wanted = asked.requests
    else:
        actuated, allocated = state.resources.limits, None
        wanted = asked.limits
    if actuated == wanted and (allocated is None or allocated == wanted):
        return value
    return _largest(value, actuated, allocated, infeasible=infeasible)


def _level_in_status(basis: Basis, level: PodLevel, status: Status | None) -> Exact:
    if status is None or status.resources is None:
        return level.exact
    infeasible = _is_resize_infeasible(status)
    if basis == "limits":
        return _largest(level.exact, status.resources.limits, None, infeasible=infeasible)
    return _largest(
        level.exact, status.resources.requests, status.allocated_resources, infeasible=infeasible
    )


def _largest(
    wanted: Exact,
    actuated: Quantities | None,
    allocated: Quantities | None,
    *,
    infeasible: bool,
) -> Exact:
    """Return the largest of the three; a resize that can never happen is not counted."""
    held = larger(exact(actuated), exact(allocated))
    return held if infeasible else larger(held, wanted)


def _is_resize_infeasible(status: Status) -> bool:
    """Say what the first PodResizePending condition says, as the scheduler reads it."""
    for condition in status.conditions or ():
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _replaced(total: Exact, names: frozenset[str], value: Exact) -> Exact:
    return (
        value[0] if "cpu" in names else total[0],
        value[1] if "memory" in names else total[1],
        total[2],
    )
