"""Bare pods: filled to the last one, resized, gated, pinned, forged, absurd."""

from __future__ import annotations

import json

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import one, running
from tests.e2e.manifests import NODES, QUARTER, container, deployment, full_cluster, pod

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("webhook")]

ALL_PODS = 5 * NODES
PAIRS = 2 * 4 * NODES


def test_pods_fill_the_cluster_in_order(cluster: ControlPlane, namespace: str) -> None:
    """Thirty in one file: the first 24 are made, each later one is told to wait for room."""
    pods = [pod(namespace, f"pod-{number:02}", container("994Mi")) for number in range(30)]
    done = cluster.apply(pods, check=False)
    made = sorted(each["metadata"]["name"] for each in cluster.objects("pods", namespace))
    assert made == [f"pod-{number:02}" for number in range(PAIRS)]
    told = "[HR201] exceeded quota: memory requests: 1 pod of 994Mi, headroom is 15Mi on 3 eligible"
    assert done.stderr.count(told) == len(pods) - PAIRS, done.stderr
    wait_until(lambda: running(cluster, namespace) == PAIRS, 60, "all of them to run")


def test_a_deleted_pod_makes_room_for_one(cluster: ControlPlane, namespace: str) -> None:
    """Also for one of its own name, applied at once."""
    cluster.apply(full_cluster(namespace)[0])
    cluster.kubectl("scale", "deployment/app", "--replicas=11", "-n", namespace)
    last = pod(namespace, "last", container(QUARTER))
    wait_until(lambda: cluster.apply(last, check=False).returncode == 0, 20, "room for one")
    cluster.kubectl("delete", "pod", "last", "-n", namespace)
    wait_until(lambda: cluster.apply(last, check=False).returncode == 0, 5, "its room again")


@pytest.fixture
def full(cluster: ControlPlane, namespace: str) -> str:
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == ALL_PODS, 60, "a full cluster")
    return namespace


def show_resources(cluster: ControlPlane, namespace: str, name: str) -> None:
    """Let the pod's status show what it uses, as a kubelet that can resize does; kwok does not."""
    status = one(cluster, f"pod/{name}", namespace)["status"]["containerStatuses"]
    status[0]["resources"] = one(cluster, f"pod/{name}", namespace)["spec"]["containers"][0][
        "resources"
    ]
    patch = json.dumps({"status": {"containerStatuses": status}})
    where = ("patch", "pod", name, "-n", namespace, "--subresource=status", "-p", patch)
    cluster.kubectl(*where)


def resize(cluster: ControlPlane, namespace: str, name: str, memory: str) -> str:
    amounts = {"memory": memory}
    change = {"name": "web", "resources": {"requests": amounts, "limits": amounts}}
    patch = json.dumps({"spec": {"containers": [change]}})
    where = ("patch", "pod", name, "-n", namespace, "--subresource=resize", "-p", patch)
    return cluster.kubectl(*where, check=False).stderr


def test_a_resize_up_is_charged_and_down_is_free(cluster: ControlPlane, namespace: str) -> None:
    """Refused at the command beyond the node's room; below it, the room is taken."""
    cluster.apply(deployment(namespace, NODES, "6Gi"))
    cluster.apply(pod(namespace, "mine", container("1Gi")))
    wait_until(lambda: running(cluster, namespace) == NODES + 1, 30, "the pods to run")
    show_resources(cluster, namespace, "mine")
    refused = resize(cluster, namespace, "mine", "4Gi")
    assert "[HR201]" in refused
    assert "on 1 eligible node " in refused
    assert resize(cluster, namespace, "mine", "1500Mi") == ""
    size = one(cluster, "pod/mine", namespace)["spec"]["containers"][0]["resources"]["requests"]
    assert size["memory"] == "1500Mi"
    # 3 x (7957 - 6144) - 1500 = 3939, of which one node has 313.
    done = cluster.apply(pod(namespace, "other", container("4000Mi")), check=False)
    assert "[HR201] " in done.stderr
    assert "headroom is 3939Mi" in done.stderr
    assert resize(cluster, namespace, "mine", "1Gi") == ""


def test_a_gated_pod_holds_nothing_until_its_gate_goes(cluster: ControlPlane, full: str) -> None:
    """Created in a full cluster; the removal of its last gate is what is charged."""
    gates = [{"name": "example.org/queue"}]
    cluster.apply(pod(full, "queued", container(QUARTER), schedulingGates=gates))
    ungate = ("patch", "pod", "queued", "-n", full, "--type=json", "-p")
    patch = '[{"op":"remove","path":"/spec/schedulingGates"}]'
    assert "[HR201]" in cluster.kubectl(*ungate, patch, check=False).stderr
    cluster.kubectl("scale", "deployment/app", "--replicas=11", "-n", full)
    wait_until(
        lambda: cluster.kubectl(*ungate, patch, check=False).returncode == 0, 20, "room for it"
    )
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "it to run")


def test_a_forged_owner_is_refused(cluster: ControlPlane, full: str) -> None:
    """A pod that a person makes in the name of a ReplicaSet, as if its room were promised."""
    [replica_set] = cluster.objects("replicasets", full, "-l", "app=app")
    forged = pod(full, "forged", container("1Mi"))
    forged["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": replica_set["metadata"]["name"],
            "uid": replica_set["metadata"]["uid"],
            "controller": True,
        }
    ]
    done = cluster.apply(forged, check=False)
    assert "[HR301]" in done.stderr
    assert not cluster.kubectl("get", "pod", "forged", "-n", full, check=False).stdout


def test_absurd_memory_is_refused(cluster: ControlPlane, namespace: str) -> None:
    """10E is scheduled as if it were nothing; 512m is half a byte."""
    for memory, code in (("10E", "HR111"), ("512m", "HR110")):
        done = cluster.apply(pod(namespace, "absurd", container(memory)), check=False)
        assert f"[{code}]" in done.stderr, done.stderr


def test_a_selector_typo_is_named_and_weighs_nothing(cluster: ControlPlane, namespace: str) -> None:
    typo = deployment(namespace, 100, "1Gi", name="typo")
    typo["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "nowhere"}
    done = cluster.apply(typo, check=False)
    assert "[HR207] no node is eligible: the node selector wants zone=nowhere" in done.stderr
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == ALL_PODS, 60, "a full cluster")


def test_a_pod_pinned_to_a_cordoned_node_is_judged_on_it(
    cluster: ControlPlane, namespace: str
) -> None:
    """nodeName goes past the scheduler: only that node's room matters, and no cordon."""
    cluster.kubectl("cordon", "node-1")
    try:
        cluster.apply(pod(namespace, "pinned", container("7Gi"), nodeName="node-1"))
        wait_until(lambda: running(cluster, namespace) == 1, 30, "it to run")
        second = pod(namespace, "second", container("1Gi"), nodeName="node-1")
        done = cluster.apply(second, check=False)
        assert "on 1 eligible node " in done.stderr
    finally:
        cluster.kubectl("uncordon", "node-1")
