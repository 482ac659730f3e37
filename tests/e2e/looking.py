"""What tests look at in a cluster, each as one small question."""

from __future__ import annotations

import json
from typing import Any

from tests.controlplane.cluster import ControlPlane


def running(cluster: ControlPlane, namespace: str, *selector: str) -> int:
    """Return how many pods run and are not on their way out."""
    pods = cluster.objects("pods", namespace, *selector)
    return sum(
        pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        for pod in pods
    )


def replicas(cluster: ControlPlane, what: str, namespace: str) -> int:
    """Return the number of pods a workload asks for."""
    return int(one(cluster, what, namespace)["spec"]["replicas"])


def one(cluster: ControlPlane, what: str, namespace: str) -> dict[str, Any]:
    """Return one object, named KIND/NAME."""
    text = cluster.kubectl("get", what, "-n", namespace, "-o", "json").stdout
    found: dict[str, Any] = json.loads(text)
    return found


def events(cluster: ControlPlane, namespace: str, reason: str) -> list[str]:
    """Return the messages of the namespace's events with this reason."""
    found = cluster.objects("events", namespace)
    return [event["message"] for event in found if event["reason"] == reason]
