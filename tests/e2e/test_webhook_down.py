"""The webhook is dead and failurePolicy is Fail: the cluster lives on, people are told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import running
from tests.e2e.manifests import (
    NODES,
    bare,
    container,
    deployment,
    full_cluster,
    job,
    pod,
    template,
    workload,
)
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane


@pytest.fixture
def dead(cluster: ControlPlane, webhook: WebhookProcess, namespace: str) -> Iterator[str]:
    """Workloads from before; then the webhook is killed. Afterwards it is there again."""
    cluster.apply(
        [
            deployment(namespace, 2, name="app"),
            workload("StatefulSet", namespace, template(), name="db", replicas=2),
            job(namespace, "64Mi", parallelism=2, completions=30),
        ]
    )
    wait_until(lambda: running(cluster, namespace, "-l", "app=app") == 2, 30, "the app to run")
    webhook.kill()
    yield namespace
    if not webhook.program.is_running:
        webhook.start()
    webhook.wait_ready()
    webhook.wait_acting()


def test_people_are_told_what_is_wrong(cluster: ControlPlane, dead: str) -> None:
    """The webhook's name and the failed connection, at once."""
    started = time.monotonic()
    done = cluster.apply(pod(dead, "mine"), check=False)
    assert done.returncode == 1
    assert 'failed calling webhook "workloads.kube-headroom.io"' in done.stderr
    assert "connection refused" in done.stderr
    assert time.monotonic() - started < 6
    assert (
        "failed calling"
        in cluster.kubectl(
            "scale", "deployment/app", "--replicas=3", "-n", dead, check=False
        ).stderr
    )


def test_controllers_deletions_and_the_system_go_on(cluster: ControlPlane, dead: str) -> None:
    """Pods are replaced, Jobs end, finalizers and labels of nodes work, namespaces go."""
    for selector in ("app=app", "app=web"):
        cluster.kubectl("delete", "pods", "-l", selector, "-n", dead, "--wait=false")
    wait_until(lambda: running(cluster, dead, "-l", "app=app") == 2, 30, "the app's replacements")
    cluster.kubectl("wait", "job/batch", "--for=condition=Complete", "-n", dead, "--timeout=60s")
    wait_until(
        lambda: running(cluster, dead, "-l", "apps.kubernetes.io/pod-index") == 2, 30, "the db"
    )
    cluster.apply(deployment("kube-system", 1, name="naked", pods=template(bare())))
    cluster.kubectl("delete", "deployment", "naked", "-n", "kube-system")
    cluster.kubectl("label", "node", "node-0", "seen=yes", "--overwrite")
    cluster.kubectl("annotate", "deployment/app", "note=any", "-n", dead)
    cluster.kubectl("delete", "deployment", "app", "-n", dead)
    wait_until(lambda: not running(cluster, dead, "-l", "app=app"), 30, "the app to be gone")
    cluster.kubectl("delete", "namespace", dead, timeout=90)


def test_the_policy_can_be_mended(
    cluster: ControlPlane, webhook: WebhookProcess, dead: str
) -> None:
    """Its own entry is Ignore: a dead webhook is not in the way of its repair."""
    cluster.apply(webhook.policy_manifest({"mode": "warn"}))
    cluster.apply(webhook.policy_manifest(None))


def test_one_command_opens_the_cluster(
    cluster: ControlPlane, webhook: WebhookProcess, dead: str
) -> None:
    """`kubectl delete validatingwebhookconfiguration NAME`, as the documentation says."""
    cluster.kubectl("delete", "validatingwebhookconfiguration", webhook.release)
    started = time.monotonic()
    wait_until(
        lambda: cluster.apply(pod(dead, "mine", bare()), check=False).returncode == 0,
        10,
        "people to be let through",
    )
    print(f"the cluster was open {time.monotonic() - started:.2f} s after the command")
    webhook.register()


def test_a_restarted_webhook_knows_what_is_held(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """With a new certificate and an empty ledger: the full cluster is full, and rolls on."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == 5 * NODES, 60, "a full cluster")
    webhook.kill()
    started = time.monotonic()
    webhook.start()
    webhook.wait_ready()
    ready = time.monotonic() - started
    webhook.wait_acting()
    print(f"ready {ready:.2f} s, asked {time.monotonic() - started:.2f} s after the start")
    done = cluster.apply(pod(namespace, "more", container("1Mi")), check=False)
    assert "[HR201]" in done.stderr
    cluster.kubectl("rollout", "restart", "deployment/app", "-n", namespace)
    status = ("rollout", "status", "deployment/app", "-n", namespace, "--timeout=60s")
    cluster.kubectl(*status, timeout=70)
