"""A big cluster in a view, shown to it as a watch would: JSON decoded, objects put.

Deployments of thirty pods and more, each under a ReplicaSet; one in fifty rolls out, so that pods
are to come; some nodes are tainted, some pods choose a zone.
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from kube_headroom.capacity.view import RESOURCES, View
from kube_headroom.resources.objects import KubeObject

NAMESPACES: Final = 200
PODS_PER_DEPLOYMENT: Final = 30
ZONES: Final = 3
_SIZES: Final = 50

_decode = msgspec.json.Decoder(KubeObject).decode
_encode = msgspec.json.Encoder().encode
Json = dict[str, object]


def namespace(number: int) -> str:
    """Return a namespace's name."""
    return f"team-{number}"


def fill(view: View, *, nodes: int, pods: int, now: float) -> None:
    """Show a view a cluster of this many nodes and pods."""
    deployments = pods // PODS_PER_DEPLOYMENT
    shown = {
        "namespaces": (_namespace(number) for number in range(NAMESPACES)),
        "nodes": (_node(number) for number in range(nodes)),
        "deployments": (_deployment(number) for number in range(deployments)),
        "replicasets": (_replica_set(number) for number in range(deployments)),
        "pods": (pod(number, nodes) for number in range(pods)),
    }
    for resource in RESOURCES:
        view.begin_list(resource)
        for obj in shown.get(resource, ()):
            view.put(resource, _decode(_encode(obj)))
        view.end_list(resource, "1000000", now)


def pod(number: int, nodes: int) -> Json:
    """Return a pod that runs."""
    owner = number // PODS_PER_DEPLOYMENT
    metadata: Json = {
        "name": f"web-{owner}-7c9d8f6b5-{number:05d}",
        "namespace": namespace(owner % NAMESPACES),
        "uid": _uid(3, number),
        "resourceVersion": str(number + 1),
        "ownerReferences": [_owner("ReplicaSet", _uid(2, owner), f"web-{owner}-7c9d8f6b5")],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**_pod_spec(owner), "nodeName": f"node-{number % nodes:04d}", "priority": 0},
        "status": {"phase": "Running", "qosClass": "Burstable"},
    }


def events(view_pods: int, nodes: int, count: int) -> Iterator[bytes]:
    """Yield pods as a watch shows them when something about them changed."""
    for number in range(count):
        changed = pod(number * 7919 % view_pods, nodes)
        yield _encode(changed)


def _namespace(number: int) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(number)}}


def _node(number: int) -> Json:
    taints = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}] if number % 50 == 0 else []
    labels = {
        "kubernetes.io/hostname": f"node-{number:04d}",
        "topology.kubernetes.io/zone": f"zone-{number % ZONES}",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m6.4xlarge",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number:04d}", "uid": _uid(0, number), "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": {
                "cpu": "15890m",
                "memory": "62Gi",
                "ephemeral-storage": "90Gi",
                "pods": "110",
            },
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _deployment(number: int) -> Json:
    return _workload("Deployment", _uid(1, number), f"web-{number}", number, owners=[])


def _replica_set(number: int) -> Json:
    owners = [_owner("Deployment", _uid(1, number), f"web-{number}")]
    return _workload("ReplicaSet", _uid(2, number), f"web-{number}-7c9d8f6b5", number, owners)


def _workload(kind: str, uid: str, name: str, number: int, owners: list[Json]) -> Json:
    coming = 2 if number % 50 == 0 else 0
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace(number % NAMESPACES),
            "uid": uid,
            "resourceVersion": str(number + 1),
            "ownerReferences": owners,
        },
        "spec": {
            "replicas": PODS_PER_DEPLOYMENT + coming,
            "template": {"spec": _pod_spec(number)},
        },
    }


def _pod_spec(number: int) -> Json:
    memory = 64 + number // 50 % _SIZES * 8
    spec: Json = {
        "containers": [
            {
                "name": "web",
                "resources": {
                    "requests": {"cpu": "100m", "memory": f"{memory}Mi"},
                    "limits": {"cpu": "200m", "memory": f"{memory * 2}Mi"},
                },
            }
        ]
    }
    if number % 10 == 0:
        spec["nodeSelector"] = {"topology.kubernetes.io/zone": f"zone-{number % ZONES}"}
    return spec


def _owner(kind: str, uid: str, name: str) -> Json:
    return {"apiVersion": "apps/v1", "kind": kind, "uid": uid, "name": name, "controller": True}


def _uid(kind: int, number: int) -> str:
    return str(UUID(int=(kind + 1) << 96 | number + 1))
