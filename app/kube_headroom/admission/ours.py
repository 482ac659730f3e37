"""Ours: which requests are ours to judge, and on whose behalf they come.

We stand where someone asks, not where a controller carries out what was already promised.
"""

from typing import Final

import msgspec

from kube_headroom.admission.review import Request
from kube_headroom.capacity.rows import controller_of, is_known, known_owner
from kube_headroom.resources.objects import KubeObject, OwnerReference

SYSTEM: Final = "system:serviceaccount:kube-system:"
MANAGER: Final = "system:kube-controller-manager"
"""All controllers in one, where they have no service accounts of their own."""
POD_CONTROLLERS: Final = (
    f"{SYSTEM}replicaset-controller",
    f"{SYSTEM}replication-controller",
    f"{SYSTEM}statefulset-controller",
    f"{SYSTEM}daemon-set-controller",
    f"{SYSTEM}job-controller",
    MANAGER,
)
"""Who makes pods on behalf of known workloads."""
WORKLOAD_CONTROLLERS: Final = {
    "replicasets": f"{SYSTEM}deployment-controller",
    "jobs": f"{SYSTEM}cronjob-controller",
}
"""Who makes workloads on behalf of other workloads."""
AUTOSCALER: Final = f"{SYSTEM}horizontal-pod-autoscaler"

GARBAGE_COLLECTOR: Final = f"{SYSTEM}generic-garbage-collector"
"""Takes the owner from what `kubectl delete --cascade=orphan` leaves; nothing is made instead."""

CRITICAL_PRIORITY: Final = 2_000_000_000
SYSTEM_NAMESPACES: Final = frozenset({"kube-system", "kube-node-lease", "kube-public"})
KINDS: Final = {
    ("", "pods"): "Pod",
    ("", "replicationcontrollers"): "ReplicationController",
    ("apps", "deployments"): "Deployment",
    ("apps", "replicasets"): "ReplicaSet",
    ("apps", "statefulsets"): "StatefulSet",
    ("apps", "daemonsets"): "DaemonSet",
    ("batch", "jobs"): "Job",
    ("batch", "cronjobs"): "CronJob",
}
"""What is judged, by group and resource, and its kind."""
_SUBRESOURCES: Final = frozenset({"", "scale", "resize"})


class Identity(msgspec.Struct, frozen=True):
    """Who we are, and whom we know."""

    namespace: str
    policy_configmap: str
    controllers: frozenset[str] = frozenset(POD_CONTROLLERS)


def kind_of(request: Request) -> str:
    """Return the kind of what a request is about, of a Scale its parent's; empty for the rest."""
    return KINDS.get((request.resource.group, request.resource.resource), "")


def is_policy(request: Request, identity: Identity) -> bool:
    """Tell whether it is about our own policy ConfigMap."""
    if request.resource.resource != "configmaps" or request.operation not in {"CREATE", "UPDATE"}:
        return False
    return (request.namespace, request.name) == (identity.namespace, identity.policy_configmap)


def is_ours(request: Request, identity: Identity) -> bool:
    """Tell whether it is ours to judge; all else is allowed at once."""
    kind = kind_of(request)
    if request.operation not in {"CREATE", "UPDATE"} or not kind:
        return False
    if (request.sub_resource or "") not in _SUBRESOURCES:
        return False
    namespace = request.namespace or ""
    if namespace == identity.namespace or namespace in SYSTEM_NAMESPACES:
        return False
    obj = request.object
    if obj is None:  # unreadable: its sender is to be told
        return True
    if obj.metadata.deletion_timestamp is not None:
        return False
    return kind != "Pod" or not _is_carried_out(obj, request, identity)


def _is_carried_out(pod: KubeObject, request: Request, identity: Identity) -> bool:
    """Tell whether a pod is made by its owner's controller, static, or critical."""
    if request.user_info.username in {*identity.controllers, GARBAGE_COLLECTOR}:
        return True
    annotations = pod.metadata.annotations
    if annotations is not None and annotations.mirror is not msgspec.UNSET:
        return True
    return pod.spec is not None and (pod.spec.priority or 0) >= CRITICAL_PRIORITY


def is_child(request: Request) -> bool:
    """Tell whether a workload is sent by the controller of the workload that owns it."""
    obj = request.object
    if obj is None or not known_owner(obj.metadata)[0]:
        return False
    sender = WORKLOAD_CONTROLLERS.get(request.resource.resource)
    return sender is not None and request.user_info.username in {sender, MANAGER}


def is_autoscaler(request: Request) -> bool:
    """Tell whether it is a HorizontalPodAutoscaler's call."""
    return request.sub_resource == "scale" and request.user_info.username == AUTOSCALER


def forged_owner(request: Request) -> OwnerReference | None:
    """Return the known controller that a pod newly names without having been sent by it (L15)."""
    obj, old = request.object, request.old_object
    if request.resource.resource != "pods" or obj is None:
        return None
    owner = controller_of(obj.metadata)
    if owner is None or not is_known(owner):
        return None
    if old is not None and known_owner(old.metadata)[0] == owner.uid:
        return None
    return owner
