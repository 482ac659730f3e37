"""Changes of what runs in a full cluster: too few replicas to roll, other sizes, half-way and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import events, one, running
from tests.e2e.manifests import (
    NODES,
    QUARTER,
    Object,
    container,
    deployment,
    full_cluster,
    pod,
    template,
    workload,
)

pytestmark = pytest.mark.controlplane

APP_PODS = 4 * NODES
ALL_PODS = APP_PODS + NODES
NEVER_AVAILABLE = 500  # minReadySeconds: a rollout stands still until it is told otherwise


@pytest.fixture
def full(cluster: ControlPlane, namespace: str) -> str:
    """A namespace whose Deployments fill the cluster to the last byte."""
    cluster.apply(full_cluster(namespace))
    filled(cluster, namespace)
    return namespace


def filled(cluster: ControlPlane, namespace: str, pods: int = ALL_PODS) -> None:
    wait_until(lambda: running(cluster, namespace) == pods, 60, "a full cluster")
    assert "[HR201]" in more(cluster, namespace).stderr


def more(cluster: ControlPlane, namespace: str) -> Done:
    """Try one pod of a single MiB."""
    return cluster.apply(pod(namespace, "more", container("1Mi")), "--dry-run=server", check=False)


def patch(cluster: ControlPlane, what: str, namespace: str, **spec: object) -> Done:
    merge = ("--type=merge", "-p", json.dumps({"spec": spec}))
    return cluster.kubectl("patch", what, "-n", namespace, *merge)


def set_image(cluster: ControlPlane, namespace: str, version: int, what: str) -> Done:
    image = f"web=registry.example/web:{version}"
    return cluster.kubectl("set", "image", what, image, "-n", namespace)


def rolled_out(cluster: ControlPlane, namespace: str, what: str = "deployment/app") -> None:
    status = ("rollout", "status", what, "-n", namespace, "--timeout=60s")
    cluster.kubectl(*status, timeout=70)


def versions(cluster: ControlPlane, namespace: str, *selector: str) -> list[str]:
    """Return the images' tags of the pods that are there."""
    pods = cluster.objects("pods", namespace, *selector)
    images = [pod["spec"]["containers"][0]["image"] for pod in pods]
    return sorted(re.sub(".*:", "", image) for image in images)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_too_few_replicas_to_roll(cluster: ControlPlane, namespace: str, replicas: int) -> None:
    """Let in, and told at once why nothing will move; the advice given there moves it."""
    if replicas < NODES:
        cluster.apply(deployment(namespace, NODES - replicas, "7957Mi", name="rest"))
    cluster.apply(deployment(namespace, replicas, "7957Mi"))
    filled(cluster, namespace, NODES)
    told = set_image(cluster, namespace, 2, "deployment/web").stderr
    assert "Warning: " in told
    assert "[HR208] needs 1 extra pod of 7957Mi and cpu 10m to roll" in told
    assert told.rstrip().endswith("set maxUnavailable: 1")
    waiting = ("--field-selector", "status.phase=Pending")
    wait_until(lambda: cluster.objects("pods", namespace, *waiting), 30, "the extra pod to wait")
    assert running(cluster, namespace) == NODES

    rolling = {"rollingUpdate": {"maxUnavailable": 1}}
    assert "HR" not in patch(cluster, "deployment/web", namespace, strategy=rolling).stderr
    rolled_out(cluster, namespace, "deployment/web")


def test_five_small_pods_do_not_become_one_large_one(cluster: ControlPlane, namespace: str) -> None:
    """The same sum, and no node that could take it even when the five are gone."""
    cluster.apply(deployment(namespace, NODES, "4000Mi", name="rest"))
    cluster.apply(deployment(namespace, 5, "1Gi"))
    wait_until(lambda: running(cluster, namespace) == NODES + 5, 60, "the pods to run")
    refused = cluster.apply(deployment(namespace, 1, "5Gi"), check=False).stderr
    assert "[HR208] memory requests: 1 pod of 5Gi, but 3 eligible nodes have room for 0" in refused
    assert "[HR201]" not in refused
    cluster.apply(deployment(namespace, 1, "3900Mi"))
    rolled_out(cluster, namespace, "deployment/web")


def test_what_a_smaller_template_frees_is_free_at_the_end(cluster: ControlPlane, full: str) -> None:
    """Half-way through, the room of what is still to be replaced is nobody else's."""
    smaller = deployment(full, APP_PODS, "1Gi", name="app", minReadySeconds=NEVER_AVAILABLE)
    cluster.apply(smaller)
    wait_until(lambda: sizes(cluster, full).get("1Gi", 0) >= 3, 30, "the first smaller pods")
    assert sizes(cluster, full)[QUARTER] > 0, "the rollout is half-way"
    assert "[HR201]" in more(cluster, full).stderr

    patch(cluster, "deployment/app", full, minReadySeconds=0)
    rolled_out(cluster, full)
    freed = deployment(full, 10, "900Mi", name="next")
    wait_until(lambda: cluster.apply(freed, check=False).returncode == 0, 30, "the difference")
    wait_until(lambda: running(cluster, full) == ALL_PODS + 10, 30, "the next pods to run")


def sizes(cluster: ControlPlane, namespace: str) -> dict[str, int]:
    """Return how many of the app's pods ask for how much memory."""
    found: dict[str, int] = {}
    for each in cluster.objects("pods", namespace, "-l", "app=app"):
        memory = each["spec"]["containers"][0]["resources"]["requests"]["memory"]
        found[memory] = found.get(memory, 0) + 1
    return found


def test_a_rollback_half_way_completes(cluster: ControlPlane, full: str) -> None:
    """The room of the old pods was kept for just that."""
    patch(cluster, "deployment/app", full, minReadySeconds=NEVER_AVAILABLE)
    set_image(cluster, full, 2, "deployment/app")
    wait_until(lambda: "2" in versions(cluster, full, "-l", "app=app"), 30, "the first new pods")
    assert "1" in versions(cluster, full, "-l", "app=app"), "the rollout is half-way"
    cluster.kubectl("rollout", "undo", "deployment/app", "-n", full)
    patch(cluster, "deployment/app", full, minReadySeconds=0)
    rolled_out(cluster, full)
    wait_until(lambda: running(cluster, full) == ALL_PODS, 30, "a full cluster again")
    assert set(versions(cluster, full, "-l", "app=app")) == {"1"}
    assert not events(cluster, full, "FailedCreate")


def test_a_paused_change_is_charged_when_it_is_made(cluster: ControlPlane, full: str) -> None:
    """Not when it is resumed: what was let in while it stood still has its room by then."""
    app = ("deployment/app", "-n", full)
    cluster.kubectl("rollout", "pause", *app)
    larger = ("set", "resources", *app, "--requests=memory=2Gi", "--limits=memory=2Gi")
    assert "[HR201]" in cluster.kubectl(*larger, check=False).stderr
    cluster.kubectl("scale", *app, "--replicas=9")
    wait_until(lambda: running(cluster, full) == 9 + NODES, 30, "room")
    wait_until(lambda: cluster.kubectl(*larger, check=False).returncode == 0, 20, "room seen")
    # 3 x 7957 - 3 x 1 - 9 x 2048 = 5436, of which nothing is taken on nodes yet.
    told = "headroom is 5436Mi on 3 eligible nodes (free 5967Mi - still to come 531Mi)"
    large = deployment(full, 6, "1Gi", name="next")
    wait_until(lambda: told in cluster.apply(large, check=False).stderr, 10, "the change seen")
    cluster.kubectl("rollout", "resume", *app)
    rolled_out(cluster, full)


def test_helm_uninstall_then_install(cluster: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """At once: what is leaving holds nothing."""
    chart = write_chart(tmp_path, full_cluster(namespace))
    cluster.helm("install", "shop", chart, "-n", namespace)
    filled(cluster, namespace)
    cluster.helm("uninstall", "shop", "-n", namespace)
    again = ("install", "shop", chart, "-n", namespace)

    def installed() -> bool:
        done = cluster.helm(*again, check=False)
        if done.returncode:
            cluster.helm("uninstall", "shop", "-n", namespace, check=False)
        assert done.returncode == 0, done.stderr
        return True

    wait_until(installed, 10, "the room of what was uninstalled")
    filled(cluster, namespace)


def write_chart(folder: Path, objects: list[Object]) -> Path:
    chart = folder / "shop"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(objects))
    return chart


def test_a_partitioned_update(cluster: ControlPlane, namespace: str) -> None:
    """The upper half first, then the rest, pod by pod in the room of the one before."""
    rest = full_cluster(namespace)[1]
    database = workload("StatefulSet", namespace, template(container(QUARTER)), replicas=APP_PODS)
    database["spec"]["podManagementPolicy"] = "Parallel"
    cluster.apply([database, rest])
    filled(cluster, namespace)
    halves = {"rollingUpdate": {"partition": 6}}
    patch(cluster, "statefulset/web", namespace, updateStrategy=halves)
    set_image(cluster, namespace, 2, "statefulset/web")
    mine = ("-l", "app=web")
    wait_until(
        lambda: versions(cluster, namespace, *mine) == ["1"] * 6 + ["2"] * 6, 60, "the upper half"
    )
    whole = {"rollingUpdate": {"partition": 0}}
    patch(cluster, "statefulset/web", namespace, updateStrategy=whole)
    rolled_out(cluster, namespace, "statefulset/web")
    assert versions(cluster, namespace, *mine) == ["2"] * APP_PODS
    assert not events(cluster, namespace, "FailedCreate")


@pytest.fixture
def agents(cluster: ControlPlane, namespace: str) -> Callable[..., Done]:
    """Apply a DaemonSet whose pods are as large as the room that is left on each node."""

    def apply(version: int, memory: str) -> Done:
        agent = container(memory, name="agent")
        agent["image"] = f"registry.example/agent:{version}"
        made = workload("DaemonSet", namespace, template(agent), name="agent")
        rolling = {"maxSurge": 1, "maxUnavailable": 0}
        made["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        return cluster.apply(made, check=False)

    return apply


def test_a_daemon_set_with_extra_pods(
    cluster: ControlPlane, namespace: str, agents: Callable[..., Done]
) -> None:
    """Its update is never refused; where no node has room for two, it is told and waits."""
    cluster.apply(deployment(namespace, APP_PODS, "1900Mi", name="app"))
    wait_until(lambda: running(cluster, namespace) == APP_PODS, 60, "the app to run")
    assert agents(1, "357Mi").returncode == 0
    filled(cluster, namespace, ALL_PODS)
    assert agents(2, "357Mi").returncode == 0
    wait_until(lambda: waiting_agents(cluster, namespace) == 1, 30, "an extra pod that waits")
    assert running(cluster, namespace) == ALL_PODS
    cluster.kubectl("scale", "deployment/app", "--replicas=0", "-n", namespace)
    rolled_out(cluster, namespace, "daemonset/agent")
    assert one(cluster, "daemonset/agent", namespace)["status"]["numberReady"] == NODES


def waiting_agents(cluster: ControlPlane, namespace: str) -> int:
    pods = cluster.objects("pods", namespace, "-l", "app=web")
    return sum("nodeName" not in each["spec"] for each in pods)
