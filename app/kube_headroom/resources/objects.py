"""Kubernetes objects as they come off the wire, reduced to the fields this product reads.

The field names are the API's own. Every field is optional and accepts null, since Go writes both.
One type serves all kinds: a Pod's spec is a subset of Spec, a Deployment's too, so a review or a
watch event decodes in a single pass without knowing the kind first. Short-lived values: what is
kept of them are the rows of the book. gc=False: they are trees, never cycles.
"""

from typing import Any

import msgspec

QuantityText = str | int | float
"""A quantity as JSON or YAML may carry it; the API server itself always sends strings."""

Quantities = dict[str, QuantityText]


class Wire(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """The base of all wire types."""


class OwnerReference(Wire):
    """metadata.ownerReferences[]."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Annotations(Wire):
    """metadata.annotations: the one that is read. The others may be long, and are skipped."""

    mirror: str | msgspec.UnsetType | None = msgspec.field(
        name="kubernetes.io/config.mirror", default=msgspec.UNSET
    )


class ObjectMeta(Wire):
    """metadata."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: Annotations | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class Resources(Wire):
    """resources of a container or of a pod."""

    requests: Quantities | None = None
    limits: Quantities | None = None


class Container(Wire):
    """A container, init container or ephemeral container."""

    name: str = ""
    image: str | None = None
    restart_policy: str | None = None
    resources: Resources | None = None


class Toleration(Wire):
    """spec.tolerations[]."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Expression(Wire):
    """A label selector's or node selector's requirement."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class NodeSelectorTerm(Wire):
    """nodeSelectorTerms[]: all expressions and all fields must match."""

    match_expressions: list[Expression] | None = None
    match_fields: list[Expression] | None = None


class NodeSelector(Wire):
    """requiredDuringSchedulingIgnoredDuringExecution: one of the terms must match."""

    node_selector_terms: list[NodeSelectorTerm] | None = None


class NodeAffinity(Wire):
    """affinity.nodeAffinity; only what is required is read."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class Affinity(Wire):
    """affinity; only node affinity is read."""

    node_affinity: NodeAffinity | None = None


class SchedulingGate(Wire):
    """spec.schedulingGates[]."""

    name: str = ""


class LabelSelector(Wire):
    """metav1.LabelSelector."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[Expression] | None = None


class PodSpec(Wire):
    """A pod's spec."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    resources: Resources | None = None
    overhead: Quantities | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    preemption_policy: str | None = None
    runtime_class_name: str | None = None
    scheduling_gates: list[SchedulingGate] | None = None
    host_network: bool | None = None
    active_deadline_seconds: int | None = None


class PodTemplate(Wire):
    """A workload's spec.template."""

    metadata: ObjectMeta | None = None
    spec: PodSpec | None = None


class RollingUpdate(Wire):
    """strategy.rollingUpdate: numbers or percentages."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None
    partition: int | None = None


class Strategy(Wire):
    """A Deployment's strategy, a DaemonSet's updateStrategy."""

    type: str | None = None
    rolling_update: RollingUpdate | None = None


class JobTemplate(Wire):
    """A CronJob's jobTemplate."""

    metadata: ObjectMeta | None = None
    spec: "Spec | None" = None


class Taint(Wire):
    """A node's spec.taints[]."""

    key: str = ""
    value: str | None = None
    effect: str = ""


class LimitRangeItem(Wire):
    """A LimitRange's spec.limits[]."""

    type: str = ""
    max: Quantities | None = None
    min: Quantities | None = None
    default: Quantities | None = None
    default_request: Quantities | None = None
    max_limit_request_ratio: Quantities | None = None


class ScopeExpression(Wire):
    """scopeSelector.matchExpressions[]."""

    scope_name: str = ""
    operator: str = ""
    values: list[str] | None = None


class ScopeSelector(Wire):
    """A ResourceQuota's scopeSelector."""

    match_expressions: list[ScopeExpression] | None = None


class ScaleTargetRef(Wire):
    """A HorizontalPodAutoscaler's scaleTargetRef."""

    api_version: str | None = None
    kind: str = ""
    name: str = ""


class Spec(PodSpec):
    """Any object's spec: a pod's, a workload's, a node's, a LimitRange's, an autoscaler's."""

    # workloads
    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: PodTemplate | None = None
    strategy: Strategy | None = None
    update_strategy: Strategy | None = None
    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    suspend: bool | None = None
    managed_by: str | None = None
    job_template: JobTemplate | None = None
    # nodes
    unschedulable: bool | None = None
    taints: list[Taint] | None = None
    # LimitRange, ResourceQuota, HorizontalPodAutoscaler. A LimitRange has a list of items.
    limits: list[LimitRangeItem] | None = None
    hard: Quantities | None = None
    scopes: list[str] | None = None
    scope_selector: ScopeSelector | None = None
    scale_target_ref: ScaleTargetRef | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None


class Condition(Wire):
    """status.conditions[]."""

    type: str = ""
    status: str = ""
    reason: str | None = None


class ContainerStatus(Wire):
    """status.containerStatuses[]: what the kubelet made of a container."""

    name: str = ""
    resources: Resources | None = None
    allocated_resources: Quantities | None = None


class Status(Wire):
    """Any object's status."""

    phase: str | None = None
    conditions: list[Condition] | None = None
    qos_class: str | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resources: Resources | None = None
    allocated_resources: Quantities | None = None
    allocatable: Quantities | None = None
    capacity: Quantities | None = None
    replicas: int | None = None
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    failed_indexes: str | None = None
    completion_time: str | None = None
    current_replicas: int | None = None
    desired_number_scheduled: int | None = None
    update_revision: str | None = None
    hard: Quantities | None = None
    used: Quantities | None = None


class Overhead(Wire):
    """A RuntimeClass's overhead."""

    pod_fixed: Quantities | None = None


class KubeObject(Wire):
    """Any object of the kinds this product reads."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Spec | None = None
    status: Status | None = None
    data: dict[str, str] | None = None  # ConfigMap
    value: int | None = None  # PriorityClass
    global_default: bool | None = None  # PriorityClass
    preemption_policy: str | None = None  # PriorityClass
    overhead: Overhead | None = None  # RuntimeClass
