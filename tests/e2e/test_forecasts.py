"""What `kubectl apply` foretells is what happens then: every warning here is waited for in the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import events, one, running
from tests.e2e.manifests import NODES, container, deployment, template, workload
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane


def limits(kind: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "team", "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


def told(cluster: ControlPlane, manifest: dict[str, Any], text: str) -> None:
    """Apply again until the view has what the warning is made of, then for good."""

    def is_told() -> bool:
        return text in cluster.apply(manifest, "--dry-run=server").stderr

    wait_until(is_told, 20, f"the warning {text}")
    assert text in cluster.apply(manifest).stderr


def test_a_limit_range_that_refuses_the_pods(cluster: ControlPlane, namespace: str) -> None:
    """HR209 at apply; the ReplicaSet is refused each pod for that very reason."""
    item = {"type": "Container", "max": {"memory": "1Gi"}}
    cluster.apply(limits("LimitRange", namespace, {"limits": [item]}))
    text = """[HR209] container "web": memory limit 2Gi is above LimitRange team's maximum of 1Gi"""
    told(cluster, deployment(namespace, 1, "2Gi"), text)
    wait_until(lambda: events(cluster, namespace, "FailedCreate"), 30, "the refused pod")
    assert (
        "maximum memory usage per Container is 1Gi" in events(cluster, namespace, "FailedCreate")[0]
    )
    assert running(cluster, namespace) == 0


def test_a_quota_that_lets_in_some_of_the_pods(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """HR210 at apply says how many; so many run, the others are refused, nothing of ours is in the way."""
    cluster.apply(limits("ResourceQuota", namespace, {"hard": {"requests.memory": "1Gi"}}))
    text = "[HR210] ResourceQuota team lets in 3 of 5 pods: requested: requests.memory=1.5Gi"
    web = deployment(namespace, 5, "300Mi")
    told(cluster, web, text.replace("1.5Gi", "1500Mi"))
    wait_until(lambda: running(cluster, namespace) == 3, 30, "three pods")
    wait_until(lambda: events(cluster, namespace, "FailedCreate"), 30, "the refused pods")
    assert "exceeded quota: team" in events(cluster, namespace, "FailedCreate")[0]
    assert webhook.decisions(namespace=namespace, outcome="warn", name="web")

    scaled = cluster.kubectl("scale", "deployment/web", "--replicas=6", "-n", namespace)
    assert "lets in 3 of 6 pods: requested: requests.memory=900Mi" in scaled.stderr


def test_a_rollout_that_cannot_begin(cluster: ControlPlane, namespace: str) -> None:
    """In a full cluster a new image of few replicas needs a pod more than there is room for."""
    cluster.apply(deployment(namespace, NODES, "7957Mi", progressDeadlineSeconds=600))
    wait_until(lambda: running(cluster, namespace) == NODES, 30, "a full cluster")
    new = ("set", "image", "deployment/web", "web=registry.example/web:2", "-n", namespace)
    text = "[HR208] needs 1 extra pod of 7957Mi and cpu 10m to roll, and no node has room"
    done = cluster.kubectl(*new)
    assert text in done.stderr
    wait_until(lambda: waiting(cluster, namespace) == 1, 30, "the extra pod to be Pending")
    assert running(cluster, namespace) == NODES

    strategy = '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}'
    patched = cluster.kubectl("patch", "deployment/web", "-n", namespace, "-p", strategy)
    assert "HR208" not in patched.stderr
    cluster.kubectl(
        *("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s"), timeout=70
    )


def test_a_daemon_set_without_room_on_some_nodes(cluster: ControlPlane, namespace: str) -> None:
    """It is let in, its pods run where they can, and apply says where they cannot."""
    cluster.apply(deployment(namespace, 1, "7957Mi"))
    wait_until(lambda: running(cluster, namespace) == 1, 30, "one full node")
    pods = template(container("1Gi"))
    pods["metadata"] = {"labels": {"app": "logs"}}
    logs = workload("DaemonSet", namespace, pods, name="logs")
    logs["spec"]["selector"] = {"matchLabels": {"app": "logs"}}
    text = f"[HR208] 1 of {NODES} eligible nodes has no room for its pod of 1Gi and cpu 10m"
    told(cluster, logs, text)
    wait_until(lambda: running(cluster, namespace) == NODES, 30, "its pods on the other nodes")
    status = one(cluster, "daemonset/logs", namespace)["status"]
    assert status["desiredNumberScheduled"] == NODES


def waiting(cluster: ControlPlane, namespace: str) -> int:
    """Return how many pods the scheduler found no node for."""
    pods = cluster.objects("pods", namespace)
    return sum("nodeName" not in pod["spec"] for pod in pods)
