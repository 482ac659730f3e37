"""A node without a kubelet, real or simulated: it, and what runs on it, are as a test says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.nodes import NodeShape
from tests.e2e.manifests import NODE_MEMORY

NAME = "by-hand"
ONLY_HERE = {"type": "by-hand"}
NOT_HERE = {"type": "kwok"}


def make_node(cluster: ControlPlane) -> None:
    """Make it, as large as the others, and ready."""
    manifest = NodeShape("4", NODE_MEMORY, 110, ONLY_HERE, (), {}).manifest(NAME)
    del manifest["metadata"]["annotations"]  # kwok leaves it alone
    cluster.kubectl("create", "-f", "-", input=json.dumps(manifest))
    set_ready(cluster, ready=True)
    cluster.wait_for_nodes([NAME])


def set_ready(cluster: ControlPlane, *, ready: bool) -> None:
    """Say of the node what its kubelet would, or what is known of it without one.

    Without a further sign of life it is believed for less than a minute.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "Test",
        "message": "set by a test",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    _set_status(cluster, ("node", NAME), {"conditions": [condition]})


def end_pod(cluster: ControlPlane, namespace: str, name: str, exit_code: int) -> None:
    """Let a pod's container end."""
    ended = {"exitCode": exit_code, "reason": "Test"}
    container = {"name": "web", "image": "any", "imageID": "", "ready": False, "restartCount": 0}
    phase = "Failed" if exit_code else "Succeeded"
    statuses = [{**container, "state": {"terminated": ended}}]
    what = ("pod", name, "-n", namespace)
    _set_status(cluster, what, {"phase": phase, "containerStatuses": statuses})


def pods_here(cluster: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """Return a namespace's pods on this node."""
    return cluster.objects("pods", namespace, "--field-selector", f"spec.nodeName={NAME}")


def _set_status(cluster: ControlPlane, what: tuple[str, ...], status: object) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", *what, "--subresource=status", "--type=merge", "-p", patch)
