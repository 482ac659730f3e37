"""Workloads: how many pods of which template an object asks for, for every kind that makes pods.

Separate because only this file knows the kinds: whoever judges a template or counts a commitment
reads `Workload` and never asks what it came from.
"""

from typing import Final

import msgspec

from kube_headroom.resources.objects import (
    KubeObject,
    ObjectMeta,
    PodSpec,
    RollingUpdate,
    Spec,
    Status,
    Strategy,
)

GROUPS: Final = {
    "Pod": "",
    "ReplicationController": "",
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
}
"""Each workload kind and its API group; a Job of another group (Volcano has one) is none of ours."""

JOB_CONTROLLER: Final = "kubernetes.io/job-controller"
_TEMPLATE_PATH: Final = "spec.template.spec"
_DEFAULT_SURGE: Final = "25%"
_FINISHED: Final = frozenset({"Complete", "Failed"})


class PodCount(msgspec.Struct, frozen=True, gc=False):
    """How many pods: wanted now, and how many more or fewer while they are being replaced."""

    declared: int
    surge: int = 0
    unavailable: int = 0
    idle_peak: int = 0
    """What may run although nothing is declared: the Job a CronJob will start."""


class Workload(msgspec.Struct, frozen=True, gc=False):
    """A pod template and how many pods of it an object asks for."""

    kind: str
    api_version: str
    namespace: str
    name: str
    uid: str
    declared: int
    peak: int
    template: PodSpec
    template_metadata: ObjectMeta | None
    template_path: str
    surge: int
    unavailable: int
    elsewhere: bool = False
    """Whether a controller of another kind makes its pods: of a Job that says so by managedBy."""
    keeps_old: bool = False
    """Whether some pods are made anew as they were: a StatefulSet that is updated in part."""

    @property
    def desired(self) -> int:
        """The number of pods its controller wants now; what is declared is this times the template."""
        return self.declared


def workload_of(obj: KubeObject, *, eligible_nodes: int = 1) -> Workload | None:
    """Return the workload an object is, or None. A DaemonSet asks for a pod on each eligible node."""
    group = GROUPS.get(obj.kind)
    # Items of a typed list carry neither kind nor apiVersion; whoever fills in one may leave the other.
    if group is None or (obj.api_version and obj.api_version.rpartition("/")[0] != group):
        return None
    spec = obj.spec if obj.spec is not None else Spec()
    metadata, template, path = _template(obj, spec)
    count = _pod_count(obj.kind, spec, obj.status, eligible_nodes)
    return Workload(
        kind=obj.kind,
        api_version=obj.api_version,
        namespace=obj.metadata.namespace or "",
        name=obj.metadata.name or obj.metadata.generate_name or "",
        uid=obj.metadata.uid or "",
        declared=count.declared,
        peak=count.declared + count.surge + count.idle_peak,
        template=template,
        template_metadata=metadata,
        template_path=path,
        surge=count.surge,
        unavailable=count.unavailable,
        elsewhere=_is_managed_elsewhere(spec),
        keeps_old=obj.kind == "StatefulSet" and _partition(spec.update_strategy) > 0,
    )


def _is_managed_elsewhere(spec: Spec) -> bool:
    """Tell whether the Job controller leaves it alone (KEP-4368)."""
    return spec.managed_by not in {None, "", JOB_CONTROLLER}


def _partition(strategy: Strategy | None) -> int:
    return (strategy and strategy.rolling_update and strategy.rolling_update.partition) or 0


def _template(obj: KubeObject, spec: Spec) -> tuple[ObjectMeta | None, PodSpec, str]:
    if obj.kind == "Pod":
        return obj.metadata, spec, "spec"
    path = _TEMPLATE_PATH
    if obj.kind == "CronJob":
        spec = _job_spec(spec)
        path = "spec.jobTemplate." + path
    if spec.template is None:
        return None, PodSpec(), path
    return spec.template.metadata, spec.template.spec or PodSpec(), path


def _pod_count(kind: str, spec: Spec, status: Status | None, eligible_nodes: int) -> PodCount:
    if kind == "Pod":
        return PodCount(1)
    if kind == "Job":
        return PodCount(_job_pods(spec, status))
    if kind == "CronJob":
        return PodCount(0, idle_peak=_job_pods(_job_spec(spec), None))
    if kind == "DaemonSet":
        return _daemon_pods(spec.update_strategy, eligible_nodes)
    replicas = max(0, spec.replicas if spec.replicas is not None else 1)
    if kind == "Deployment":
        return _deployment_pods(spec.strategy, replicas)
    return PodCount(replicas)


def _job_spec(spec: Spec) -> Spec:
    return (spec.job_template and spec.job_template.spec) or Spec()


def _deployment_pods(strategy: Strategy | None, replicas: int) -> PodCount:
    if replicas == 0 or (strategy is not None and strategy.type == "Recreate"):
        return PodCount(replicas)
    rolling = (strategy and strategy.rolling_update) or RollingUpdate()
    surge = _share(rolling.max_surge, _DEFAULT_SURGE, of=replicas, up=True)
    unavailable = _share(rolling.max_unavailable, _DEFAULT_SURGE, of=replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # else the rollout could not start: upstream decides the same
    return PodCount(replicas, surge=surge, unavailable=unavailable)


def _daemon_pods(strategy: Strategy | None, nodes: int) -> PodCount:
    if strategy is not None and strategy.type == "OnDelete":
        return PodCount(nodes)
    rolling = (strategy and strategy.rolling_update) or RollingUpdate()
    surge = _share(rolling.max_surge, 0, of=nodes, up=True)
    unavailable = _share(rolling.max_unavailable, 1, of=nodes, up=True)
    return PodCount(nodes, surge=surge, unavailable=unavailable)


def _share(value: int | str | None, default: int | str, *, of: int, up: bool) -> int:
    """Return a count, or a percentage of one rounded as told; what is neither is the default."""
    percent = value if value is not None else default
    if isinstance(percent, int):
        return max(0, percent)
    number = percent.removesuffix("%")
    if number == percent or not (number.isascii() and number.isdigit()) or len(number) > 9:
        return _share(default, 0, of=of, up=up)
    hundredfold = int(number) * of
    return -(-hundredfold // 100) if up else hundredfold // 100


def _job_pods(spec: Spec, status: Status | None) -> int:
    """Return how many pods a Job's controller wants now."""
    parallelism = max(0, spec.parallelism if spec.parallelism is not None else 1)
    if spec.suspend or _is_managed_elsewhere(spec) or (status is not None and _is_finished(status)):
        return 0
    succeeded = (status.succeeded or 0) if status is not None else 0
    if spec.completions is None:
        # A work queue: after the first success no pod is added, what runs may end.
        return ((status and status.active) or 0) if succeeded else parallelism
    failed = _count_indexes(status.failed_indexes) if status is not None else 0
    return max(0, min(parallelism, spec.completions - succeeded - failed))


def _is_finished(status: Status) -> bool:
    return any(
        condition.type in _FINISHED and condition.status == "True"
        for condition in status.conditions or ()
    )


def _count_indexes(text: str | None) -> int:
    """Return how many indexes `1,3-5,7` names."""
    count = 0
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        # Ten digits hold every index there can be; a longer text is not the API server's.
        if len(part) <= 21 and first.isdecimal() and (last or first).isdecimal():
            count += max(0, int(last or first) - int(first) + 1)
    return count
