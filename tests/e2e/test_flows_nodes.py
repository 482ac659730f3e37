"""Nodes that die or go away under a full cluster: what ran there keeps its claim on the room."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.by_hand import NOT_HERE, pods_here, set_ready
from tests.e2e.looking import events, running
from tests.e2e.manifests import (
    NODES,
    QUARTER,
    REST,
    container,
    deployment,
    pod,
)

pytestmark = pytest.mark.controlplane

ON_NODE = 5  # four quarters and one of the rest


@pytest.fixture
def full(cluster: ControlPlane, node_by_hand: str, namespace: str) -> str:
    """All four nodes full to the last byte; `spare` is on the lasting ones, `app` on all."""
    spare = deployment(namespace, 4, QUARTER, name="spare")
    spare["spec"]["template"]["spec"]["nodeSelector"] = NOT_HERE
    cluster.apply(spare)
    wait_until(lambda: running(cluster, namespace) == 4, 30, "the spare pods to run")
    cluster.apply(
        [
            deployment(namespace, 4 * NODES, QUARTER, name="app"),
            deployment(namespace, NODES + 1, REST, name="rest"),
        ]
    )
    wait_until(lambda: placed(cluster, namespace) == ON_NODE * (NODES + 1), 60, "a full cluster")
    assert len(here(cluster, namespace)) == ON_NODE
    assert "[HR201]" in thief(cluster, namespace)
    return namespace


def placed(cluster: ControlPlane, namespace: str) -> int:
    return sum("nodeName" in pod["spec"] for pod in cluster.objects("pods", namespace))


def here(cluster: ControlPlane, namespace: str) -> list[str]:
    """Return the names of the pods on the node that will be lost."""
    return [pod["metadata"]["name"] for pod in pods_here(cluster, namespace)]


def thief(cluster: ControlPlane, namespace: str) -> str:
    """Try to get one MiB of what others lost; return what that is answered."""
    return cluster.apply(pod(namespace, "thief", container(REST)), check=False).stderr


def test_a_dead_nodes_pods_find_their_room_when_they_are_replaced(
    cluster: ControlPlane, node_by_hand: str, full: str
) -> None:
    """From NotReady on, for as long as its pods stand or terminate there, nobody else gets it."""
    set_ready(cluster, ready=False)
    lost = f"on {NODES} eligible nodes"
    wait_until(lambda: lost in thief(cluster, full), 20, "the node to be out of the sums")

    # Its pods are tolerated for five minutes: as long there are no replacements, only their room.
    cluster.kubectl("delete", "deployment", "spare", "-n", full)
    wait_until(lambda: not spare(cluster, full), 30, "free room")
    assert len(here(cluster, full)) == ON_NODE
    told = f"(free {4 * 1989}Mi - still to come {4 * 1989 + 1}Mi)"
    wait_until(lambda: told in thief(cluster, full), 10, "all of it to be held")

    # Then the node's controller deletes them; without a kubelet they terminate for ever.
    cluster.kubectl("delete", "pods", *here(cluster, full), "-n", full, "--wait=false")
    again = ON_NODE * NODES  # one has to wait: a node is gone
    wait_until(lambda: running(cluster, full) == again, 30, "the replacements there is room for")
    assert len(here(cluster, full)) == ON_NODE
    assert "[HR201]" in thief(cluster, full)
    assert not events(cluster, full, "FailedCreate")

    # And if it comes back, so does its room.
    names = here(cluster, full)
    cluster.kubectl("delete", "pods", *names, "-n", full, "--force", "--grace-period=0")
    set_ready(cluster, ready=True)
    wait_until(lambda: thief(cluster, full) == "", 30, "the node's room")


def spare(cluster: ControlPlane, namespace: str) -> int:
    return len(cluster.objects("pods", namespace, "-l", "app=spare"))


def test_a_node_that_is_deleted_leaves_an_overfull_book(
    cluster: ControlPlane, node_by_hand: str, full: str
) -> None:
    """Only growth is refused: replacements, restarts, less and the end of things go on."""
    names = here(cluster, full)
    cluster.delete_nodes([node_by_hand])
    lost = f"on {NODES} eligible nodes"
    wait_until(lambda: lost in thief(cluster, full), 20, "the node to be out of the sums")
    app = ("deployment/app", "-n", full)
    assert "[HR201]" in cluster.kubectl("scale", *app, "--replicas=13", check=False).stderr

    # What the pod garbage collector does 40 s later.
    cluster.kubectl("delete", "pods", *names, "-n", full, "--force", "--grace-period=0")
    made = ON_NODE * (NODES + 1)
    wait_until(lambda: len(cluster.objects("pods", full)) == made, 30, "the replacements, waiting")
    cluster.kubectl("label", *app, "team=shop")
    cluster.kubectl("rollout", "restart", *app)
    # Until it fits again: 4 spare, 8 of the app, and one of the rest on each node.
    for name, size in (("app", 8), ("rest", NODES)):
        cluster.kubectl("scale", f"deployment/{name}", f"--replicas={size}", "-n", full)
    cluster.kubectl("rollout", "status", *app, "--timeout=60s", timeout=70)
    wait_until(lambda: running(cluster, full) == 12 + NODES, 30, "the app to be whole again")
    assert "[HR201]" in cluster.kubectl("scale", *app, "--replicas=9", check=False).stderr
    cluster.kubectl("delete", *app)
    assert not events(cluster, full, "FailedCreate")
