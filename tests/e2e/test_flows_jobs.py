"""Jobs whose pods end one by one, as a test says: what has ended, well or not, holds nothing."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.by_hand import ONLY_HERE, end_pod, pods_here
from tests.e2e.looking import events, one
from tests.e2e.manifests import QUARTER, Object, container, deployment, job, pod

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("node_by_hand")]

INDEX = "batch.kubernetes.io/job-completion-index"


def here(manifest: Object) -> Object:
    """Bind a workload to the node by hand: it has room for four of these pods."""
    manifest["spec"]["template"]["spec"]["nodeSelector"] = ONLY_HERE
    return manifest


def next_pod(cluster: ControlPlane, namespace: str, name: str) -> str:
    """Try a pod beside the Job; return what that is answered."""
    made = pod(namespace, name, container(QUARTER), nodeSelector=ONLY_HERE)
    return cluster.apply(made, check=False).stderr


def of_index(cluster: ControlPlane, namespace: str, index: int) -> str:
    """Return the name of the pod that works at an index."""
    pods = cluster.objects("pods", namespace, "-l", f"{INDEX}={index}")
    [name] = [each["metadata"]["name"] for each in pods]
    return str(name)


def test_failed_and_finished_indexes_hold_nothing(cluster: ControlPlane, namespace: str) -> None:
    """Four indexes with room for four: each that ends is room for one pod of somebody else."""
    indexed = {"completionMode": "Indexed", "completions": 4, "parallelism": 4}
    cluster.apply(here(job(namespace, QUARTER, **indexed, backoffLimitPerIndex=0)))
    wait_until(lambda: len(pods_here(cluster, namespace)) == 4, 30, "the Job's pods")
    assert "[HR201]" in next_pod(cluster, namespace, "first")

    end_pod(cluster, namespace, of_index(cluster, namespace, 2), exit_code=1)
    wait_until(lambda: next_pod(cluster, namespace, "first") == "", 20, "a failed index's room")
    assert one(cluster, "job/batch", namespace)["status"]["failedIndexes"] == "2"
    assert "[HR201]" in next_pod(cluster, namespace, "second")

    end_pod(cluster, namespace, of_index(cluster, namespace, 0), exit_code=0)
    wait_until(lambda: next_pod(cluster, namespace, "second") == "", 20, "a finished index's room")
    assert "[HR201]" in next_pod(cluster, namespace, "third")

    for index in (1, 3):
        end_pod(cluster, namespace, of_index(cluster, namespace, index), exit_code=0)
    wait_until(lambda: next_pod(cluster, namespace, "third") == "", 20, "the ended Job's room")
    failed = ("wait", "job/batch", "--for=condition=Failed", "-n", namespace, "--timeout=30s")
    cluster.kubectl(*failed)
    assert not events(cluster, namespace, "FailedCreate")


def test_a_job_that_is_retried_takes_its_own_place(cluster: ControlPlane, namespace: str) -> None:
    """Between a pod that failed and the one that replaces it, the room is nobody else's."""
    cluster.apply(here(job(namespace, QUARTER, parallelism=4, completions=4, backoffLimit=4)))
    wait_until(lambda: len(pods_here(cluster, namespace)) == 4, 30, "the Job's pods")
    victim = pods_here(cluster, namespace)[0]["metadata"]["name"]
    end_pod(cluster, namespace, victim, exit_code=1)
    wait_until(lambda: one(cluster, "job/batch", namespace)["status"].get("failed"), 20, "it seen")
    assert "[HR201]" in next_pod(cluster, namespace, "next")
    wait_until(lambda: len(working(cluster, namespace)) == 4, 60, "the one that replaces it")
    assert not events(cluster, namespace, "FailedCreate")


def working(cluster: ControlPlane, namespace: str) -> list[Object]:
    pods = pods_here(cluster, namespace)
    return [each for each in pods if each["status"]["phase"] == "Pending"]


def test_a_suspended_job_gives_its_room_back(cluster: ControlPlane, namespace: str) -> None:
    """And is charged again when it is let go on."""
    cluster.apply(here(job(namespace, QUARTER, parallelism=4, completions=4)))
    wait_until(lambda: len(pods_here(cluster, namespace)) == 4, 30, "the Job's pods")
    merge = ("patch", "job/batch", "-n", namespace, "--type=merge", "-p")
    cluster.kubectl(*merge, '{"spec":{"suspend":true}}')
    other = here(deployment(namespace, 2, QUARTER))
    wait_until(lambda: cluster.apply(other, check=False).returncode == 0, 20, "its room")
    go_on = '{"spec":{"suspend":false}}'
    assert "[HR201]" in cluster.kubectl(*merge, go_on, check=False).stderr
    cluster.kubectl("delete", "deployment", "web", "-n", namespace)
    wait_until(lambda: cluster.kubectl(*merge, go_on, check=False).returncode == 0, 20, "room")
    assert not events(cluster, namespace, "FailedCreate")
