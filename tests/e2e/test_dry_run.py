"""`--dry-run=server` gives the verdict and leaves no trace; `kubectl debug` is not our business."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import one, running
from tests.e2e.manifests import NODES, container, deployment, pod
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane


def test_the_verdict_is_the_same(cluster: ControlPlane, namespace: str) -> None:
    """Word for word, refused or not."""
    fits, huge = deployment(namespace, 2), deployment(namespace, 40, "1Gi", name="huge")
    assert "created (server dry run)" in cluster.apply(fits, "--dry-run=server").stdout
    dry = cluster.apply(huge, "--dry-run=server", check=False)
    real = cluster.apply(huge, check=False)
    assert dry.stderr == real.stderr
    assert "[HR201]" in dry.stderr


def test_nothing_is_promised(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Ten dry runs that would each take the whole cluster, and then it is really taken."""
    whole = deployment(namespace, NODES, "7957Mi")
    before = webhook.metrics().promises
    for _ in range(10):
        cluster.apply(whole, "--dry-run=server")
    assert webhook.metrics().promises <= before
    assert webhook.metrics().committed() == 0
    cluster.apply(deployment(namespace, NODES, "7957Mi", name="other"))
    wait_until(lambda: running(cluster, namespace) == NODES, 30, "the whole cluster to be used")
    assert "[HR201]" in cluster.apply(whole, "--dry-run=server", check=False).stderr


def test_an_ephemeral_container_is_not_judged(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """It declares nothing, as the API demands, and the cluster is full."""
    cluster.apply(deployment(namespace, NODES - 1, "7957Mi", name="rest"))
    cluster.apply(pod(namespace, "web", container("7957Mi")))
    wait_until(lambda: running(cluster, namespace) == NODES, 30, "the pods to run")
    debug = ("debug", "-n", namespace, "pod/web", "--image=registry.example/busybox", "--attach=0")
    cluster.kubectl(*debug, "--profile=general", check=False, timeout=20)
    added = one(cluster, "pod/web", namespace)["spec"]["ephemeralContainers"]
    assert [each["image"] for each in added] == ["registry.example/busybox"]
    assert not webhook.decisions(subresource="ephemeralcontainers", namespace=namespace)
