"""Rollouts, restarts and drains in a full cluster: what was promised once is never asked again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import events, one, running
from tests.e2e.manifests import NODES, QUARTER, container, deployment, full_cluster, pod, template
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

APP_PODS = 4 * NODES
ALL_PODS = APP_PODS + NODES


@pytest.fixture
def full(cluster: ControlPlane, webhook: WebhookProcess, namespace: str) -> Iterator[str]:
    """A namespace whose Deployments fill the cluster to the last byte; nothing was refused."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == ALL_PODS, 60, "a full cluster")
    assert "[HR201]" in cluster.apply(pod(namespace, "more"), check=False).stderr
    yield namespace
    assert not events(cluster, namespace, "FailedCreate")


def rolled_out(cluster: ControlPlane, namespace: str, name: str = "app") -> None:
    status = ("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=60s")
    cluster.kubectl(*status, timeout=70)


def images(cluster: ControlPlane, namespace: str) -> set[str]:
    pods = cluster.objects("pods", namespace, "-l", "app=app")
    return {pod["spec"]["containers"][0]["image"] for pod in pods}


def test_a_new_image_rolls_out(cluster: ControlPlane, full: str) -> None:
    new = "registry.example/web:2"
    cluster.kubectl("set", "image", "deployment/app", f"web={new}", "-n", full)
    rolled_out(cluster, full)
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "a full cluster again")
    assert images(cluster, full) == {new}


def test_a_restart_completes(cluster: ControlPlane, full: str) -> None:
    before = {one["metadata"]["uid"] for one in cluster.objects("pods", full, "-l", "app=app")}
    cluster.kubectl("rollout", "restart", "deployment/app", "-n", full)
    rolled_out(cluster, full)
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "a full cluster again")
    after = {one["metadata"]["uid"] for one in cluster.objects("pods", full, "-l", "app=app")}
    assert not before & after


def test_a_rollback_completes(cluster: ControlPlane, full: str) -> None:
    for image in ("2", "3"):
        cluster.kubectl(
            "set", "image", "deployment/app", f"web=registry.example/web:{image}", "-n", full
        )
    cluster.kubectl("rollout", "undo", "deployment/app", "-n", full)
    rolled_out(cluster, full)
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "a full cluster again")


def test_larger_pods_are_refused_and_smaller_ones_roll_out(
    cluster: ControlPlane, full: str
) -> None:
    """At the apply; what a smaller template frees can then be had by others."""
    larger = deployment(full, APP_PODS, "1990Mi", name="app")
    done = cluster.apply(larger, check=False)
    assert "[HR201] memory requests: " in done.stderr
    smaller = deployment(full, APP_PODS, "1Gi", name="app")
    cluster.apply(smaller)
    rolled_out(cluster, full)
    wait_until(
        lambda: (
            cluster.apply(deployment(full, NODES, "1Gi", name="next"), check=False).returncode == 0
        ),
        30,
        "the difference to be free",
    )


def test_a_paused_change_is_charged_once(cluster: ControlPlane, full: str) -> None:
    app = ("deployment/app", "-n", full)
    cluster.kubectl("rollout", "pause", *app)
    cluster.kubectl("set", "image", *app, "web=registry.example/web:2")
    cluster.kubectl("rollout", "resume", *app)
    rolled_out(cluster, full)


def test_a_recreated_app_takes_its_own_place(cluster: ControlPlane, full: str) -> None:
    """Strategy Recreate: all old pods go first, and nobody else gets their room."""
    app = full_cluster(full)[0]
    app["spec"]["strategy"] = {"type": "Recreate", "rollingUpdate": None}
    app["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/web:2"
    cluster.apply(app)
    rolled_out(cluster, full)
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "a full cluster again")


def test_delete_then_apply(cluster: ControlPlane, full: str) -> None:
    """At once, while the old pods are still leaving."""
    app = full_cluster(full)[0]
    cluster.kubectl("delete", "deployment", "app", "-n", full)
    wait_until(lambda: cluster.apply(app, check=False).returncode == 0, 5, "the room to be free")
    wait_until(lambda: running(cluster, full) == ALL_PODS, 60, "a full cluster again")


def test_a_drain_completes_with_room_elsewhere(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Two nodes' worth of pods on three nodes; the replacements are never refused."""
    count = 2 * 4
    cluster.apply(deployment(namespace, count, QUARTER))
    wait_until(lambda: running(cluster, namespace) == count, 30, "the pods to run")
    node = cluster.objects("pods", namespace)[0]["spec"]["nodeName"]
    drain = ("drain", node, "--ignore-daemonsets", "--force", "--timeout=60s")
    try:
        cluster.kubectl(*drain, timeout=70)
        wait_until(lambda: running(cluster, namespace) == count, 30, "the replacements to run")
        nodes = {pod["spec"]["nodeName"] for pod in cluster.objects("pods", namespace)}
        assert node not in nodes
        more = cluster.apply(deployment(namespace, 1, "1Gi", name="more"), check=False)
        assert "[HR201]" in more.stderr
        assert "on 2 eligible nodes" in more.stderr
    finally:
        cluster.kubectl("uncordon", node)
    assert not events(cluster, namespace, "FailedCreate")
    wait_until(
        lambda: (
            cluster.apply(deployment(namespace, 1, "1Gi", name="more"), check=False).returncode == 0
        ),
        10,
        "the uncordoned node to offer its room",
    )


def test_violators_from_before_go_on(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """What ran before the policy restarts and rolls; the update's answer says what it lacks."""
    webhook.set_policy({"mode": "audit"})
    naked = container()
    del naked["resources"]["limits"]
    cluster.apply(deployment(namespace, 2, pods=template(naked)))
    webhook.set_policy()
    done = cluster.kubectl("rollout", "restart", "deployment/web", "-n", namespace)
    assert "[HR104]" in done.stderr
    assert "(as before)" in done.stderr
    rolled_out(cluster, namespace, "web")
    assert one(cluster, "deployment/web", namespace)["status"]["updatedReplicas"] == 2
