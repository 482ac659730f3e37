"""Created pods: what the API server makes of a pod's manifest before a validating webhook sees it.

Separate from defaults.py because only whoever plays the API server needs it: reviews bring pods that
are complete already.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from kube_headroom.resources.defaults import LimitRangeDefaults, with_limit_ranges
from kube_headroom.resources.objects import (
    Container,
    PodSpec,
    Quantities,
    Resources,
    Toleration,
)

_TOLERATED_FOR_A_WHILE: Final = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
)
"""The taints that DefaultTolerationSeconds lets every pod outlive for five minutes."""


def created_spec(
    spec: PodSpec,
    *,
    limit_ranges: Sequence[LimitRangeDefaults] = (),
    overhead: Quantities | None = None,
    priority: int = 0,
    preempts: bool = True,
) -> PodSpec:
    """Return a pod's spec with everything that admission fills in; what is there stays."""

    def completed(containers: list[Container] | None) -> list[Container] | None:
        return [_completed(each, limit_ranges) for each in containers] if containers else None

    return msgspec.structs.replace(
        spec,
        containers=completed(spec.containers),
        init_containers=completed(spec.init_containers),
        overhead=spec.overhead or overhead,
        priority=priority if spec.priority is None else spec.priority,
        preemption_policy=spec.preemption_policy or (None if preempts else "Never"),
        tolerations=with_default_tolerations(spec.tolerations),
    )


def with_default_tolerations(tolerations: Sequence[Toleration] | None) -> list[Toleration]:
    """Return tolerations with those that every created pod is given."""
    given = list(tolerations or ())
    for key in _TOLERATED_FOR_A_WHILE:
        if not any(_speaks_of(each, key) for each in given):
            given.append(Toleration(key=key, operator="Exists", effect="NoExecute"))
    return given


def _speaks_of(toleration: Toleration, key: str) -> bool:
    return toleration.key in {key, "", None} and toleration.effect in {"NoExecute", "", None}


def _completed(container: Container, limit_ranges: Sequence[LimitRangeDefaults]) -> Container:
    found = with_limit_ranges(container.resources, limit_ranges)
    resources = Resources(requests=found.requests or None, limits=found.limits or None)
    return msgspec.structs.replace(container, resources=resources)
