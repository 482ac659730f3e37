"""Emptying a namespace, so that the next test finds all room free."""

from __future__ import annotations

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

WORKLOADS = "cronjobs,jobs,deployments,statefulsets,daemonsets,replicasets,replicationcontrollers"


def clear(cluster: ControlPlane, namespace: str) -> None:
    """Delete what makes pods, then the pods, and wait until they are gone.

    By force: some are on nodes that nobody answers for.
    """
    where = ("--all", "-n", namespace, "--wait=false")
    cluster.kubectl("delete", f"hpa,resourcequotas,{WORKLOADS}", *where)

    def gone() -> bool:
        cluster.kubectl("delete", "pods", *where, "--force", "--grace-period=0")
        return not cluster.objects("pods", namespace)

    wait_until(gone, 120, "the pods to be gone")


def empty(cluster: ControlPlane, namespace: str) -> None:
    """Clear a namespace, and let it go."""
    clear(cluster, namespace)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
