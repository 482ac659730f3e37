"""Asking the real scheduler: pods created over plain HTTP, and what it said of them.

Without the tenth of a second that kubectl takes for each question.
"""

from __future__ import annotations

import json
import re
from random import Random

import httpx2

from tests.cli.random_clusters import Object, pod
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

POLL_SECONDS = 0.02


class Pods:
    """The pods of one namespace."""

    def __init__(self, http: httpx2.Client, namespace: str) -> None:
        self.http, self.path = http, f"/api/v1/namespaces/{namespace}/pods"

    def create(self, obj: Object) -> None:
        """Create one; it must be admitted."""
        answer = self.http.post(self.path, json=obj)
        assert answer.status_code == 201, answer.text

    def patch(self, name: str, body: Object, subresource: str = "") -> None:
        """Change one."""
        headers = {"content-type": "application/merge-patch+json"}
        path = f"{self.path}/{name}{subresource}"
        answer = self.http.patch(path, content=json.dumps(body), headers=headers)
        assert answer.status_code == 200, answer.text

    def delete(self, name: str) -> None:
        """Delete one at once."""
        answer = self.http.request("DELETE", f"{self.path}/{name}", json={"gracePeriodSeconds": 0})
        assert answer.status_code in {200, 202, 404}, answer.text

    def get(self, name: str) -> Object:
        """Return one."""
        answer = self.http.get(f"{self.path}/{name}")
        assert answer.status_code == 200, answer.text
        found: Object = answer.json()
        return found

    def list(self) -> dict[str, Object]:
        """Return all by name."""
        items = self.http.get(self.path).json()["items"]
        return {item["metadata"]["name"]: item for item in items}

    def decided(self, name: str) -> Object:
        """Return one when the scheduler has decided about it."""

        def found() -> Object | None:
            obj = self.get(name)
            return obj if looked_at(obj) else None

        return wait_until(found, 30, f"the scheduler to look at {name}", poll_seconds=POLL_SECONDS)


def looked_at(obj: Object) -> bool:
    """Whether the scheduler has decided: it assigned the pod, or said why not."""
    if obj["spec"].get("nodeName"):
        return True
    conditions = obj.get("status", {}).get("conditions") or []
    return any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)


def said(obj: Object) -> str:
    """Return what the scheduler said of a pod that it did not place."""
    return _scheduled(obj).get("message", "")


def is_unschedulable(obj: Object) -> bool:
    """Whether the scheduler looked at all nodes and took none."""
    return _scheduled(obj).get("reason") == "Unschedulable"


def schedulers_reasons(message: str) -> set[str]:
    """Return the reasons in `0/6 nodes are available: 1 Insufficient cpu, 5 ...`, one node's only."""
    text = message.partition("are available: ")[2].partition(" preemption:")[0]
    found = re.findall(r"(\d+) (.+?)(?=, \d+ |\.\s|\.$|$)", text)
    return {reason for _, reason in found if "didn't satisfy plugin" not in reason}


def add_nodes(cluster: ControlPlane, manifests: list[Object]) -> list[str]:
    """Create nodes that kwok plays, wait until they are ready, return their names."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    cluster.kubectl("create", "-f", "-", input=text)
    names = [one["metadata"]["name"] for one in manifests]
    cluster.wait_for_nodes(names)
    return names


def settle(pods: Pods, random: Random, namespace: str, count: int) -> list[str]:
    """Let random pods be looked at; return the names of those that were placed."""
    for index in range(count):
        pods.create(pod(random, namespace, f"r{index}"))
    wait_until(lambda: all(map(looked_at, pods.list().values())), 30, "the residents to be placed")
    return [name for name, obj in pods.list().items() if obj["spec"].get("nodeName")]


def _scheduled(obj: Object) -> dict[str, str]:
    conditions = obj["status"].get("conditions") or []
    return next((one for one in conditions if one["type"] == "PodScheduled"), {})
