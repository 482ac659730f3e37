"""The requirement checks: what one pod declares against what every container must declare.

A check is a pure function from a container (or the pod) to violations; CHECKS is all there are.
Every check speaks up at once, so that one answer names everything that is to be mended. A quantity
that cannot be taken at its word is reported as that and judged no further.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Literal

import msgspec

from kube_headroom.policy.declares import (
    SINGULAR,
    Declares,
    amounts_of,
    of_container,
    of_pod,
    pod_level,
)
from kube_headroom.policy.fields import show_ratio
from kube_headroom.policy.model import Requirements
from kube_headroom.resources.declared import QuantityFault
from kube_headroom.resources.pod import EffectiveContainer, EffectivePod
from kube_headroom.resources.quantity import show

_MISSING_CODES: Final = {
    ("requests", "cpu"): "HR101",
    ("requests", "memory"): "HR102",
    ("limits", "cpu"): "HR103",
    ("limits", "memory"): "HR104",
    ("requests", "ephemeral-storage"): "HR105",
    ("limits", "ephemeral-storage"): "HR105",
}
_FAULT_CODES: Final = {
    "fractional": "HR110",
    "out-of-range": "HR111",
    "malformed": "HR303",
    "negative": "HR303",
}
_GUARANTEED_NAMES: Final = ("cpu", "memory")


class Violation(msgspec.Struct, frozen=True):
    """One thing a pod does not declare as it must."""

    code: str
    container: str | None
    """None: the pod as a whole."""
    path: str
    """The field in the object: spec.template.spec.containers[0].resources.limits.memory."""
    message: str
    action: Literal["enforce", "warn"] = "enforce"


Check = Callable[[Declares, EffectivePod, Requirements], Iterator[Violation]]


def requirement_violations(
    pod: EffectivePod,
    requirements: Requirements,
    *,
    path: str,
    exempt_images: Callable[[str], bool] | None = None,
) -> tuple[Violation, ...]:
    """Return every violation, by container and code; path is that of the pod spec."""
    if _evidently_complete(pod, requirements):
        return ()
    found: list[Violation] = []
    judged: list[EffectiveContainer] = []
    containers = pod.containers
    for container in containers:
        exempt = exempt_images is not None and exempt_images(container.image or "")
        found += _container_violations(container, pod, requirements, path=path, exempt=exempt)
        if not exempt:
            judged.append(container)
    of_pod_itself = _pod_violations(pod, judged, requirements, path=path)
    found += of_pod_itself if judged or not containers else _unfreed(of_pod_itself)
    return tuple(found)


def _evidently_complete(pod: EffectivePod, requirements: Requirements) -> bool:
    """Tell at a glance that nothing can be wrong: nearly every pod, and all of them count on it."""
    if requirements.has_bounds or pod.faults:
        return False
    requests, limits = requirements.requests, requirements.limits
    for container in pod.declared:
        if container.faults:
            return False
        amounts = container.requests
        for name in requests:
            if not amounts.get(name):
                return False
        amounts = container.limits
        for name in limits:
            if not amounts.get(name):
                return False
    return True


def _container_violations(
    container: EffectiveContainer,
    pod: EffectivePod,
    requirements: Requirements,
    *,
    path: str,
    exempt: bool,
) -> list[Violation]:
    declares = of_container(container, path)
    found = list(_fault_violations(declares, container.faults))
    if exempt:
        return _unfreed(found)
    found += chain.from_iterable(check(declares, pod, requirements) for check in CHECKS)
    return sorted(found, key=_by_code)


def _unfreed(found: list[Violation]) -> list[Violation]:
    """Return what an exempt image does not free from: what cannot be read at all."""
    return [one for one in found if not one.code.startswith("HR1")]


def _pod_violations(
    pod: EffectivePod,
    judged: list[EffectiveContainer],
    requirements: Requirements,
    *,
    path: str,
) -> list[Violation]:
    declares = of_pod(pod, path)
    found = list(_fault_violations(declares, pod.faults))
    found += _out_of_ratio(declares, pod, requirements)
    # A pod-level amount stands for the containers that name none of their own.
    for basis, declared in declares.values.items():
        for resource in declared:
            if not all(amounts_of(one, basis).get(resource) for one in judged):
                found += _out_of_bounds(declares, requirements, basis, resource)
    found += _qos_too_low(pod, judged, requirements, path)
    return sorted(found, key=_by_code)


def _fault_violations(declares: Declares, faults: tuple[QuantityFault, ...]) -> Iterator[Violation]:
    """HR110, HR111, HR303: a quantity that does not mean what it seems to."""
    for fault in faults:
        what = f"{declares.subject}{fault.resource} {SINGULAR[fault.basis]}"
        source = declares.sources.get((fault.basis, fault.resource))
        origin = f" (from {source})" if source else ""
        yield _violation(
            declares,
            _FAULT_CODES[fault.kind],
            fault.basis,
            fault.resource,
            f"{what}: {fault.message}{origin}",
        )


def _missing(
    declares: Declares, pod: EffectivePod, requirements: Requirements
) -> Iterator[Violation]:
    """HR101 to HR105: a request or limit that is not there. Zero is none."""
    for basis, required in (("requests", requirements.requests), ("limits", requirements.limits)):
        for resource in required:
            if _lacks(declares, pod, basis, resource):
                zero = resource in declares.values[basis]
                state = "is 0, which means none" if zero else "is missing"
                message = f"{resource} {SINGULAR[basis]} {state}"
                code = _MISSING_CODES[basis, resource]
                yield _violation(declares, code, basis, resource, message)


def _out_of_ratio(
    declares: Declares, _pod: EffectivePod, requirements: Requirements
) -> Iterator[Violation]:
    """HR106: a limit too many times its request."""
    for resource, allowed in requirements.max_limit_request_ratio.named:
        limit, request = (declares.amount(basis, resource) for basis in ("limits", "requests"))
        if not request or limit * 1000 <= request * allowed:
            continue
        # Rounded up, so that what is refused never reads as what is allowed.
        times = show_ratio(-(-limit * 1000 // request))
        shown = declares.shown("limits", resource, up=True)
        of = show(resource, request, up=False)
        message = f"{shown} {times} times the request {of}, more than {show_ratio(allowed)} times"
        yield _violation(declares, "HR106", "limits", resource, message)


def _outside_bounds(
    declares: Declares, pod: EffectivePod, requirements: Requirements
) -> Iterator[Violation]:
    """HR107, HR108: below the minimum or above the maximum, as a LimitRange has it."""
    for resource, least in requirements.minimum.named:
        if resource not in requirements.requests and _lacks(declares, pod, "requests", resource):
            message = (
                f"{resource} request is missing, the minimum is {show(resource, least, up=True)}"
            )
            yield _violation(declares, "HR107", "requests", resource, message)
    for resource, most in requirements.maximum.named:
        if resource not in requirements.limits and _lacks(declares, pod, "limits", resource):
            message = (
                f"{resource} limit is missing, the maximum is {show(resource, most, up=False)}"
            )
            yield _violation(declares, "HR108", "limits", resource, message)
    for basis, declared in declares.values.items():
        for resource in declared:
            yield from _out_of_bounds(declares, requirements, basis, resource)


def _lacks(declares: Declares, pod: EffectivePod, basis: str, resource: str) -> bool:
    """Tell whether neither the container nor its pod says anything. Zero is nothing."""
    return (
        (basis, resource) not in declares.doubted
        and not declares.amount(basis, resource)
        and not pod_level(pod, basis).get(resource)
    )


def _out_of_bounds(
    declares: Declares, requirements: Requirements, basis: str, resource: str
) -> Iterator[Violation]:
    amount = declares.amount(basis, resource)
    if not amount:
        return
    for name, least in requirements.minimum.named:
        if name == resource and amount < least:
            shown = declares.shown(basis, resource, up=False)
            message = f"{shown} below the minimum {show(resource, least, up=True)}"
            yield _violation(declares, "HR107", basis, resource, message)
    for name, most in requirements.maximum.named:
        if name == resource and amount > most:
            shown = declares.shown(basis, resource, up=True)
            message = f"{shown} above the maximum {show(resource, most, up=False)}"
            yield _violation(declares, "HR108", basis, resource, message)


def _qos_too_low(
    pod: EffectivePod, judged: list[EffectiveContainer], requirements: Requirements, path: str
) -> Iterator[Violation]:
    """HR109: a quality of service class below the required one; exempt containers do not count."""
    required = requirements.qos_class
    if required is None:
        return
    found = pod.qos_class
    if len(judged) < len(pod.declared) and not pod.pod_requests and not pod.pod_limits:
        found = _qos_class(judged)
    if found == "BestEffort" or (required == "Guaranteed" and found != required):
        enough = "Guaranteed" if required == "Guaranteed" else "Burstable or Guaranteed"
        message = f"QoS class is {found}, required is {enough}"
        yield Violation("HR109", None, path, message)


CHECKS: Final[tuple[Check, ...]] = (_missing, _out_of_ratio, _outside_bounds)
"""What is asked of each container; of the pod as a whole only its class and pod-level amounts."""


def _violation(declares: Declares, code: str, basis: str, resource: str, message: str) -> Violation:
    return Violation(code, declares.container, declares.field(basis, resource), message)


def _qos_class(containers: list[EffectiveContainer]) -> str:
    """Return the class the pod would be of if these were all its containers (capacity-rules Q8)."""
    totals = [
        tuple(sum(amounts_of(one, basis).get(name, 0) for one in containers) for basis in SINGULAR)
        for name in _GUARANTEED_NAMES
    ]
    if not any(map(any, totals)):
        return "BestEffort"
    limited = all(one.limits.get(name) for one in containers for name in _GUARANTEED_NAMES)
    equal = all(request == limit for request, limit in totals)
    return "Guaranteed" if limited and equal else "Burstable"


def _by_code(violation: Violation) -> str:
    return violation.code
