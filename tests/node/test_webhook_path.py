"""The API server reaches a webhook by its Service, without kube-proxy or cluster DNS."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.node.cluster import RealCluster

pytestmark = pytest.mark.node

HERE = Path(__file__).parent


@pytest.fixture
def webhook(real_cluster: RealCluster) -> Iterator[str]:
    """A namespace whose webhook refuses what is labelled for it."""
    control_plane = real_cluster.control_plane
    namespace = control_plane.namespace("webhook", {})
    parts = manifests(control_plane, namespace)
    control_plane.apply([parts["secret"], parts["service"], parts["pod"]])
    ready = ("wait", "-n", namespace, "--for=condition=Ready", "pod/refusing", "--timeout=60s")
    control_plane.kubectl(*ready, timeout=90)
    control_plane.apply(parts["registration"])
    yield namespace
    control_plane.kubectl("delete", "validatingwebhookconfiguration", "refusing")
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


def manifests(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    parts: dict[str, Any] = yaml.safe_load((HERE / "webhook.yaml").read_text())
    for name in ("service", "pod"):
        parts[name]["metadata"]["namespace"] = namespace
    program = (HERE / "refusing_webhook.py").read_text()
    parts["pod"]["spec"]["containers"][0]["command"] = ["python3", "-c", program]
    client = parts["registration"]["webhooks"][0]["clientConfig"]
    client["service"]["namespace"] = namespace
    ca = control_plane.ca
    pair = ca.issue_server("refusing", [f"refusing.{namespace}.svc"])
    parts["secret"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "refusing", "namespace": namespace},
        "stringData": {
            "tls.crt": pair.cert_path.read_text(),
            "tls.key": pair.key_path.read_text(),
        },
    }
    client["caBundle"] = base64.b64encode(ca.ca_pem.encode()).decode()
    return parts


def test_a_review_reaches_a_pod_by_its_service(real_cluster: RealCluster, webhook: str) -> None:
    """Under the Service's name, as its certificate is checked, and over HTTP/1.1."""
    name = f"refusing.{webhook}.svc:443"

    def refused() -> bool:
        words = ("create", "-n", webhook, "-f", "-", "--dry-run=server")
        done = real_cluster.control_plane.kubectl(*words, input=LABELLED, check=False)
        assert f"denied the request: seen as {name} over HTTP/1.1" in done.stderr, done.stderr
        return True

    wait_until(refused, 30, "the webhook to be called")


LABELLED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: any, labels: {refuse: please}}
"""
