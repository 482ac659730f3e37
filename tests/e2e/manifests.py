"""The manifests of these tests: small, and with everything that the default policy wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

# The small lab of these tests: three nodes of 7957Mi. Four of these and one of 1Mi fill a node.
NODES = 3
NODE_MEMORY = "7957Mi"
QUARTER = "1989Mi"
REST = "1Mi"


def container(memory: str = "128Mi", *, cpu: str = "10m", name: str = "web") -> Object:
    """Return a container whose limits are its requests."""
    amounts = {"cpu": cpu, "memory": memory}
    resources = {"requests": amounts, "limits": dict(amounts)}
    return {"name": name, "image": "registry.example/web:1", "resources": resources}


def bare(name: str = "web") -> Object:
    """Return a container that declares nothing."""
    return {"name": name, "image": "registry.example/web:1"}


def template(*containers: Object, **spec: Any) -> Object:
    """Return a pod template that the workloads below select."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": list(containers or [container()]), **spec},
    }


def pod(namespace: str, name: str = "web", *containers: Object, **spec: Any) -> Object:
    """Return a bare pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "bare"}},
        "spec": {"containers": list(containers or [container()]), **spec},
    }


def workload(
    kind: str,
    namespace: str,
    pods: Object,
    *,
    name: str = "web",
    version: str = "apps/v1",
    **spec: Any,
) -> Object:
    """Return a workload of pods with the label app=web."""
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pods, **spec},
    }


def deployment(
    namespace: str,
    replicas: int,
    memory: str = "128Mi",
    *,
    name: str = "web",
    pods: Object | None = None,
    **spec: Any,
) -> Object:
    """Return a Deployment; deployments of one namespace differ in their pods' labels."""
    pods = pods or template(container(memory))
    labels = {"app": name}
    pods = {**pods, "metadata": {"labels": labels}}
    made = workload("Deployment", namespace, pods, name=name, replicas=replicas, **spec)
    made["spec"]["selector"] = {"matchLabels": labels}
    return made


def job(namespace: str, memory: str, *, name: str = "batch", **spec: Any) -> Object:
    """Return a Job."""
    pods = template(container(memory), restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"template": pods, **spec},
    }


def full_cluster(namespace: str, **spec: Any) -> list[Object]:
    """Return two Deployments that fill three nodes to the last byte."""
    return [
        deployment(namespace, 4 * NODES, QUARTER, name="app", **spec),
        deployment(namespace, NODES, REST, name="rest"),
    ]


def demo_app(namespace: str, replicas: int = 2, *, limits: bool = True) -> Object:
    """Return the small web application that the README begins with."""
    requests: Mapping[str, str] = {"memory": "128Mi", "cpu": "250m"}
    resources: Object = {"requests": dict(requests)} if limits else {}
    if limits:
        resources["limits"] = {"memory": "256Mi", "cpu": "500m"}
    web = {"name": "web", "image": "registry.example/flask:1", "resources": resources}
    return deployment(namespace, replicas, name="demo", pods=template(web))
