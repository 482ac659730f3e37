"""Workloads of every kind, autoscalers and priorities, each charged once where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import events, one, replicas, running
from tests.e2e.manifests import (
    NODES,
    QUARTER,
    Object,
    container,
    deployment,
    full_cluster,
    job,
    template,
    workload,
)
from tests.e2e.webhook import WebhookProcess

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("webhook")]

QUARTERS = 4 * NODES
AUTOSCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"


def rest_of_cluster(cluster: ControlPlane, namespace: str, left: int) -> None:
    """Fill the cluster but for so many quarters of a node."""
    full, rest = full_cluster(namespace)
    full["spec"]["replicas"] = QUARTERS - left
    cluster.apply([full, rest])
    pods = QUARTERS - left + NODES
    wait_until(lambda: running(cluster, namespace) == pods, 60, "the rest of the cluster to run")


def nginx(namespace: str, count: int) -> Object:
    """Return nginx with its exporter beside it."""
    pods = template(
        container("64Mi", cpu="60m", name="nginx"), container("32Mi", cpu="30m", name="exporter")
    )
    return deployment(namespace, count, name="nginx", pods=pods)


def scale_as(cluster: ControlPlane, user: str, namespace: str, name: str, count: int) -> Done:
    """Write the Scale as a user of the API would."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
    scale = json.loads(cluster.kubectl("get", "--raw", path).stdout)
    scale["spec"]["replicas"] = count
    replace = ("replace", "--raw", path, "-f", "-", "--as", user)
    return cluster.kubectl(*replace, input=json.dumps(scale), check=False)


def test_an_autoscaler_scales_nginx_and_exporter(cluster: ControlPlane, namespace: str) -> None:
    """The real one, up to its minimum; then a person, through the same subresource."""
    cluster.apply(nginx(namespace, 1))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nginx"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
    }
    scaling = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 9, "metrics": [metric]}
    cluster.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "nginx", "namespace": namespace},
            "spec": scaling,
        }
    )
    wait_until(lambda: running(cluster, namespace) == 3, 45, "the autoscaler's minimum")
    cluster.kubectl("scale", "deployment/nginx", "--replicas=5", "-n", namespace)
    wait_until(lambda: running(cluster, namespace) == 5, 30, "5 running pods")


def test_an_autoscaler_beyond_the_room_is_warned_and_a_person_refused(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """By default half a scale-up is better than none; policy can refuse it whole."""
    rest_of_cluster(cluster, namespace, left=0)
    cluster.apply(nginx(namespace, 0))
    assert "[HR201]" in scale_as(cluster, "alice", namespace, "nginx", 5).stderr or (
        "forbidden" in scale_as(cluster, "alice", namespace, "nginx", 5).stderr
    )
    person = cluster.kubectl(
        "scale", "deployment/nginx", "--replicas=5", "-n", namespace, check=False
    )
    assert "[HR201]" in person.stderr
    webhook.set_policy({"headroom": {"autoscalers": {"calls": "enforce"}}})
    try:
        refused = scale_as(cluster, AUTOSCALER, namespace, "nginx", 5)
        assert "[HR201]" in refused.stderr
    finally:
        webhook.set_policy()
    warned = scale_as(cluster, AUTOSCALER, namespace, "nginx", 5)
    assert warned.returncode == 0
    assert "Warning: Deployment" in warned.stderr
    assert replicas(cluster, "deployment/nginx", namespace) == 5


def test_a_stateful_set_is_charged_once(cluster: ControlPlane, namespace: str) -> None:
    """Scaled up pod by pod into the last room; each pod replaced under its name."""
    rest_of_cluster(cluster, namespace, left=3)
    cluster.apply(
        workload("StatefulSet", namespace, template(container(QUARTER)), name="db", replicas=1)
    )
    scale = ("scale", "statefulset/db", "-n", namespace)
    cluster.kubectl(*scale, "--replicas=3")
    wait_until(lambda: running(cluster, namespace, "-l", "app=web") == 3, 30, "3 running pods")
    assert "[HR201]" in cluster.kubectl(*scale, "--replicas=4", check=False).stderr
    before = one(cluster, "pod/db-1", namespace)["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "db-1", "-n", namespace)
    wait_until(
        lambda: (
            running(cluster, namespace, "-l", "app=web") == 3
            and one(cluster, "pod/db-1", namespace)["metadata"]["uid"] != before
        ),
        30,
        "db-1 to be replaced",
    )
    cluster.kubectl("rollout", "restart", "statefulset/db", "-n", namespace)
    status = ("rollout", "status", "statefulset/db", "-n", namespace, "--timeout=60s")
    cluster.kubectl(*status, timeout=70)


def test_a_job_runs_through_in_the_room_of_its_parallelism(
    cluster: ControlPlane, namespace: str
) -> None:
    """100 completions, 5 at a time, with room for 5: not one refusal, and its room comes back."""
    rest_of_cluster(cluster, namespace, left=5)
    cluster.apply(job(namespace, QUARTER, parallelism=5, completions=100))
    wait = ("wait", "job/batch", "--for=condition=Complete", "-n", namespace, "--timeout=180s")
    cluster.kubectl(*wait, timeout=190)
    assert not events(cluster, namespace, "FailedCreate")
    wait_until(
        lambda: (
            cluster.apply(
                deployment(namespace, 5, QUARTER, name="after"), "--dry-run=server", check=False
            ).returncode
            == 0
        ),
        20,
        "the finished Job's room",
    )


def test_a_suspended_job_is_charged_when_it_is_let_go(
    cluster: ControlPlane, namespace: str
) -> None:
    rest_of_cluster(cluster, namespace, left=1)
    cluster.apply(job(namespace, QUARTER, parallelism=2, completions=2, suspend=True))
    go = ("patch", "job/batch", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert "[HR201]" in cluster.kubectl(*go, check=False).stderr
    cluster.kubectl("scale", "deployment/app", f"--replicas={QUARTERS - 2}", "-n", namespace)
    wait_until(lambda: cluster.kubectl(*go, check=False).returncode == 0, 20, "room for two")
    wait = ("wait", "job/batch", "--for=condition=Complete", "-n", namespace, "--timeout=60s")
    cluster.kubectl(*wait, timeout=70)


def test_a_replica_set_scaled_behind_its_deployment_is_charged(
    cluster: ControlPlane, namespace: str
) -> None:
    rest_of_cluster(cluster, namespace, left=0)
    [replica_set] = cluster.objects("replicasets", namespace, "-l", "app=app")
    name = replica_set["metadata"]["name"]
    scale = ("scale", f"replicaset/{name}", "--replicas=20", "-n", namespace)
    assert "[HR201]" in cluster.kubectl(*scale, check=False).stderr


@pytest.fixture
def classes(cluster: ControlPlane) -> Iterator[None]:
    """Two priority classes, there for as long as pods of them are."""
    values = {"e2e-high": 1000, "e2e-placeholder": -10}
    for name, value in values.items():
        named = {"apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": name}}
        cluster.apply({**named, "kind": "PriorityClass", "value": value})
    yield
    cluster.kubectl("delete", "priorityclass", *values)


def test_higher_priority_preempts_and_placeholders_hold_nothing(
    cluster: ControlPlane, classes: None, namespace: str
) -> None:
    """Both are admitted into a cluster without a free byte, and the scheduler makes room."""
    full = full_cluster(namespace)[0]
    full["spec"]["template"]["spec"]["priorityClassName"] = "e2e-placeholder"
    cluster.apply(full)
    wait_until(lambda: running(cluster, namespace) == QUARTERS, 60, "placeholders everywhere")
    cluster.apply(deployment(namespace, QUARTERS, QUARTER, name="normal"))
    wait_until(
        lambda: running(cluster, namespace, "-l", "app=normal") == QUARTERS, 60, "normal pods"
    )
    refused = cluster.apply(deployment(namespace, 2, QUARTER, name="more"), check=False)
    assert "[HR201]" in refused.stderr
    high = deployment(namespace, 2, QUARTER, name="high")
    high["spec"]["template"]["spec"]["priorityClassName"] = "e2e-high"
    wait_until(lambda: cluster.apply(high, check=False).returncode == 0, 10, "the class seen")
    wait_until(lambda: running(cluster, namespace, "-l", "app=high") == 2, 60, "preemption")


def test_elastic_clusters_are_only_warned(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """But for a pod that no known node could hold."""
    webhook.set_policy({"headroom": {"elastic": "on"}})
    try:
        done = cluster.apply(deployment(namespace, 30, "1Gi"))
        assert "Warning: " in done.stderr
        assert "[HR201]" in done.stderr
        huge = cluster.apply(deployment(namespace, 1, "9Gi", name="huge"), check=False)
        assert "[HR207]" in huge.stderr
    finally:
        webhook.set_policy()
