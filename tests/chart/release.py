"""Installing the chart on the shared control plane, and taking it away again.

Its pods are created, so that admission judges them, but no node is theirs: pods that kwok plays
have invented addresses, and the API server would knock there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chart.render import CHART
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}
ON_NO_NODE = ("--set", "nodeSelector.example\\.invalid/nowhere=yes")


@dataclass(frozen=True)
class Release:
    """One installed chart, in a namespace of its own that admits only restricted pods."""

    cluster: ControlPlane
    name: str
    namespace: str
    said: str

    @property
    def fullname(self) -> str:
        """The name of its objects."""
        return f"{self.name}-kube-headroom"

    @property
    def account(self) -> str:
        """The user name of its ServiceAccount."""
        return f"system:serviceaccount:{self.namespace}:{self.fullname}"

    def helm(self, verb: str, *arguments: str | Path) -> str:
        """Run a helm command on this release."""
        done = self.cluster.helm(verb, self.name, *arguments, "--namespace", self.namespace)
        return done.stdout + done.stderr

    def upgrade(self, *arguments: str) -> str:
        """Upgrade to the same chart with other values."""
        return self.helm("upgrade", CHART, *ON_NO_NODE, *arguments)

    def webhooks(self) -> list[dict[str, Any]]:
        """The entries of its webhook configuration, as they are stored."""
        stored = self.cluster.get("validatingwebhookconfiguration", self.fullname)
        webhooks: list[dict[str, Any]] = stored["webhooks"]
        return webhooks

    def pods(self) -> list[dict[str, Any]]:
        """Its pods."""
        return self.cluster.objects("pods", self.namespace)


def install(cluster: ControlPlane, name: str) -> Release:
    """Install the chart into a new namespace and wait until its pod exists."""
    namespace = cluster.namespace("guard", RESTRICTED)
    done = cluster.helm("install", name, CHART, "--namespace", namespace, *ON_NO_NODE)
    release = Release(cluster, name, namespace, done.stdout + done.stderr)
    wait_until(release.pods, 30, "the chart's pod to be admitted")
    return release


def remove(release: Release) -> None:
    """Uninstall, and wait until the API server asks nobody any more: others share it."""
    release.helm("uninstall")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    }
    wait_until(
        lambda: release.cluster.apply(pod, "--dry-run=server", check=False).returncode == 0,
        30,
        "a pod to be accepted without a webhook",
    )
