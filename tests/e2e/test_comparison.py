"""After everyday life the served book is what the API server lists, to the last sum."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact, compared
from tests.e2e.looking import running
from tests.e2e.manifests import deployment, job
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane


def test_the_book_is_exact_after_rollouts_scales_and_deletes(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    cluster.apply([deployment(namespace, 4, "64Mi"), job(namespace, "64Mi", parallelism=2)])
    wait_until(lambda: running(cluster, namespace) >= 4, 60, "the pods to run")
    cluster.kubectl("set", "env", "deploy/web", "A=B", "-n", namespace)
    cluster.kubectl("scale", "deploy/web", "--replicas=2", "-n", namespace)
    cluster.kubectl("delete", "job", "batch", "-n", namespace, "--wait=false")
    assert_book_is_exact(webhook)
    line = compared(webhook)
    assert (line["level"], line["differences"]) == ("info", 0)
    assert line["rows"] >= 5
