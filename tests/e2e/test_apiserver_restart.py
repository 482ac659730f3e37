"""The API server dies and comes back: the webhook serves on, and believes nothing that is old."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.looking import running
from tests.e2e.manifests import NODES, bare, deployment, pod
from tests.e2e.reviews import review, send
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

RESYNC_SECONDS = 10
STALE_SECONDS = 10


def test_it_serves_on_and_is_resynced(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """Killed and started again: all watches have moved on within 10 s of the server's /readyz."""
    cluster.apply(deployment(namespace, NODES, "7Gi"))
    wait_until(lambda: running(cluster, namespace) == NODES, 30, "the pods to run")
    pid = webhook.program.pid
    assert send(webhook, review(pod(namespace))).response["allowed"]
    killed = time.monotonic()
    cluster.kill_apiserver()
    try:
        assert webhook.get("/livez")[0] == 200
        assert webhook.is_ready(), "what it saw is still recent"
        assert send(webhook, review(pod(namespace))).response["allowed"]
        assert not send(webhook, review(pod(namespace, "any", bare()))).response["allowed"]
    finally:
        cluster.start_apiserver()
    back = time.monotonic()
    wait_until(
        lambda: webhook.metrics().oldest_age < time.monotonic() - killed,
        RESYNC_SECONDS,
        "every watch to show progress",
    )
    print(f"resynced {time.monotonic() - back:.2f} s after the API server was ready")
    assert webhook.program.pid == pid
    assert webhook.is_ready()
    more = cluster.apply(deployment(namespace, NODES, "1Gi", name="more"), check=False)
    assert "[HR201]" in more.stderr
    cluster.kubectl("delete", "deployment", "web", "-n", namespace)
    wait_until(
        lambda: cluster.apply(deployment(namespace, 3, "7Gi", name="more"), check=False).stdout,
        20,
        "the freed room to be seen",
    )


def test_it_is_never_ready_with_a_stale_view(cluster: ControlPlane, own_namespace: str) -> None:
    """Silence longer than it may believe: not ready, and no verdict that needs the book."""
    webhook = WebhookProcess(
        cluster,
        only_namespaces=[own_namespace],
        arguments=[f"--stale-seconds={STALE_SECONDS}"],
    )
    with webhook:
        fits, missing = review(pod(own_namespace)), review(pod(own_namespace, "any", bare()))
        assert send(webhook, fits).response["allowed"]
        cluster.kill_apiserver()
        try:
            wait_until(lambda: webhook.get("/readyz")[0] == 503, STALE_SECONDS + 2, "not ready")
            assert "not current" in webhook.get("/readyz")[1]
            assert webhook.get("/livez")[0] == 200
            _assert_cautious(webhook, fits, missing)
        finally:
            cluster.start_apiserver()
        back = time.monotonic()
        wait_until(lambda: webhook.get("/readyz")[0] == 200, RESYNC_SECONDS, "ready again")
        assert webhook.metrics().oldest_age < STALE_SECONDS
        print(f"ready again {time.monotonic() - back:.2f} s after the API server was")


def _assert_cautious(
    webhook: WebhookProcess, fits: dict[str, Any], missing: dict[str, Any]
) -> None:
    """503 for what the book would have to answer; the rest is refused as ever."""
    answer = send(webhook, fits)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert not send(webhook, missing).response["allowed"]
