"""Generated pods with selectors, affinity and tolerations, and nodes to put them on."""

from __future__ import annotations

from random import Random
from typing import Any

KEYS = ("zone", "disk", "n", "example.com/pool", "kubernetes.io/hostname")
WRONG_KEYS = (
    "",
    "-x",
    "a/b/c",
    "Upper.Case/x",
    "x" * 64,
    "/x",
    "x/",
    "b\u00e9",
    "d." * 130 + "x/y",
)
VALUES = (
    "a",
    "b",
    "",
    "1",
    "2",
    "007",
    "9",
    "-5",
    "+3",
    "9223372036854775808",
    "x y",
    "v" * 64,
    "a\n",
)
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "In", "NotIn", "Near", "")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
NODE_NAMES = ("node-1", "node-2", "node-3")
CORDON = "node.kubernetes.io/unschedulable"


def placement(random: Random) -> dict[str, Any]:
    """Return a pod that says where it wants to run."""
    spec: dict[str, Any] = {"containers": [{"name": "c"}]}
    if random.random() < 0.3:
        spec["nodeSelector"] = {random.choice(KEYS): random.choice(VALUES[:5])}
    if random.random() < 0.7:
        terms = [_term(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["affinity"] = {"nodeAffinity": required}
    if random.random() < 0.6:
        spec["tolerations"] = [_toleration(random) for _ in range(random.randint(0, 4))]
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def node(random: Random) -> dict[str, Any]:
    """Return a node; labels may be what no API server would store, to see both sides agree."""
    labels = {key: random.choice(VALUES) for key in KEYS if random.random() < 0.6}
    spec: dict[str, Any] = {"unschedulable": random.random() < 0.2}
    if random.random() < 0.4:
        spec["taints"] = [_taint(random) for _ in range(random.randint(1, 2))]
    return {"metadata": {"name": random.choice(NODE_NAMES), "labels": labels}, "spec": spec}


def _term(random: Random) -> dict[str, Any]:
    term: dict[str, Any] = {}
    if random.random() < 0.8:
        count = random.choice((0, 1, 1, 2))
        term["matchExpressions"] = [_expression(random) for _ in range(count)]
    if random.random() < 0.3:
        term["matchFields"] = [_field(random) for _ in range(random.choice((1, 1, 2)))]
    return term


def _expression(random: Random) -> dict[str, Any]:
    key = random.choice(WRONG_KEYS if random.random() < 0.05 else KEYS)
    operator = random.choice(OPERATORS)
    count = random.choice((0, 1, 1, 2))
    if operator in {"Exists", "DoesNotExist"} and random.random() < 0.8:
        count = 0
    values = VALUES if random.random() < 0.3 else VALUES[:7]
    return {"key": key, "operator": operator, "values": random.choices(values, k=count)}


def _field(random: Random) -> dict[str, Any]:
    values = random.choices((*NODE_NAMES, ""), k=random.choice((0, 1, 1, 1, 1, 2)))
    key = "metadata.name" if random.random() < 0.9 else "spec.podCIDR"
    return {
        "key": key,
        "operator": random.choice(("In", "NotIn", "In", "Exists")),
        "values": values,
    }


def _taint(random: Random) -> dict[str, Any]:
    taint = {"key": random.choice(("dedicated", "gpu", CORDON)), "effect": random.choice(EFFECTS)}
    return taint | {"value": random.choice(("a", "b", "5", ""))}


def _toleration(random: Random) -> dict[str, Any]:
    toleration: dict[str, Any] = {
        "key": random.choice(("dedicated", "gpu", CORDON, "")),
        "operator": random.choice(("", "Equal", "Exists", "Exists", "Gt", "Lt")),
        "value": random.choice(("a", "b", "5", "")),
        "effect": random.choice((*EFFECTS, "")),
    }
    return toleration | ({"tolerationSeconds": 0} if random.random() < 0.2 else {})
