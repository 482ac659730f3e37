"""simulate against the real scheduler: node by node, pod by pod, reason by reason.

Each random pod is simulated on a snapshot that kubectl takes; then it is created once for every
node, pinned to it, and the scheduler says what it thinks. So all nodes answer at once, and no copy
is in another's way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from tests.cli.random_clusters import Object, nodes, pinned, pod
from tests.cli.running import run
from tests.cli.scheduling import (
    Pods,
    add_nodes,
    looked_at,
    said,
    schedulers_reasons,
    settle,
)
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


def populate(pods: Pods, random: Random, namespace: str) -> None:
    """Let pods settle; then some wait, some have finished, some are on their way out."""
    placed = settle(pods, random, namespace, RESIDENTS)
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
        names = add_nodes(cluster, nodes(random, f"s{seed}", NODES))
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
        populate(pods, random, namespace)
        for index in range(PODS_PER_CLUSTER):
            manifest = pod(random, namespace, f"p{index}")
            answer = simulated(cluster, tmp_path, manifest)
            compare(answer, scheduled(pods, manifest, names), figures)
        for name in pods.list():
            pods.patch(name, {"metadata": {"finalizers": None}})
        cluster.delete_nodes(names)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    print(f"\nsimulate and the scheduler agree: {figures}")
