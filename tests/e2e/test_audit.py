"""Audit mode is a trial run: nothing is refused or delayed, whatever fails."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.e2e.manifests import bare, deployment, pod, template
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

MOST_MILLISECONDS = 500


@pytest.fixture
def blind(cluster: ControlPlane, own_namespace: str) -> Iterator[WebhookProcess]:
    """A webhook in audit mode that may not see pods or nodes: its view never syncs."""
    webhook = WebhookProcess(
        cluster,
        policy={"mode": "audit"},
        only_namespaces=[own_namespace],
        withheld=["pods", "nodes", "limitranges"],
    )
    with webhook:
        assert not webhook.is_ready()
        yield webhook


def test_nothing_is_refused_or_delayed_without_a_view(
    cluster: ControlPlane, blind: WebhookProcess, own_namespace: str
) -> None:
    """Missing limits, far too large, forged, scaled: applied in silence, counted, in the log."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1"}
    forged = pod(own_namespace, "forged")
    forged["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    started = time.monotonic()
    for manifest in (
        deployment(own_namespace, 2, pods=template(bare())),
        deployment(own_namespace, 100, "90Gi", name="huge"),
        pod(own_namespace, "missing", bare()),
        forged,
    ):
        said = cluster.apply(manifest)
        assert said.stdout.endswith("created\n")
        assert said.stderr == ""
    scale = ("scale", "deployment/web", "--replicas=50", "-n", own_namespace)
    assert cluster.kubectl(*scale).stderr == ""
    print(f"5 commands without a view took {time.monotonic() - started:.2f} s")
    decisions = blind.decisions(mode="audit")
    assert len([each for each in decisions if each["outcome"] in ("warn", "allow")]) >= 5
    assert max(each["ms"] for each in decisions) < MOST_MILLISECONDS
    figures = blind.metrics()
    assert figures.total("kube_headroom_decision_codes_total", code="HR104", effect="audit") == 2
    assert figures.total("kube_headroom_decisions_total", outcome="deny", kind="Deployment") == 0
    assert figures.total("kube_headroom_decisions_total", outcome="deny", kind="Pod") == 0


def test_what_would_be_refused_is_counted(
    cluster: ControlPlane, webhook: WebhookProcess, namespace: str
) -> None:
    """With a view: the same finding that enforce would refuse for, without a word to the user."""
    webhook.set_policy({"mode": "audit"})
    try:
        said = cluster.apply(deployment(namespace, 30, "1Gi"))
        assert said.stderr == ""
        found = webhook.decisions(namespace=namespace, kind="Deployment")
        assert [line["codes"] for line in found] == [found[0]["codes"]]
        assert "HR201" in json.dumps(found)
    finally:
        webhook.set_policy()
