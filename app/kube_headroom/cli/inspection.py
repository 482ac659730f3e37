"""What the engine sees in a set of objects: the stable `Inspection` of `inspect -o json`.

Objects that say something about others (LimitRanges, RuntimeClasses, Nodes, Namespaces) apply
wherever they stand in the input.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from kube_headroom.policy.checks import requirement_violations
from kube_headroom.policy.model import Policy
from kube_headroom.policy.scope import Scopes
from kube_headroom.resources.amounts import KUBERNETES_NAMES, MAX_INT64, Amounts
from kube_headroom.resources.defaults import LimitRangeDefaults, limit_range_defaults
from kube_headroom.resources.manifest import Document
from kube_headroom.resources.objects import KubeObject, PodSpec, Quantities
from kube_headroom.resources.placement import NodeFacts, admits, daemon_placement
from kube_headroom.resources.pod import EffectivePod, effective_pod
from kube_headroom.resources.workload import GROUPS, Workload, workload_of

_DECLARED: Final = ("cpu", "memory", "ephemeral_storage")
_READ: Final = {
    **GROUPS,
    "LimitRange": "",
    "Namespace": "",
    "Node": "",
    "RuntimeClass": "node.k8s.io",
}
"""The kinds that are read, with their API groups; all others are skipped unseen."""


class Pods(msgspec.Struct, frozen=True):
    """How many pods: asked for, and at most while they are being replaced."""

    declared: int
    peak: int


class Sums(msgspec.Struct, frozen=True):
    """Requests and limits in milli-CPU and bytes; a resource without limit has none."""

    requests: dict[str, int]
    limits: dict[str, int]


class Pod(Sums, frozen=True, rename="camel"):
    """One pod as Kubernetes will see it."""

    qos_class: str


class Finding(msgspec.Struct, frozen=True):
    """One violation of the requirements."""

    code: str
    container: str | None
    path: str
    message: str


class Item(msgspec.Struct, frozen=True):
    """One workload."""

    kind: str
    namespace: str
    name: str
    pods: Pods
    pod: Pod
    total: Sums
    violations: tuple[Finding, ...]


class Inspection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All workloads of an input, in its order."""

    api_version: str = "kube-headroom.io/v1"
    kind: str = "Inspection"
    items: tuple[Item, ...]


class Surroundings(msgspec.Struct):
    """The objects of the input that say something about others."""

    limit_ranges: dict[str, list[LimitRangeDefaults]] = {}
    overheads: dict[str, Quantities] = {}
    nodes: list[NodeFacts] = []
    namespace_labels: dict[str, Mapping[str, str | None]] = {}


class Inspector:
    """Looks at workloads under one policy, on one day, among the given objects."""

    def __init__(self, policy: Policy, surroundings: Surroundings, *, today: date) -> None:
        self._scopes = Scopes(policy)
        self._around = surroundings
        self._today = today

    def item(self, obj: KubeObject) -> Item | None:
        """Return what the engine sees in an object; None if it is no workload."""
        workload = workload_of(obj, eligible_nodes=self._eligible_nodes(obj))
        if workload is None:
            return None
        pod = self._pod(obj, workload)
        return Item(
            kind=workload.kind,
            namespace=workload.namespace,
            name=workload.name,
            pods=Pods(workload.declared, workload.peak),
            pod=Pod(**_sums(pod, 1), qos_class=pod.qos_class),
            total=Sums(**_sums(pod, workload.declared)),
            violations=self._violations(workload, pod),
        )

    def _eligible_nodes(self, obj: KubeObject) -> int:
        if obj.kind != "DaemonSet" or not self._around.nodes:
            return 1
        template = obj.spec.template if obj.spec else None
        placement = daemon_placement((template and template.spec) or PodSpec())
        return sum(admits(placement, node) for node in self._around.nodes)

    def _pod(self, obj: KubeObject, workload: Workload) -> EffectivePod:
        if obj.kind == "Pod" and obj.metadata.uid:  # it has been through admission already
            return effective_pod(workload.template, status=obj.status)
        return effective_pod(
            workload.template,
            limit_ranges=self._around.limit_ranges.get(workload.namespace, ()),
            overhead=self._around.overheads.get(workload.template.runtime_class_name or ""),
        )

    def _violations(self, workload: Workload, pod: EffectivePod) -> tuple[Finding, ...]:
        scope = self._scopes.scope_for(
            namespace=workload.namespace,
            namespace_labels=self._around.namespace_labels.get(workload.namespace, {}),
            user="",
            groups=(),
            today=lambda: self._today,
        )
        if scope.exemption is not None:
            return ()
        found = requirement_violations(
            pod,
            scope.requirements,
            path=workload.template_path,
            exempt_images=scope.exempt_images,
        )
        return tuple(Finding(one.code, one.container, one.path, one.message) for one in found)


def is_read(document: Document) -> bool:
    """Tell whether a document is of a kind that inspection looks at."""
    kind, version = document.data.get("kind"), document.data.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return True  # let it be refused as no object
    return _READ.get(kind) == version.rpartition("/")[0]


def surroundings_of(objects: Iterable[KubeObject]) -> Surroundings:
    """Sort out what says something about others."""
    around = Surroundings()
    for obj in objects:
        name = obj.metadata.name or ""
        if obj.kind == "LimitRange" and (defaults := limit_range_defaults(obj)) is not None:
            around.limit_ranges.setdefault(obj.metadata.namespace or "", []).append(defaults)
        elif obj.kind == "RuntimeClass" and obj.overhead and obj.overhead.pod_fixed:
            around.overheads[name] = obj.overhead.pod_fixed
        elif obj.kind == "Namespace":
            around.namespace_labels[name] = obj.metadata.labels or {}
        elif obj.kind == "Node":
            around.nodes.append(_node_facts(obj))
    return around


def inspect_objects(objects: Sequence[KubeObject], policy: Policy, *, today: date) -> Inspection:
    """Return what the engine sees in the objects."""
    inspector = Inspector(policy, surroundings_of(objects), today=today)
    items = (inspector.item(obj) for obj in objects)
    return Inspection(items=tuple(item for item in items if item is not None))


def _node_facts(node: KubeObject) -> NodeFacts:
    labels = {key: value or "" for key, value in (node.metadata.labels or {}).items()}
    spec = node.spec
    return NodeFacts(
        name=node.metadata.name or "",
        labels=labels,
        taints=tuple((spec and spec.taints) or ()),
        unschedulable=bool(spec and spec.unschedulable),
    )


def _sums(pod: EffectivePod, count: int) -> dict[str, dict[str, int]]:
    requests, limits = _by_name(pod.requests, count), _by_name(pod.limits, count)
    limited = {name: amount for name, amount in limits.items() if name in pod.limited}
    return {"requests": requests, "limits": limited}


def _by_name(amounts: Amounts, count: int) -> dict[str, int]:
    """Return amounts times count by Kubernetes name, cut at int64 so that every reader can."""
    return {
        KUBERNETES_NAMES[name]: min(getattr(amounts, name) * count, MAX_INT64) for name in _DECLARED
    }
