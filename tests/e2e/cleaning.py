"""Emptying a namespace, so that the next test finds all room free."""

from __future__ import annotations

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

WORKLOADS = "cronjobs,jobs,deployments,statefulsets,daemonsets,replicasets,replicationcontrollers"


def empty(cluster: ControlPlane, namespace: str) -> None:
    """Delete what makes pods, then the pods, and wait until they are gone."""
    for kinds in (f"hpa,{WORKLOADS}", "pods"):
        cluster.kubectl("delete", kinds, "--all", "-n", namespace, "--wait=false", "--now")
    wait_until(lambda: not cluster.objects("pods", namespace), 60, "the pods to be gone")
    cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
