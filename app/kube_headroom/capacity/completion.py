"""Completion: what the API server will add to a template's pods, by what the view knows.

A validating webhook sees a template bare: no LimitRange, no RuntimeClass overhead, no priority. Kept
apart from the view because all of it can change under workloads that do not change themselves.
"""

from collections.abc import Mapping, Sequence, Set

from kube_headroom.capacity.load import Load
from kube_headroom.capacity.promise import Version
from kube_headroom.resources.created import created_spec
from kube_headroom.resources.defaults import LimitRangeDefaults, limit_range_defaults
from kube_headroom.resources.objects import KubeObject, PodSpec, Quantities
from kube_headroom.resources.placement import placement_of
from kube_headroom.resources.pod import EffectivePod, effective_pod
from kube_headroom.resources.workload import Workload

UNCOUNTED_KINDS = frozenset({"DaemonSet", "CronJob"})
"""Their pods come and go with nodes, or under Jobs of their own: as such they hold nothing."""


class Completion:
    """Namespaces, LimitRanges, RuntimeClasses and PriorityClasses."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Mapping[str, str | None]] = {}
        """Labels by name."""
        self._limit_ranges: dict[str, dict[str, LimitRangeDefaults]] = {}
        self._overheads: dict[str, Quantities | None] = {}
        self._priority_classes: dict[str, KubeObject] = {}
        self._changed: set[str | None] = set()

    def put(self, resource: str, obj: KubeObject) -> None:
        """Take over an object as it is."""
        name = obj.metadata.name or ""
        if resource == "namespaces":
            self.namespaces[name] = obj.metadata.labels or {}
        elif resource == "limitranges":
            self._put_limit_range(obj.metadata.namespace or "", name, limit_range_defaults(obj))
        elif resource == "runtimeclasses":
            self._overheads[name] = obj.overhead.pod_fixed if obj.overhead else None
            self._changed.add(None)
        else:
            self._priority_classes[name] = obj
            self._changed.add(None)

    def remove(self, resource: str, namespace: str, name: str) -> None:
        """Forget an object."""
        if resource == "namespaces":
            self.namespaces.pop(name, None)
        elif resource == "limitranges":
            self._put_limit_range(namespace, name, None)
        else:
            kept = self._overheads if resource == "runtimeclasses" else self._priority_classes
            kept.pop(name, None)
            self._changed.add(None)

    def changed(self) -> Set[str | None]:
        """Return, once, the namespaces whose templates may come to something else; None is all."""
        if not self._changed:
            return frozenset()
        changed, self._changed = self._changed, set()
        return changed

    def effective_template(self, template: PodSpec, namespace: str) -> EffectivePod:
        """Return a template as the API server will complete its pods."""
        return effective_pod(
            template,
            limit_ranges=self._defaults(namespace),
            overhead=self._overheads.get(template.runtime_class_name or ""),
        )

    def created_spec(self, spec: PodSpec, namespace: str) -> PodSpec:
        """Return a pod's spec as the API server completes it when the pod is created."""
        priority, preempts = self.priority(spec)
        return created_spec(
            spec,
            limit_ranges=self._defaults(namespace),
            overhead=self._overheads.get(spec.runtime_class_name or ""),
            priority=priority,
            preempts=preempts,
        )

    def priority(self, spec: PodSpec) -> tuple[int, bool]:
        """Return the priority of a pod or template, and whether its pods may evict others."""
        if spec.priority is not None:
            return spec.priority, spec.preemption_policy != "Never"
        chosen = self._priority_class(spec)
        policy = spec.preemption_policy or (chosen.preemption_policy if chosen else None)
        return (chosen.value if chosen else None) or 0, policy != "Never"

    def priority_class_name(self, spec: PodSpec) -> str:
        """Return the name of the class that a pod or template will have, empty for none."""
        chosen = None if spec.priority_class_name else self._priority_class(spec)
        return (chosen and chosen.metadata.name) or spec.priority_class_name or ""

    def version(self, workload: Workload, pod: EffectivePod, owner: str = "") -> Version:
        """Return what a workload asks for, given its effective pod."""
        count = 0 if workload.kind in UNCOUNTED_KINDS else workload.desired
        return self.version_of(workload.template, pod, count, owner)

    def version_of(
        self, template: PodSpec, pod: EffectivePod, count: int, owner: str = ""
    ) -> Version:
        """Return what so many pods of a template ask for, given the effective pod."""
        priority, preempts = self.priority(template)
        unit = Load(pod.requests, pod.limits)
        return Version(count, unit, placement_of(template), priority, owner, preempts)

    def _defaults(self, namespace: str) -> Sequence[LimitRangeDefaults]:
        defaults = self._limit_ranges.get(namespace)
        return [defaults[name] for name in sorted(defaults)] if defaults else ()

    def _priority_class(self, spec: PodSpec) -> KubeObject | None:
        if spec.priority_class_name:
            return self._priority_classes.get(spec.priority_class_name)
        classes = self._priority_classes.values()
        return next((each for each in classes if each.global_default), None)

    def _put_limit_range(
        self, namespace: str, name: str, defaults: LimitRangeDefaults | None
    ) -> None:
        ranges = self._limit_ranges.setdefault(namespace, {})
        if ranges.get(name) != defaults:
            self._changed.add(namespace)
        ranges.pop(name, None)
        if defaults is not None:
            ranges[name] = defaults
        if not ranges:
            del self._limit_ranges[namespace]
