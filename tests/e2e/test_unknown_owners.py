"""Operators of kinds that we do not know: their ReplicaSets are one root, their lost pods keep a seat.

A ConfigMap stands for their custom object: to us it is as unknown as any.
"""

from __future__ import annotations

import json

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.looking import one, running
from tests.e2e.manifests import NODES, QUARTER, Object, container, full_cluster, pod, template
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

QUARTERS = 4 * NODES


@pytest.fixture
def owner(cluster: ControlPlane, namespace: str) -> Object:
    """The reference to an operator's object."""
    made = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.apply({**made, "metadata": {"name": "operator", "namespace": namespace}})
    uid = one(cluster, "configmap/operator", namespace)["metadata"]["uid"]
    return {**made, "name": "operator", "uid": uid, "controller": True}


def replica_set(namespace: str, name: str, count: int, owner: Object) -> Object:
    labels = {"app": name}
    pods = {**template(container(QUARTER)), "metadata": {"labels": labels}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"namespace": namespace, "name": name, "ownerReferences": [owner]},
        "spec": {"replicas": count, "selector": {"matchLabels": labels}, "template": pods},
    }


def scale(cluster: ControlPlane, namespace: str, name: str, count: int) -> Done:
    done = ("scale", f"replicaset/{name}", f"--replicas={count}", "-n", namespace)
    return cluster.kubectl(*done, check=False)


def test_a_canary_begins_in_a_full_cluster(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, owner: Object
) -> None:
    """A quarter of the stable ones is recorded, more is charged; what one gives up the other has."""
    cluster.apply(full_cluster(namespace)[1])
    cluster.apply(replica_set(namespace, "stable", QUARTERS, owner))
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    surge = QUARTERS // 4
    refused = cluster.apply(replica_set(namespace, "canary", surge + 1, owner), check=False)
    assert "[HR201]" in refused.stderr
    cluster.apply(replica_set(namespace, "canary", surge, owner))
    assert webhook.decisions(kind="ReplicaSet", name="canary", charge="recorded")
    assert "[HR201]" in scale(cluster, namespace, "canary", surge + 1).stderr
    assert "[HR201]" in cluster.apply(pod(namespace, "other"), check=False).stderr
    assert scale(cluster, namespace, "stable", QUARTERS - surge).returncode == 0
    wait_until(lambda: running(cluster, namespace, "-l", "app=canary") == surge, 60, "the canary")
    assert "[HR201]" in scale(cluster, namespace, "stable", QUARTERS).stderr
    assert_book_is_exact(webhook)


def owned(namespace: str, name: str, owner: Object, memory: str = QUARTER) -> Object:
    made = pod(namespace, name, container(memory))
    made["metadata"]["ownerReferences"] = [owner]
    return made


def evict(cluster: ControlPlane, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))
    wait_until(
        lambda: cluster.kubectl("get", "pod", name, "-n", namespace, check=False).returncode != 0,
        30,
        "the evicted pod to be gone",
    )


def test_an_evicted_pod_keeps_its_seat_for_its_successor(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, owner: Object
) -> None:
    """Nobody else gets its room for a while; the pod that its operator makes again does."""
    full, rest = full_cluster(namespace)
    full["spec"]["replicas"] = QUARTERS - 1
    cluster.apply([full, rest, owned(namespace, "db-0", owner)])
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    evict(cluster, namespace, "db-0")
    thief = pod(namespace, "thief", container(QUARTER))
    refused = cluster.apply(thief, check=False)
    assert "exceeded quota" in refused.stderr
    cluster.apply(owned(namespace, "db-0", owner))
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 30, "the pod made again")
    assert "[HR201]" in cluster.apply(owned(namespace, "db-1", owner), check=False).stderr
    evict(cluster, namespace, "db-0")
    wait_until(lambda: cluster.apply(thief, check=False).returncode == 0, 60, "the seat to end")
    assert_book_is_exact(webhook)
