"""simulate against the real scheduler: node by node, pod by pod, reason by reason.

Each random pod is simulated on a snapshot that kubectl takes; then it is created once for every
node, pinned to it, and the scheduler says what it thinks. So all nodes answer at once, and no copy
is in another's way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from tests.cli.random_clusters import Object, nodes, pinned, pod
from tests.cli.running import run
from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until

pytestmark = pytest.mark.controlplane

NODES = 6
RESIDENTS = 12
PODS_PER_CLUSTER = 12
SNAPSHOT = "nodes,pods,deployments,limitranges,namespaces,priorityclasses"


@pytest.fixture(scope="module")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def http(cluster: ControlPlane) -> Iterator[httpx2.Client]:
    with cluster.client() as client:
        yield client


class Pods:
    """The pods of one namespace, without the seconds that kubectl takes."""

    def __init__(self, http: httpx2.Client, namespace: str) -> None:
        self.http, self.path = http, f"/api/v1/namespaces/{namespace}/pods"

    def create(self, obj: Object) -> None:
        answer = self.http.post(self.path, json=obj)
        assert answer.status_code == 201, answer.text

    def patch(self, name: str, body: Object, subresource: str = "") -> None:
        headers = {"content-type": "application/merge-patch+json"}
        path = f"{self.path}/{name}{subresource}"
        answer = self.http.patch(path, content=json.dumps(body), headers=headers)
        assert answer.status_code == 200, answer.text

    def delete(self, name: str) -> None:
        answer = self.http.request("DELETE", f"{self.path}/{name}", json={"gracePeriodSeconds": 0})
        assert answer.status_code in {200, 202, 404}, answer.text

    def list(self) -> dict[str, Object]:
        items = self.http.get(self.path).json()["items"]
        return {item["metadata"]["name"]: item for item in items}


def looked_at(obj: Object) -> bool:
    """Whether the scheduler has decided: it assigned the pod, or said why not."""
    if obj["spec"].get("nodeName"):
        return True
    conditions = obj.get("status", {}).get("conditions") or []
    return any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)


def said(obj: Object) -> str:
    conditions = obj["status"]["conditions"]
    return next(str(one["message"]) for one in conditions if one["type"] == "PodScheduled")


def schedulers_reasons(message: str) -> set[str]:
    """Return the reasons in `0/6 nodes are available: 1 Insufficient cpu, 5 ...`, one node's only."""
    text = message.partition("are available: ")[2].partition(" preemption:")[0]
    found = re.findall(r"(\d+) (.+?)(?=, \d+ |\.\s|\.$|$)", text)
    return {reason for _, reason in found if "didn't satisfy plugin" not in reason}


WORDS = {
    "unschedulable": "node(s) were unschedulable",
    "untolerated taint": "node(s) had untolerated taint(s)",
    "didn't match Pod's node affinity/selector": (
        "node(s) didn't match Pod's node affinity/selector"
    ),
}


def our_reasons(text: str) -> set[str]:
    """Return our reasons as the scheduler writes them for nodes in the plural."""
    return {WORDS.get(part, part) for part in text.partition(":")[0].split(", ")}


def populate(http: httpx2.Client, pods: Pods, random: Random, namespace: str) -> None:
    """Let pods settle; then some wait, some have finished, some are on their way out."""
    for index in range(RESIDENTS):
        pods.create(pod(random, namespace, f"r{index}"))
    wait_until(lambda: all(map(looked_at, pods.list().values())), 30, "the residents to be placed")
    placed = [name for name, obj in pods.list().items() if obj["spec"].get("nodeName")]
    for name in random.sample(placed, len(placed) // 2):
        if random.random() < 0.5:
            pods.patch(
                name, {"status": {"phase": random.choice(("Succeeded", "Failed"))}}, "/status"
            )
        else:  # it stays, terminating, until somebody lifts the finalizer
            pods.patch(name, {"metadata": {"finalizers": ["tests.example/held"]}})
            pods.delete(name)


def simulated(cluster: ControlPlane, folder: Path, manifest: Object) -> dict[str, Any]:
    snapshot, file = folder / "snapshot.json", folder / "pod.json"
    snapshot.write_text(cluster.kubectl("get", SNAPSHOT, "-A", "-o", "json").stdout)
    file.write_text(json.dumps(manifest))
    done = run("simulate", "--snapshot", snapshot, "-f", file, "-o", "json")
    assert done.returncode in {0, 1}, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def scheduled(pods: Pods, manifest: Object, names: list[str]) -> dict[str, Object]:
    """Return what became of the pod on every node by itself; then remove every copy."""
    copies = {f"{manifest['metadata']['name']}-{name}": name for name in names}
    for name in names:
        pods.create(pinned(manifest, name))

    def all_looked_at() -> dict[str, Object] | None:
        found = pods.list()
        return found if all(looked_at(found[copy]) for copy in copies) else None

    found = wait_until(all_looked_at, 30, "the scheduler to look at every copy")
    for copy in copies:
        pods.delete(copy)
    wait_until(lambda: not copies.keys() & pods.list().keys(), 30, "the copies to be gone")
    return {name: found[copy] for copy, name in copies.items()}


def compare(answer: dict[str, Any], found: dict[str, Object], figures: dict[str, int]) -> None:
    fits = [name for name, obj in sorted(found.items()) if obj["spec"].get("nodeName")]
    assert answer["fits"] == fits, {name: said(obj) for name, obj in found.items()}
    for name, text in answer["reasons"].items():
        message = said(found[name])
        assert our_reasons(text) == schedulers_reasons(message), (name, text, message)
        figures["refusals"] += 1
    figures["fits"] += len(fits)
    figures["cases"] += 1


def test_the_scheduler_agrees_on_every_node(
    cluster: ControlPlane, http: httpx2.Client, soak: bool, tmp_path: Path
) -> None:
    """Where a pod fits, and why not elsewhere, is what the scheduler says of each node."""
    figures = {"cases": 0, "fits": 0, "refusals": 0}
    for seed in range(40 if soak else 5):
        random = Random(seed)
        made = nodes(random, f"s{seed}", NODES)
        names = [one["metadata"]["name"] for one in made]
        cluster.kubectl(
            "create",
            "-f",
            "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}),
        )
        cluster.wait_for_nodes(names)
        namespace = cluster.namespace("sim")
        if seed % 2:
            limits = [{"type": "Container", "defaultRequest": {"memory": "700Mi"}}]
            cluster.apply(
                {
                    "apiVersion": "v1",
                    "kind": "LimitRange",
                    "metadata": {"name": "l", "namespace": namespace},
                    "spec": {"limits": limits},
                }
            )
        pods = Pods(http, namespace)
        populate(http, pods, random, namespace)
        for index in range(PODS_PER_CLUSTER):
            manifest = pod(random, namespace, f"p{index}")
            answer = simulated(cluster, tmp_path, manifest)
            compare(answer, scheduled(pods, manifest, names), figures)
        for name in pods.list():
            pods.patch(name, {"metadata": {"finalizers": None}})
        cluster.delete_nodes(names)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    print(f"\nsimulate and the scheduler agree: {figures}")
