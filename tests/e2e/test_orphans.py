"""`kubectl delete --cascade=orphan`, then apply: what was left behind is taken over, and charged once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.looking import events, one, running
from tests.e2e.manifests import (
    NODES,
    QUARTER,
    Object,
    container,
    deployment,
    full_cluster,
    template,
    workload,
)
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

QUARTERS = 4 * NODES
ORPHAN = ("--cascade=orphan", "--timeout=60s")


def uids(cluster: ControlPlane, namespace: str, *selector: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.objects("pods", namespace, *selector)}


def controllers(cluster: ControlPlane, kind: str, namespace: str, *selector: str) -> set[str]:
    """The uids of who controls these objects, empty for nobody."""
    return {
        owner["uid"]
        for found in cluster.objects(kind, namespace, *selector)
        for owner in found["metadata"].get("ownerReferences", [{"uid": ""}])
    }


def test_a_deployment_takes_its_replica_set_back(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """In a full cluster, with the pods that were there; one pod more finds no room."""
    app = full_cluster(namespace)[0]
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    before = uids(cluster, namespace)
    cluster.kubectl("delete", "deployment", "app", "-n", namespace, *ORPHAN, timeout=70)
    assert controllers(cluster, "replicasets", namespace, "-l", "app=app") == {""}
    larger = {**app, "spec": {**app["spec"], "replicas": QUARTERS + 1}}
    wait_until(
        lambda: "1 pod of 1989Mi" in cluster.apply(larger, "--dry-run=server", check=False).stderr,
        10,
        "only the one that is new to be short of room",
    )
    stranger = deployment(namespace, 1, QUARTER, name="stranger")
    assert "[HR201]" in cluster.apply(stranger, "--dry-run=server", check=False).stderr
    cluster.apply(app)
    uid = one(cluster, "deployment/app", namespace)["metadata"]["uid"]
    wait_until(
        lambda: controllers(cluster, "replicasets", namespace, "-l", "app=app") == {uid},
        30,
        "the ReplicaSet to be taken",
    )
    assert uids(cluster, namespace) == before
    assert "[HR201]" in cluster.apply(stranger, check=False).stderr
    assert_book_is_exact(webhook)


@pytest.fixture
def volumes(cluster: ControlPlane) -> Iterator[list[str]]:
    """Two volumes of 2Gi for whoever claims them first."""
    names = ["orphans-0", "orphans-1"]
    cluster.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "2Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "orphans",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"/nowhere/{name}"},
                },
            }
            for name in names
        ]
    )
    yield names
    cluster.kubectl("delete", "persistentvolume", *names, "--wait=false")


def stateful_set(namespace: str, storage: str, count: int) -> Object:
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "orphans",
            "resources": {"requests": {"storage": storage}},
        },
    }
    pods = template(container(QUARTER))
    claims = {"volumeClaimTemplates": [claim]}
    return workload("StatefulSet", namespace, pods, name="db", replicas=count, **claims)


def test_a_stateful_set_gets_larger_volumes(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, volumes: list[str]
) -> None:
    """The one way there is: its volume claims cannot be changed. Its pods go on meanwhile."""
    full, rest = full_cluster(namespace)
    full["spec"]["replicas"] = QUARTERS - len(volumes)
    cluster.apply([full, rest, stateful_set(namespace, "1Gi", 2)])
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    before = uids(cluster, namespace)
    larger = stateful_set(namespace, "2Gi", 2)
    assert "Forbidden" in cluster.apply(larger, check=False).stderr
    cluster.kubectl("delete", "statefulset", "db", "-n", namespace, *ORPHAN, timeout=70)
    assert controllers(cluster, "pods", namespace, "-l", "app=web") == {""}
    wait_until(lambda: cluster.apply(larger, check=False).returncode == 0, 10, "it to be let in")
    uid = one(cluster, "statefulset/db", namespace)["metadata"]["uid"]
    wait_until(
        lambda: controllers(cluster, "pods", namespace, "-l", "app=web") == {uid},
        30,
        "the pods to be taken",
    )
    assert uids(cluster, namespace) == before
    up = cluster.kubectl("scale", "statefulset/db", "--replicas=3", "-n", namespace, check=False)
    assert "[HR201]" in up.stderr
    assert not events(cluster, namespace, "FailedCreate")
    assert_book_is_exact(webhook)
