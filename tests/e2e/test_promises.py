"""Promises whose object never came: the room returns without anybody's help."""

from __future__ import annotations

import time

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.looking import events
from tests.e2e.manifests import QUARTER, container, full_cluster, job, pod
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

PROMISE_SECONDS = 2
# Old after 2 s, questioned every 5 s, and then the watch must have moved on.
BACK_SECONDS = 20


def test_room_returns_after_a_quota_refused_what_was_promised(
    cluster: ControlPlane, own_namespace: str
) -> None:
    """ResourceQuota judges after us: the pod is promised and never made."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": own_namespace},
        "spec": {"hard": {"requests.memory": "1Gi"}},
    }
    cluster.apply([quota, pod(own_namespace, "alive")])
    arguments = [f"--promise-seconds={PROMISE_SECONDS}"]
    with WebhookProcess(cluster, only_namespaces=[own_namespace], arguments=arguments) as webhook:
        before = webhook.metrics().committed()

        def refused() -> bool:
            large = pod(own_namespace, "large", container("7Gi"))
            return "exceeded quota: small" in cluster.apply(large, check=False).stderr

        wait_until(refused, 20, "the quota to be counted")
        assert webhook.decisions(name="large", charge="promised")
        assert webhook.metrics().committed() == before + 7 * (1 << 30)
        started = time.monotonic()

        def back() -> bool:
            touch = ("annotate", "pod", "alive", "-n", own_namespace, "--overwrite")
            cluster.kubectl(*touch, f"seen={time.monotonic()}")  # somewhere a pod changes
            return webhook.metrics().committed() == before

        wait_until(back, BACK_SECONDS, "the room to be back")
        print(f"a promise of {PROMISE_SECONDS} s was gone after {time.monotonic() - started:.1f} s")
        assert_book_is_exact(webhook)


def test_a_cron_jobs_refused_job_is_named_and_made_later(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """The schedule itself holds nothing; each Job is charged when its time has come."""
    full, rest = full_cluster(namespace)
    cluster.apply([full, rest])
    made = job(namespace, QUARTER)
    schedule = {"schedule": "* * * * *", "jobTemplate": {"spec": made["spec"]}}
    cluster.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "minutely", "namespace": namespace},
            "spec": {**schedule, "concurrencyPolicy": "Allow"},
        }
    )
    wait_until(
        lambda: any("[HR201]" in text for text in events(cluster, namespace, "FailedCreate")),
        70,
        "the refused Job to be named in an event",
    )
    cluster.kubectl("scale", "deployment/app", "--replicas=11", "-n", namespace)
    wait_until(lambda: cluster.objects("jobs", namespace), 70, "the Job when there is room")
