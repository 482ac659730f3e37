"""Our verdict and the real scheduler's, case by case: who is placed was not refused, and who is
left waiting was.

Each random pod is asked for in a dry run; then the same pod is created where the policy exempts it,
and the scheduler says what it thinks. The book forgets it before the next one is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import httpx2
import pytest

from tests.cli.random_clusters import Object, nodes, pod
from tests.cli.scheduling import (
    POLL_SECONDS,
    Pods,
    add_nodes,
    is_unschedulable,
    said,
    schedulers_reasons,
    settle,
)
from tests.controlplane.build import Binaries
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.nodes import NodeShape
from tests.controlplane.waiting import wait_until
from tests.e2e.comparing import assert_book_is_exact
from tests.e2e.webhook import WebhookProcess

pytestmark = pytest.mark.controlplane

NODES = 6
RESIDENTS = 14
CASES_PER_CLUSTER = 40
MARK = 1 << 20
WHY = (
    "Insufficient cpu",
    "Insufficient memory",
    "Insufficient ephemeral-storage",
    "Too many pods",
    "node(s) had untolerated taint(s)",
    "node(s) were unschedulable",
    "node(s) didn't match Pod's node affinity/selector",
)
POLICY = {
    "requirements": {"requests": [], "limits": []},
    "headroom": {
        "memory": {"requests": "enforce", "limits": "off", "reserve": "0%"},
        "cpu": {"requests": "enforce", "limits": "off", "reserve": "0%"},
        "ephemeralStorage": {"requests": "enforce", "limits": "off"},
    },
}


@pytest.fixture(scope="module")
def cluster(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    """A control plane without nodes: each round brings its own."""
    with ControlPlane(binaries=control_plane_binaries) as cluster:
        yield cluster


@pytest.fixture
def http(cluster: ControlPlane) -> Iterator[httpx2.Client]:
    with cluster.client() as client:
        yield client


@dataclass
class Tally:
    """How often which verdict met which fate."""

    placed: int = 0
    left: int = 0
    left_and_refused: int = 0
    wronged: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """What the scheduler said of nodes, by how many pods it said it of."""

    def note(self, where: str, manifest: Object, obj: Object, refusal: str) -> None:
        if obj["spec"].get("nodeName"):
            self.placed += 1
            if refusal:
                self.wronged.append(f"{where}: {manifest['spec']}: {refusal}")
            return
        assert is_unschedulable(obj), obj["status"]
        self.left += 1
        self.reasons.update(schedulers_reasons(said(obj)))
        if refusal:
            self.left_and_refused += 1
        else:
            self.missed.append(f"{where}: {manifest['spec']}: {said(obj)}")


class Marker:
    """A pod that comes and goes after each case, on a node where nobody else has a place.

    A watch tells of pods in the order in which they change: a view that shows this one as it is now
    has seen the end of whatever was deleted before.
    """

    def __init__(self, pods: Pods, node: str, namespace: str) -> None:
        requests = {"resources": {"requests": {"memory": f"{MARK}"}}}
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "any", **requests}]}
        metadata = {"name": "marker", "namespace": namespace}
        self._manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        self._pods = pods
        self.there = False

    def turn(self) -> None:
        if self.there:
            self._pods.delete("marker")
        else:
            self._pods.create(self._manifest)
        self.there = not self.there


class Round:
    """One random cluster with pods in it, and the webhook's book of it."""

    def __init__(
        self, cluster: ControlPlane, webhook: WebhookProcess, judged: Pods, exempt: str, seed: int
    ) -> None:
        self.webhook, self.judged, self.seed = webhook, judged, seed
        self.random, self.exempt = Random(seed), exempt
        self.pods = Pods(judged.http, exempt)
        self.names = add_nodes(cluster, nodes(self.random, f"s{seed}", NODES))
        # No pod slots: whatever it tolerates, no pod is placed here by the scheduler.
        shape = NodeShape("1", f"{MARK}", 0, {}, [{"key": "marker", "effect": "NoSchedule"}], {})
        (marker,) = add_nodes(cluster, [shape.manifest(f"s{seed}-marker")])
        self.marker = Marker(self.pods, marker, exempt)
        wait_until(lambda: controllers_are_done(cluster), 30, "the nodes' taints to be final")
        placed = settle(self.pods, self.random, exempt, RESIDENTS)
        for name in self.pods.list().keys() - set(placed):  # what waits holds room, rightly
            self.pods.delete(name)
        assert_book_is_exact(webhook)
        self.rest = self._held()

    def case(self, index: int, tally: Tally) -> None:
        """Ask, have the same pod scheduled, and wait until the book has forgotten it."""
        manifest = pod(self.random, self.exempt, f"p{index}", self.names)
        refusal = self._refusal(manifest)
        self.pods.create(manifest)
        obj = self.pods.decided(f"p{index}")
        tally.note(f"seed {self.seed}, pod {index}", manifest, obj, refusal)
        self.pods.delete(f"p{index}")
        self.marker.turn()
        wait_until(self._is_at_rest, 30, "the book to forget", poll_seconds=POLL_SECONDS)

    def _refusal(self, manifest: Object) -> str:
        namespace = self.judged.path.split("/")[-2]
        asked = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
        answer = self.judged.http.post(f"{self.judged.path}?dryRun=All", json=asked)
        if answer.status_code == 201:
            return ""
        assert answer.status_code == 403, answer.text
        message: str = answer.json()["message"]
        assert "[HR20" in message, message
        return message

    def _is_at_rest(self) -> bool:
        memory, cpu, slots, promises = self._held()
        there = MARK if self.marker.there else 0
        assert (memory - there, cpu, slots, promises) == self.rest, "not as before"
        return True

    def _held(self) -> tuple[float, float, float, float]:
        figures = self.webhook.metrics()
        memory, cpu, slots = (figures.committed(name) for name in ("memory", "cpu", "pods"))
        return memory, cpu, slots, figures.promises

    def end(self, cluster: ControlPlane) -> None:
        """Find the book exact, and remove all."""
        assert_book_is_exact(self.webhook)
        for name in self.pods.list():
            self.pods.delete(name)
        self.webhook.wait_forgotten()
        cluster.delete_nodes([*self.names, f"s{self.seed}-marker"])


def controllers_are_done(cluster: ControlPlane) -> bool:
    """Whether controllers have brought the taints in line with what the nodes are."""
    for node in cluster.objects("nodes"):
        taints = {each["key"] for each in node["spec"].get("taints", ())}
        assert "node.kubernetes.io/unreachable" not in taints, node["metadata"]["name"]
        cordoned = node["spec"].get("unschedulable", False)
        assert cordoned == ("node.kubernetes.io/unschedulable" in taints), node["metadata"]["name"]
    return True


def test_the_scheduler_places_nobody_we_refuse_and_leaves_whom_we_refuse(
    cluster: ControlPlane, http: httpx2.Client, soak: bool
) -> None:
    """With no reserve: none of the placed was refused, at least 95 % of those left waiting were."""
    judged, exempt = cluster.namespace("judged"), cluster.namespace("exempt")
    policy = {**POLICY, "exemptions": [{"reason": "the scheduler's", "namespaces": [exempt]}]}
    tally = Tally()
    with WebhookProcess(cluster, policy=policy, only_namespaces=[judged, exempt]) as webhook:
        for seed in range(25 if soak else 5):
            before = (tally.placed, tally.left, tally.left_and_refused)
            one = Round(cluster, webhook, Pods(http, judged), exempt, seed)
            for index in range(CASES_PER_CLUSTER):
                one.case(index, tally)
            one.end(cluster)
            now = (tally.placed, tally.left, tally.left_and_refused)
            placed, left, refused = (b - a for a, b in zip(before, now, strict=True))
            print(f"seed {seed}: {placed} placed, {left} left waiting, {refused} of them refused")
    wrongly, cases = len(tally.wronged), tally.placed + tally.left
    share = tally.left_and_refused / tally.left
    print(
        f"{cases} cases: of {tally.placed} placed {wrongly} were refused;"
        f" of {tally.left} left waiting {tally.left_and_refused} were refused ({share:.1%})"
    )
    print(dict(tally.reasons.most_common()))
    assert set(WHY) <= set(tally.reasons), "a reason that no case was about"
    assert min(tally.placed, tally.left) >= cases / 5, "a lopsided choice of cases"
    assert not tally.wronged, tally.wronged
    assert share >= 0.95, tally.missed
