"""ResourceQuotas: how many of a workload's pods those of its namespace would let in.

Separate because a quota speaks only when a controller makes a pod, which nobody watches. Its hard
and used are taken as the API server last wrote them; what is compared is what a workload still
lacks beside its pods that exist, since those are in `used` already.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.resources.objects import KubeObject, Quantities, ScopeSelector
from kube_headroom.resources.pod import EffectivePod
from kube_headroom.resources.quantity import QuantityError, milli, whole

TRACKED: Final[Mapping[str, tuple[str, str]]] = {
    "pods": ("requests", "pods"),
    "count/pods": ("requests", "pods"),
    **{
        f"{prefix}{name}": (basis, name.replace("-", "_"))
        for prefix, basis in (("", "requests"), ("requests.", "requests"), ("limits.", "limits"))
        for name in ("cpu", "memory", "ephemeral-storage")
    },
}
"""What a quota may bound, of what is counted here: basis and field of a Load."""
_REQUIRED: Final = frozenset({"cpu", "memory"})
"""If a quota bounds one of these, every container must declare it: an old mistake, says upstream."""


class QuotaScope(msgspec.Struct, frozen=True, gc=False):
    """One condition for pods to be counted."""

    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()


class Quota(msgspec.Struct, frozen=True, gc=False):
    """One ResourceQuota: hard and used by its own names, in the units of Amounts."""

    name: str
    hard: Mapping[str, int]
    used: Mapping[str, int]
    scopes: tuple[QuotaScope, ...] = ()


class PodTraits(msgspec.Struct, frozen=True):
    """What scopes look at in a pod."""

    best_effort: bool
    terminating: bool
    """Whether it has an activeDeadlineSeconds."""
    priority_class: str


class Demand(msgspec.Struct, frozen=True):
    """The pods that a workload asks for; `present` is what those that exist ask for together."""

    count: int
    unit: Load
    present: Load = NOTHING


class QuotaShortage(msgspec.Struct, frozen=True):
    """The bound of a quota that lets in the fewest pods; `others` are short too."""

    quota: str
    resource: str
    asked: int
    used: int
    hard: int
    count: int
    lets_in: int
    others: tuple[str, ...] = ()


def quota_of(obj: KubeObject) -> Quota | None:
    """Return a ResourceQuota as it is kept, or None if it bounds nothing that is counted here."""
    spec, status = obj.spec, obj.status
    hard = _amounts((status.hard if status else None) or (spec.hard if spec else None))
    if not hard:
        return None
    return Quota(
        name=obj.metadata.name or "",
        hard=hard,
        used=_amounts(status.used if status else None),
        scopes=(
            *(QuotaScope(name) for name in (spec and spec.scopes) or ()),
            *_selected(spec.scope_selector if spec else None),
        ),
    )


def counts(quota: Quota, traits: PodTraits) -> bool:
    """Tell whether a quota counts such pods. CrossNamespacePodAffinity is never said to."""
    return all(_matches(scope, traits) for scope in quota.scopes)


def shortage(quota: Quota, demand: Demand) -> QuotaShortage | None:
    """Return what the quota would refuse of a demand, if anything."""
    short: list[QuotaShortage] = []
    for name, hard in quota.hard.items():
        unit, present = _amount(demand.unit, name), _amount(demand.present, name)
        used = quota.used.get(name, 0)
        asked = unit * demand.count - present
        if asked <= 0 or asked <= hard - used:
            continue
        lets_in = max(0, hard - used + present) // unit
        found = QuotaShortage(quota.name, name, asked, used, hard, demand.count, lets_in)
        short.append(found)
    if not short:
        return None
    tightest = min(short, key=lambda each: each.lets_in)
    others = tuple(sorted(each.resource for each in short if each is not tightest))
    return msgspec.structs.replace(tightest, others=others)


def unsaid(quota: Quota, pod: EffectivePod) -> dict[str, tuple[str, ...]]:
    """Return what the quota wants every container to declare, and which containers do not."""
    if pod.pod_requests or pod.pod_limits:
        return {}
    result: dict[str, tuple[str, ...]] = {}
    for name in sorted(quota.hard):
        basis, field = TRACKED[name]
        if field not in _REQUIRED:
            continue
        lacking = (each for each in pod.containers if field not in getattr(each, basis))
        names = tuple(sorted({each.name for each in lacking}))
        if names:
            result[name] = names
    return result


def _amounts(quantities: Quantities | None) -> dict[str, int]:
    result: dict[str, int] = {}
    for name, text in (quantities or {}).items():
        if name not in TRACKED:
            continue
        try:
            result[name] = (milli if TRACKED[name][1] == "cpu" else whole)(text)
        except QuantityError:
            continue  # the API server let it in: beyond all counting, so no bound
    return result


def _amount(load: Load, name: str) -> int:
    basis, field = TRACKED[name]
    value: int = getattr(getattr(load, basis), field)
    return value


def _selected(selector: ScopeSelector | None) -> Iterable[QuotaScope]:
    for each in (selector.match_expressions if selector else None) or ():
        yield QuotaScope(each.scope_name, each.operator, tuple(each.values or ()))


def _matches(scope: QuotaScope, traits: PodTraits) -> bool:
    match scope.name:
        case "Terminating":
            return traits.terminating
        case "NotTerminating":
            return not traits.terminating
        case "BestEffort":
            return traits.best_effort
        case "NotBestEffort":
            return not traits.best_effort
        case "PriorityClass":
            return _has_class(scope, traits.priority_class)
    return False


def _has_class(scope: QuotaScope, name: str) -> bool:
    match scope.operator:
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
        case "In":
            return bool(name) and name in scope.values
        case "NotIn":
            return name not in scope.values
    return False
