"""Random small clusters and pods, as plain manifests: what the scheduler filters by, and little else."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

Object = dict[str, Any]

TAINTS = (
    {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"},
    {"key": "dedicated", "value": "db", "effect": "NoExecute"},
    {"key": "soft", "value": "yes", "effect": "PreferNoSchedule"},
    {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
)
TOLERATIONS = (
    {"operator": "Exists"},
    {"key": "dedicated", "operator": "Exists"},
    {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"},
    {"key": "dedicated", "operator": "Equal", "value": "db"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)
EXPRESSIONS = (
    {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]},
    {"key": "disk", "operator": "NotIn", "values": ["ssd"]},
    {"key": "disk", "operator": "Exists"},
    {"key": "disk", "operator": "DoesNotExist"},
    {"key": "rank", "operator": "Gt", "values": ["1"]},
    {"key": "rank", "operator": "Lt", "values": ["2"]},
)
CPU = ("0", "100m", "0.5", "1", "1500m", "2", "3", "5")
MEMORY = ("0", "64Mi", "1Gi", "1073741825", "1536Mi", "2Gi", "3Gi", "5Gi")


def nodes(random: Random, prefix: str, count: int) -> list[Object]:
    """Return nodes that kwok plays; some are cordoned, tainted, or small."""
    return [_node(random, f"{prefix}-{index}") for index in range(count)]


def _node(random: Random, name: str) -> Object:
    offered = {
        "cpu": random.choice(("1", "2", "3500m", "4")),
        "memory": random.choice(("1Gi", "2Gi", "4000Mi", "4Gi")),
        "pods": random.choice(("2", "3", "5", "110")),
        "ephemeral-storage": random.choice(("1Gi", "10Gi")),
    }
    labels = {"kubernetes.io/hostname": name, "rank": str(random.randrange(4))}
    if random.random() < 0.7:
        labels["disk"] = random.choice(("ssd", "nvme", "hdd"))
    taints = [taint for taint in TAINTS if random.random() < 0.15]
    spec: Object = {"taints": taints}
    if random.random() < 0.15:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": spec,
        "status": {"allocatable": offered, "capacity": offered},
    }


def pod(random: Random, namespace: str, name: str, names: Sequence[str] = ()) -> Object:
    """Return a pod that is picky in some of all ways; with nodes' names, in those too."""
    spec: Object = {
        "containers": [
            {"name": f"c{index}", "image": "any", **_resources(random)}
            for index in range(random.choice((1, 1, 2)))
        ],
        "terminationGracePeriodSeconds": 0,
    }
    if random.random() < 0.3:
        sidecar = {"restartPolicy": "Always"} if random.random() < 0.5 else {}
        spec["initContainers"] = [{"name": "i", "image": "any", **_resources(random), **sidecar}]
    if random.random() < 0.3:
        spec["tolerations"] = random.sample(TOLERATIONS, random.choice((1, 2)))
    if random.random() < 0.2:
        spec["nodeSelector"] = {"disk": random.choice(("ssd", "hdd"))}
    if random.random() < 0.3:
        spec["affinity"] = {
            "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": _terms(random, names)}}
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _terms(random: Random, names: Sequence[str]) -> list[Object]:
    return [_term(random, names) for _ in range(random.choice((1, 2)))]


def _term(random: Random, names: Sequence[str]) -> Object:
    term: Object = {"matchExpressions": random.sample(EXPRESSIONS, random.choice((1, 1, 2)))}
    if names and random.random() < 0.4:
        operator, value = random.choice(("In", "NotIn")), random.choice(names)
        term["matchFields"] = [{"key": "metadata.name", "operator": operator, "values": [value]}]
        if random.random() < 0.5:
            del term["matchExpressions"]
    return term


def _resources(random: Random) -> Object:
    asked = {"cpu": random.choice(CPU), "memory": random.choice(MEMORY)}
    if random.random() < 0.2:
        asked["ephemeral-storage"] = random.choice(("512Mi", "2Gi"))
    kept = {name: amount for name, amount in asked.items() if random.random() < 0.7}
    basis = "limits" if random.random() < 0.2 else "requests"  # requests follow limits
    return {"resources": {basis: kept}}


def pinned(pod: Object, node: str) -> Object:
    """Return the pod as one that only this node may take: every term must also match its name."""
    spec = dict(pod["spec"])
    terms = [{}]
    if "affinity" in spec:
        terms = spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    only = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    wanted = [{**term, "matchFields": only} for term in terms]
    spec["affinity"] = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": wanted}}}
    metadata = {**pod["metadata"], "name": f"{pod['metadata']['name']}-{node}"}
    return {**pod, "metadata": metadata, "spec": spec}
