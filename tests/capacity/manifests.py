"""Short forms of manifests, so that a scenario shows only what it is about.

`{deployment: {name: web, replicas: 3, memory: 1Gi}}` is a Deployment as the API server sends it;
`spec`, `status` and `metadata` are merged into what the short form says.
"""

from __future__ import annotations

from typing import Any

from kube_headroom.resources.workload import GROUPS

PLURALS = {
    **{kind: f"{kind.lower()}s" for kind in GROUPS},
    **{kind: f"{kind.lower()}s" for kind in ("Node", "Namespace", "LimitRange")},
    "RuntimeClass": "runtimeclasses",
    "PriorityClass": "priorityclasses",
}
KINDS = {kind.lower(): kind for kind in PLURALS}
CLUSTER_SCOPED = {"Node", "Namespace", "RuntimeClass", "PriorityClass"}


def manifest(short_kind: str, short: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a short form."""
    kind = KINDS[short_kind]
    group = GROUPS.get(kind, "")
    body = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": _metadata(kind, short),
    }
    if kind == "Node":
        body |= _node(short)
    elif kind == "Pod":
        body |= _pod(short)
    elif kind in GROUPS:
        body["spec"] = _workload(kind, short)
    body |= {key: short[key] for key in ("value", "globalDefault", "overhead") if key in short}
    for key in ("metadata", "spec", "status"):
        if key in short:
            body[key] = merged(body.get(key, {}), short[key])
    return body


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return base with more merged into it, deeply."""
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def _metadata(kind: str, short: dict[str, Any]) -> dict[str, Any]:
    name = short["name"]
    result: dict[str, Any] = {"name": name, "uid": short.get("uid", f"{kind.lower()}/{name}")}
    if kind not in CLUSTER_SCOPED:
        result["namespace"] = short.get("namespace", "shop")
    if "labels" in short:
        result["labels"] = short["labels"]
    if "owner" in short:
        result["ownerReferences"] = [_owner(short["owner"])]
    if "grace" in short:
        result["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        result["deletionGracePeriodSeconds"] = short["grace"]
    return result


def _owner(text: str) -> dict[str, Any]:
    kind, _, name = text.partition("/")
    group = GROUPS.get(KINDS[kind], "") if kind in KINDS else "example.org"
    return {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": KINDS.get(kind, kind.title()),
        "name": name,
        "uid": text,
        "controller": True,
    }


def _node(short: dict[str, Any]) -> dict[str, Any]:
    ready = "True" if short.get("ready", True) else "False"
    amounts = {"cpu": "1000", "memory": "0", "pods": "110"}
    return {
        "spec": {
            "unschedulable": short.get("cordoned", False),
            "taints": [_taint(text) for text in short.get("taints", ())],
        },
        "status": {
            "allocatable": amounts | {key: short[key] for key in amounts if key in short},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def _taint(text: str) -> dict[str, str]:
    key, _, effect = text.partition(":")
    return {"key": key, "effect": effect}


def _pod_spec(short: dict[str, Any]) -> dict[str, Any]:
    requests = {key: short[key] for key in ("cpu", "memory", "ephemeral-storage") if key in short}
    resources = {"requests": requests, "limits": short.get("limits", {})}
    spec: dict[str, Any] = {"containers": [{"name": "c", "resources": resources}]}
    if "node" in short:
        spec["nodeName"] = short["node"]
    if "selects" in short:
        spec["nodeSelector"] = short["selects"]
    if "tolerates" in short:
        spec["tolerations"] = [{"key": key, "operator": "Exists"} for key in short["tolerates"]]
    for key in ("priority", "preemptionPolicy", "priorityClassName", "runtimeClassName"):
        if key in short:
            spec[key] = short[key]
    if short.get("gated"):
        spec["schedulingGates"] = [{"name": "wait"}]
    return spec


def _pod(short: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = {
        "phase": short.get("phase", "Running" if "node" in short else "Pending")
    }
    if short.get("unschedulable"):
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        status["conditions"] = [condition]
    return {"spec": _pod_spec(short), "status": status}


def _workload(kind: str, short: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": {"spec": _pod_spec(short)}}
    if kind == "CronJob":
        return {"jobTemplate": {"spec": spec}}
    if "matches" in short:
        spec["selector"] = {"matchLabels": short["matches"]}
    for key in ("replicas", "parallelism", "completions", "suspend"):
        if key in short:
            spec[key] = short[key]
    return spec
