"""The subject: what a request is about, as the policy and the book see it.

Three shapes come in: a pod, a workload with a template, a Scale that names its parent. One shape
goes out: the pods to judge, before and after, and the promise that it would be.
"""

import msgspec

from kube_headroom.admission.review import Request
from kube_headroom.capacity.asked import covered, pod_version
from kube_headroom.capacity.completion import UNCOUNTED_KINDS
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.rows import owner_of, resource_version_of
from kube_headroom.capacity.view import View, object_key
from kube_headroom.resources.objects import KubeObject, PodSpec
from kube_headroom.resources.pod import EffectivePod, effective_pod
from kube_headroom.resources.selector import Selector
from kube_headroom.resources.workload import Workload, workload_of


class Subject(msgspec.Struct, frozen=True):
    """What a request asks for. `pod` is None for a Scale, which shows no template."""

    pod: EffectivePod | None
    old_pod: EffectivePod | None
    path: str
    """Of the pod spec in the object."""
    promise: Promise
    old_version: Version | None
    replicas: bool
    """Whether it could ask for fewer pods."""
    counted: bool = True
    """Whether it holds room as such: DaemonSets and CronJobs do not."""

    @property
    def declares_more(self) -> bool:
        """Tell whether it asks for more than before, in all or per pod, or for other nodes."""
        new, old = self.promise.version, self.old_version
        if not self.counted:
            return False
        if old is None:
            return new.count > 0
        if new.unit.exceeds(old.unit):
            return True
        if new.unit.times(new.count).exceeds(old.unit.times(old.count)):
            return True
        same_nodes = (new.placement, new.priority, new.preempts) == (
            *(old.placement, old.priority, old.preempts),
        )
        return not same_nodes and new.count > 0


def subject_of(request: Request, view: View) -> Subject | None:
    """Return the subject of a request; None for a Scale whose parent the view does not show."""
    if request.sub_resource == "scale":
        return _scale_subject(request, view)
    if request.resource.resource == "pods":
        return _pod_subject(request, view)
    return _workload_subject(request, view)


def _pod_subject(request: Request, view: View) -> Subject:
    """Return the subject of a pod, created, updated or resized."""
    obj, old = request.object, request.old_object
    assert obj is not None
    pod, version = _pod(obj, view)
    old_pod, old_version = _pod(old, view) if old is not None else (None, None)
    version = pod_version(view, version, obj, old)
    if old_version is not None:
        assert old is not None
        old_version = pod_version(view, old_version, old, old)
    promise = _promise(request, obj, version)
    return Subject(pod, old_pod, "spec", promise, old_version, replicas=False)


def _pod(obj: KubeObject, view: View) -> tuple[EffectivePod, Version]:
    """Return a pod and what it would ask for if nobody controlled it, and no gate held it."""
    spec = obj.spec if obj.spec is not None else PodSpec()
    pod = effective_pod(spec, status=obj.status)
    return pod, view.completion.version_of(spec, pod, 1)


def _workload_subject(request: Request, view: View) -> Subject:
    """Return the subject of a workload, created or updated."""
    obj, old = request.object, request.old_object
    assert obj is not None
    workload = _workload(obj)
    pod, version = _template(workload, obj, view)
    old_pod, old_version = None, None
    if old is not None:
        old_pod, old_version = _template(_workload(old), old, view)
    covers = covered(view, obj) if request.operation == "CREATE" else None
    return Subject(
        pod=pod,
        old_pod=old_pod,
        path=workload.template_path,
        promise=_promise(request, obj, version, covers),
        old_version=old_version,
        replicas=True,
        counted=workload.kind not in UNCOUNTED_KINDS,
    )


def _workload(obj: KubeObject) -> Workload:
    workload = workload_of(obj)
    assert workload is not None
    return workload


def _template(workload: Workload, obj: KubeObject, view: View) -> tuple[EffectivePod, Version]:
    pod = view.completion.effective_template(workload.template, workload.namespace)
    return pod, view.completion.version(workload, pod, owner_of(obj.metadata))


def _scale_subject(request: Request, view: View) -> Subject | None:
    """Return the subject of a Scale, or None while the view knows nothing of its parent."""
    obj, old = request.object, request.old_object
    assert obj is not None
    parent = view.book.latest(object_key(request.resource.resource, obj.metadata))
    if parent is None:
        return None
    count = max(0, (obj.spec.replicas if obj.spec else None) or 0)
    old_count = max(0, (old.spec.replicas if old and old.spec else None) or 0)
    version = msgspec.structs.replace(parent, count=count)
    return Subject(
        pod=None,
        old_pod=None,
        path="spec.replicas",
        promise=_promise(request, obj, version),
        old_version=msgspec.structs.replace(parent, count=old_count),
        replicas=True,
    )


def _promise(
    request: Request, obj: KubeObject, version: Version, covers: Selector | None = None
) -> Promise:
    resource, metadata = request.resource.resource, obj.metadata
    return Promise(
        resource,
        object_key(resource, metadata),
        resource_version_of(metadata) if request.operation == "UPDATE" else 0,
        metadata.namespace or request.namespace or "",
        "" if metadata.generate_name else metadata.name or "",
        version,
        covers,
    )
