"""What is never refused: the end of things, what controllers carry out, what the system needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.denial import assert_denials_tell_room
from tests.e2e.looking import events, one, replicas, running
from tests.e2e.manifests import (
    NODES,
    bare,
    container,
    deployment,
    full_cluster,
    pod,
    template,
    workload,
)
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

ALL_PODS = 5 * NODES


@pytest.fixture
def overfull(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str, asker: str
) -> Iterator[str]:
    """A full cluster under a policy that was tightened since: half of it is to be kept free."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == ALL_PODS, 60, "a full cluster")
    webhook.set_policy({"headroom": {"memory": {"reserve": "50%"}}})
    yield namespace
    assert_denials_tell_room(cluster, asker, reserve="50%")
    webhook.set_policy()
    assert not events(cluster, namespace, "FailedCreate")


def test_growth_is_refused_and_everything_else_goes_on(
    cluster: ControlPlane, overfull: str
) -> None:
    """Scale up: refused. A lost pod is replaced, a restart completes, labels and status change."""
    app = ("deployment/app", "-n", overfull)
    up = cluster.kubectl("scale", *app, "--replicas=13", check=False)
    assert "reserve " in up.stderr
    assert replicas(cluster, "deployment/app", overfull) == 12
    victim = cluster.objects("pods", overfull, "-l", "app=app")[0]["metadata"]["name"]
    cluster.kubectl("delete", "pod", victim, "-n", overfull, "--wait=false")
    wait_until(lambda: victim not in names(cluster, overfull), 30, "the pod to be gone")
    wait_until(lambda: running(cluster, overfull) == ALL_PODS, 30, "its replacement")
    cluster.kubectl("rollout", "restart", *app)
    cluster.kubectl("rollout", "status", *app, "--timeout=60s", timeout=70)
    cluster.kubectl("label", *app, "team=shop")
    cluster.kubectl("annotate", *app, "note=full")


def names(cluster: ControlPlane, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.objects("pods", namespace)}


def test_less_is_always_allowed(cluster: ControlPlane, overfull: str) -> None:
    """Scale down, smaller requests, delete: in a cluster that holds too much."""
    app = ("deployment/app", "-n", overfull)
    cluster.kubectl("scale", *app, "--replicas=11")
    cluster.kubectl("set", "resources", *app, "--requests=memory=1Gi", "--limits=memory=1Gi")
    cluster.kubectl("delete", *app)
    wait_until(lambda: running(cluster, overfull) == NODES, 60, "the app's pods to be gone")


def test_the_systems_own_namespaces_are_not_judged(
    cluster: ControlPlane, webhook: WebhookProcess, overfull: str
) -> None:
    """In kube-system, and in the webhook's own: without limits, in a cluster without room."""
    namespaces = ("kube-system", webhook.namespace)
    naked = [deployment(where, 2, name="naked", pods=template(bare())) for where in namespaces]
    cluster.apply(naked)
    try:
        wait_until(lambda: naked_pods(cluster, *namespaces) == 4, 30, "their pods to run")
    finally:
        for where in namespaces:
            cluster.kubectl("delete", "deployment", "naked", "-n", where)
        wait_until(lambda: naked_pods(cluster, *namespaces) == 0, 30, "their end")


def naked_pods(cluster: ControlPlane, *namespaces: str) -> int:
    return sum(running(cluster, where, "-l", "app=naked") for where in namespaces)


def test_daemon_sets_get_their_pods(
    cluster: ControlPlane, webhook: WebhookProcess, overfull: str
) -> None:
    """Warned of at most; its pods are made on each node, and on one that joins later."""
    agent = template(container("16Mi"), tolerations=[{"operator": "Exists"}])
    done = cluster.apply(workload("DaemonSet", overfull, agent, name="agent"))
    assert "denied" not in done.stderr
    wait_until(lambda: agents(cluster, overfull) == NODES, 30, "a pod for each node")
    [joined] = cluster.add_nodes(1, memory="1Gi", prefix="joined")
    try:
        wait_until(lambda: agents(cluster, overfull) == NODES + 1, 30, "a pod for the new node")
        assert not webhook.decisions(kind="Pod", namespace=overfull)
    finally:
        cluster.kubectl("delete", "daemonset", "agent", "-n", overfull)
        wait_until(lambda: not running(cluster, overfull, "-l", "app=web"), 30, "their end")
        cluster.delete_nodes([joined])


def agents(cluster: ControlPlane, namespace: str) -> int:
    status = one(cluster, "daemonset/agent", namespace)["status"]
    return int(status["currentNumberScheduled"])


def test_mirror_and_critical_pods_are_let_through(
    cluster: ControlPlane, webhook: WebhookProcess, overfull: str
) -> None:
    """A kubelet's static pods, and what the cluster cannot live without; they declare nothing."""
    mirror = pod(overfull, "static", bare(), nodeName="node-0")
    mirror["metadata"]["annotations"] = {
        "kubernetes.io/config.mirror": "any",
        "kubernetes.io/config.source": "file",
    }
    cluster.apply(mirror)
    cluster.apply(pod(overfull, "critical", bare(), priorityClassName="system-cluster-critical"))
    assert not webhook.decisions(kind="Pod", namespace=overfull)


def test_a_namespace_goes_with_all_that_is_in_it(cluster: ControlPlane, overfull: str) -> None:
    """Pods with finalizers among it; nothing of the end is judged."""
    held = cluster.objects("pods", overfull)[0]["metadata"]["name"]
    finalizers = '{"metadata":{"finalizers":["example.org/held"]}}'
    patch = ("patch", "pod", held, "-n", overfull, "--type=merge", "-p")
    cluster.kubectl(*patch, finalizers)
    cluster.kubectl("delete", "namespace", overfull, "--wait=false")
    wait_until(lambda: names(cluster, overfull) == {held}, 60, "only the held pod to be left")
    cluster.kubectl(*patch, '{"metadata":{"finalizers":null}}')
    wait_until(
        lambda: cluster.kubectl("get", "namespace", overfull, check=False).returncode == 1,
        60,
        "the namespace to be gone",
    )
