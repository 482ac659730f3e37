"""Short forms of case files, written out: what a person would send, or a cluster would show.

`{kind: Deployment, name: shop/web, replicas: 3, pod: {containers: {web: {memory: 1Gi}}}}` is a
Deployment as kubectl sends it; a plain amount stands for request and limit. Whatever has an
apiVersion is taken as it is.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

GROUP_VERSIONS = {
    "Pod": ("", "v1", "pods"),
    "ReplicationController": ("", "v1", "replicationcontrollers"),
    "Node": ("", "v1", "nodes"),
    "Namespace": ("", "v1", "namespaces"),
    "LimitRange": ("", "v1", "limitranges"),
    "ResourceQuota": ("", "v1", "resourcequotas"),
    "ConfigMap": ("", "v1", "configmaps"),
    "Deployment": ("apps", "v1", "deployments"),
    "ReplicaSet": ("apps", "v1", "replicasets"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "Job": ("batch", "v1", "jobs"),
    "CronJob": ("batch", "v1", "cronjobs"),
    "RuntimeClass": ("node.k8s.io", "v1", "runtimeclasses"),
    "PriorityClass": ("scheduling.k8s.io", "v1", "priorityclasses"),
    "Workflow": ("argoproj.io", "v1alpha1", "workflows"),
}
_METADATA = ("labels", "annotations", "generateName", "deletionTimestamp")
_SHORT = {"kind", "name", "uid", "rv", "owner", "pod", "replicas", "spec", "status", *_METADATA}


def uid_of(kind: str, name: str) -> str:
    """Return the uid that an object of this name has in every case."""
    return str(uuid.UUID(hashlib.sha256(f"{kind} {name}".encode()).hexdigest()[:32]))


def resource_of(kind: str) -> str:
    """Return the plural of a kind."""
    return GROUP_VERSIONS[kind][2]


def manifest(short: dict[str, Any]) -> dict[str, Any]:
    """Return a short form written out."""
    if "apiVersion" in short:
        return short
    kind = short["kind"]
    if kind == "Node":
        return _node(short)
    group, version, _ = GROUP_VERSIONS[kind]
    result: dict[str, Any] = {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": kind,
        "metadata": _metadata(kind, short),
        **{key: value for key, value in short.items() if key not in _SHORT},
    }
    spec = _spec(kind, short)
    if spec is not None:
        result["spec"] = spec
    if "status" in short:
        result["status"] = short["status"]
    return result


def _metadata(kind: str, short: dict[str, Any]) -> dict[str, Any]:
    namespace, _, name = short["name"].rpartition("/")
    metadata = {
        "name": name,
        "uid": short.get("uid") or uid_of(kind, short["name"]),
        "resourceVersion": str(short.get("rv", 10)),
        **{key: short[key] for key in _METADATA if key in short},
    }
    if namespace:
        metadata["namespace"] = namespace
    if "owner" in short:
        metadata["ownerReferences"] = [_owner(short["owner"], namespace)]
    return metadata


def _owner(text: str, namespace: str) -> dict[str, Any]:
    kind, name = text.split()
    group, version, _ = GROUP_VERSIONS[kind]
    return {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": kind,
        "name": name,
        "uid": uid_of(kind, f"{namespace}/{name}"),
        "controller": True,
    }


def _spec(kind: str, short: dict[str, Any]) -> dict[str, Any] | None:
    spec = dict(short.get("spec", {}))
    if "replicas" in short:
        spec["replicas"] = short["replicas"]
    if "pod" not in short:
        return spec or None
    pod = _pod_spec(short["pod"])
    if kind == "Pod":
        return {**spec, **pod}
    if kind == "CronJob":
        return {**spec, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    return {**spec, "template": {"spec": pod}}


def _pod_spec(short: dict[str, Any]) -> dict[str, Any]:
    result = dict(short)
    for field in ("containers", "initContainers", "ephemeralContainers"):
        if isinstance(short.get(field), dict):
            result[field] = [_container(*item) for item in short[field].items()]
    return result


def _container(name: str, short: dict[str, Any] | None) -> dict[str, Any]:
    result = {"name": name, "image": f"registry.example/{name}:1", **(short or {})}
    amounts = {
        key: result.pop(key) for key in ("cpu", "memory", "ephemeral-storage") if key in result
    }
    resources = {basis: {**amounts, **result.pop(basis, {})} for basis in ("requests", "limits")}
    resources = {basis: given for basis, given in resources.items() if given}
    return {**result, "resources": resources} if resources else result


def _node(short: dict[str, Any]) -> dict[str, Any]:
    offers = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "50Gi"}
    offers = {key: str(short.get(key, value)) for key, value in offers.items()}
    spec = {key: short[key] for key in ("taints", "unschedulable") if key in short}
    ready = "True" if short.get("ready", True) else "False"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": short["name"], "labels": short.get("labels", {})},
        "spec": spec,
        "status": {"allocatable": offers, "conditions": [{"type": "Ready", "status": ready}]},
    }
