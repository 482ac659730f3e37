"""Rows: Kubernetes objects reduced to what the book keeps of them."""

from typing import Final

import msgspec

from kube_headroom.capacity.load import Load
from kube_headroom.capacity.pods import (
    LEAVING_MARGIN_SECONDS,
    LEAVING_MAX_GRACE_SECONDS,
    NEVER,
    PodRow,
)
from kube_headroom.capacity.promise import UNKNOWN
from kube_headroom.capacity.roots import Shown
from kube_headroom.resources.amounts import ZERO, Amounts
from kube_headroom.resources.objects import (
    KubeObject,
    ObjectMeta,
    OwnerReference,
    Quantities,
    Spec,
    Status,
)
from kube_headroom.resources.placement import (
    ANYWHERE,
    AWAY_TAINTS,
    NodeFacts,
    Placement,
    placement_of,
)
from kube_headroom.resources.pod import scheduler_amounts
from kube_headroom.resources.quantity import QuantityError, milli, whole
from kube_headroom.resources.selector import TAKES, Tags, selector_of, tags_of
from kube_headroom.resources.workload import GROUPS, Workload

DEFAULT_GRACE_SECONDS: Final = 30
FINISHED_PHASES: Final = frozenset({"Succeeded", "Failed"})


def controller_of(metadata: ObjectMeta) -> OwnerReference | None:
    """Return the owner that controls an object, of whatever kind."""
    for owner in metadata.owner_references or ():
        if owner.controller:
            return owner
    return None


def is_known(owner: OwnerReference) -> bool:
    """Tell whether an owner is a workload whose pods are counted under it.

    An owner of kind Pod (a Spark driver) is none: nothing says how many pods it wants.
    """
    if owner.kind == "Pod" or owner.kind not in GROUPS:
        return False
    return owner.api_version.rpartition("/")[0] == GROUPS[owner.kind]


def known_owner(metadata: ObjectMeta) -> tuple[str, str]:
    """Return uid and kind of the known controller of an object; empty without one."""
    owner = controller_of(metadata)
    return (owner.uid, owner.kind) if owner is not None and is_known(owner) else ("", "")


def owner_of(metadata: ObjectMeta) -> str:
    """Return the uid of an object's controller, marked if its kind is unknown; empty without one."""
    owner = controller_of(metadata)
    if owner is None:
        return ""
    return owner.uid if is_known(owner) else UNKNOWN + owner.uid


def loose_tags(resource: str, metadata: ObjectMeta) -> Tags | None:
    """Return by what a workload may take an object that has no controller; None for others."""
    if controller_of(metadata) is not None or metadata.deletion_timestamp is not None:
        return None
    return tags_of(resource, metadata)


def shown_of(resource: str, obj: KubeObject, workload: Workload) -> Shown:
    """Return what the view shows of a workload beside what it asks for.

    The finalizer is FinalizerOrphanDependents in upstream's apimachinery/pkg/apis/meta/v1/types.go.
    """
    metadata = obj.metadata
    orphans = metadata.deletion_timestamp is not None and "orphan" in (metadata.finalizers or ())
    return Shown(
        selector=selector_of(obj),
        tags=loose_tags(resource, metadata) if resource in TAKES.values() else None,
        orphans=orphans,
        keeps_old=workload.keeps_old,
    )


def pod_row(obj: KubeObject, uid: str, now: float, pending_hold_seconds: float) -> PodRow | None:
    """Return the row of a pod, or None when it is finished."""
    spec, status = obj.spec, obj.status
    if spec is None or (status is not None and status.phase in FINISHED_PHASES):
        return None
    owner, kind = owner_of(obj.metadata), known_owner(obj.metadata)[1]
    requests, limits = scheduler_amounts(obj)
    node = spec.node_name or ""
    weightless_at = NEVER
    if not node and spec.scheduling_gates:
        weightless_at = 0.0
    elif not node and _is_unschedulable(status):
        weightless_at = now + pending_hold_seconds
    return PodRow(
        uid=uid,
        owner=owner,
        node=node,
        load=Load(requests, limits),
        priority=spec.priority or 0,
        placement=_placement(spec, owner),
        replaced=kind not in {"", "DaemonSet"},
        leaving_until=_leaving_until(obj.metadata, now),
        weightless_at=weightless_at,
        tags=tags_of("pods", obj.metadata) if kind else loose_tags("pods", obj.metadata),
    )


def _placement(spec: Spec, owner: str) -> Placement:
    """Return where a pod may go; of one that is on its node only if it may leave a seat."""
    if not spec.node_name:
        return placement_of(spec)
    if not owner.startswith(UNKNOWN):
        return ANYWHERE
    return placement_of(msgspec.structs.replace(spec, node_name=None))


def node_facts(obj: KubeObject) -> tuple[NodeFacts, Amounts, bool]:
    """Return what the filters read of a node, its allocatable, and whether it is Ready."""
    labels = {key: value or "" for key, value in (obj.metadata.labels or {}).items()}
    spec, status = obj.spec, obj.status
    taints = tuple((spec.taints if spec else None) or ())
    facts = NodeFacts(
        name=obj.metadata.name or "",
        labels=labels,
        taints=taints,
        unschedulable=bool(spec and spec.unschedulable),
    )
    conditions = (status.conditions if status else None) or ()
    away = any(each.type == "Ready" and each.status != "True" for each in conditions)
    ready = not away and not any(taint.key in AWAY_TAINTS for taint in taints)
    # No allocatable means no pods, as for the scheduler (capacity-rules Q9).
    return facts, amounts_of(status.allocatable if status else None), ready


def amounts_of(quantities: Quantities | None) -> Amounts:
    """Return a ResourceList as amounts; what is missing or unreadable is nothing."""
    if not quantities:
        return ZERO

    def read(name: str) -> int:
        try:
            return (milli if name == "cpu" else whole)(quantities.get(name, "0"))
        except QuantityError:
            return 0

    return Amounts(read("cpu"), read("memory"), read("ephemeral-storage"), read("pods"))


def resource_version_of(metadata: ObjectMeta) -> int:
    """Return the resourceVersion as a number; 0 where there is none."""
    return version_number(metadata.resource_version or "")


def version_number(text: str) -> int:
    """Return a resourceVersion as a number; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _is_unschedulable(status: Status | None) -> bool:
    conditions = (status.conditions if status else None) or ()
    return any(
        each.type == "PodScheduled" and each.reason == "Unschedulable" for each in conditions
    )


def _leaving_until(metadata: ObjectMeta, now: float) -> float:
    if metadata.deletion_timestamp is None:
        return 0.0
    grace = metadata.deletion_grace_period_seconds
    grace = DEFAULT_GRACE_SECONDS if grace is None else grace
    return now + grace + LEAVING_MARGIN_SECONDS if grace <= LEAVING_MAX_GRACE_SECONDS else 0.0
