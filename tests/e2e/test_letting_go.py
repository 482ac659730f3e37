"""Pods taken from their controller: it makes another, so it is growth, and charged as that (L14)."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.shell import Done
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.looking import events, running
from tests.e2e.manifests import NODES, full_cluster
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

QUARTERS = 4 * NODES
OWNED = ("-l", "app=app")
LET_GO = ("-l", "app=sick")


def one_of(cluster: ControlPlane, namespace: str) -> str:
    """The name of a pod that its controller keeps."""
    return str(cluster.objects("pods", namespace, *OWNED)[0]["metadata"]["name"])


def label(cluster: ControlPlane, namespace: str, pod: str, text: str) -> Done:
    done = ("label", "pod", pod, text, "--overwrite", "-n", namespace)
    return cluster.kubectl(*done, check=False)


def test_a_pod_that_is_set_aside_needs_room_for_its_successor(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Refused in a full cluster, with the figures; let go of once there is room for one more."""
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    refused = label(cluster, namespace, one_of(cluster, namespace), "app=sick")
    assert "[HR201] exceeded quota: memory requests: 1 pod of 1989Mi" in refused.stderr
    assert not cluster.objects("pods", namespace, *LET_GO)
    assert label(cluster, namespace, one_of(cluster, namespace), "seen=yes").returncode == 0

    less = QUARTERS - 2
    cluster.kubectl("scale", "deployment/app", f"--replicas={less}", "-n", namespace)
    wait_until(lambda: running(cluster, namespace, *OWNED) == less, 30, "two fewer")
    for let_go in (1, 2):
        pod = one_of(cluster, namespace)
        assert label(cluster, namespace, pod, "app=sick").returncode == 0
        wait_until(
            lambda let_go=let_go: (
                running(cluster, namespace, *OWNED) == less
                and running(cluster, namespace, *LET_GO) == let_go
            ),
            30,
            "the pod beside its successor",
        )
    refused = label(cluster, namespace, one_of(cluster, namespace), "app=sick")
    assert "[HR201]" in refused.stderr
    again = cluster.objects("pods", namespace, *LET_GO)[0]["metadata"]["name"]
    assert label(cluster, namespace, again, "app=worse").returncode == 0
    assert not events(cluster, namespace, "FailedCreate")
    assert_book_is_exact(webhook)


def test_a_pod_that_loses_its_owner_reference_is_judged_alike(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    cluster.apply(full_cluster(namespace))
    wait_until(lambda: running(cluster, namespace) == QUARTERS + NODES, 60, "a full cluster")
    patch = ("patch", "pod", one_of(cluster, namespace), "-n", namespace, "--type=json", "-p")
    removed = '[{"op":"remove","path":"/metadata/ownerReferences"}]'
    assert "[HR201]" in cluster.kubectl(*patch, removed, check=False).stderr
    assert_book_is_exact(webhook)
