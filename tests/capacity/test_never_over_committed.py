"""One process, whatever its view lags: what admitted objects declare never exceeds the limit.

The cluster is simulated as it is (objects, controllers, scheduler, garbage collector), the view
sees it late, each resource type on its own. Requests come, are judged and promised, and land
later, or never, or conflict and are judged again.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.rules import capacity_rules
from kube_headroom.policy.model import Headroom
from tests.capacity.cluster import LIMIT, NODES, Cluster, Request
from tests.capacity.sizes import sizes

RULES = capacity_rules(Headroom.model_validate({"fit": "off"}))
KINDS = st.sampled_from(["deployment", "statefulset", "pod"])
TYPES = st.sampled_from(["deployments", "replicasets", "statefulsets", "pods"])


class Machine(RuleBasedStateMachine):
    """Users, an API server that is slow, controllers, and a view that lags."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.waiting: list[Request] = []

    def admit(self, request: Request) -> bool:
        """Judge a request as the one process does, and promise it."""
        cluster = self.cluster
        promise = cluster.promise(request)
        if cluster.view.ledger.promised(promise):
            return True
        if cluster.declares_more(request) and shortfalls(cluster.view.book, promise, RULES):
            return False
        cluster.view.ledger.add(promise, cluster.now)
        return True

    @rule(kind=KINDS, size=st.integers(1, 3), count=st.integers(0, 4), slow=st.booleans())
    def ask(self, kind: str, size: int, count: int, slow: bool) -> None:
        """Create or change an object; the API server asks the webhook before it writes."""
        request = self.cluster.request(kind, "x", size, count)
        if request is not None and self.admit(request):
            self.waiting.append(request)
            if not slow:
                self.cluster.write(self.waiting.pop())

    @rule(data=st.data(), lost=st.sampled_from([False, False, False, True]))
    def land(self, data: st.DataObject, lost: bool) -> None:
        """Write what was admitted; a change of what has changed meanwhile is judged anew."""
        if not self.waiting:
            return
        request = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if lost or self.cluster.write(request):
            return
        newer = self.cluster.rebased(request)
        if newer is not None and self.admit(newer):
            self.waiting.append(newer)

    @rule(number=st.integers(0, 9), slow=st.booleans())
    def set_aside(self, number: int, slow: bool) -> None:
        """Label a pod so that its controller lets go of it, and makes another."""
        request = self.cluster.relabelling(number)
        if request is not None and self.admit(request):
            self.waiting.append(request)
            if not slow:
                self.cluster.write(self.waiting.pop())

    @rule(kind=KINDS)
    def delete(self, kind: str) -> None:
        self.cluster.delete(kind, "x")

    @rule(kind=st.sampled_from(["deployment", "statefulset"]))
    def orphan(self, kind: str) -> None:
        """Delete a workload, but nothing of what it has made."""
        self.cluster.orphan(kind, "x")

    @rule(lands=st.booleans(), sees=st.sets(TYPES))
    def calm(self, lands: bool, sees: set[str]) -> None:
        """Let most of it come to rest: races need something to begin from."""
        while lands and self.waiting:
            self.cluster.write(self.waiting.pop(0))
        for _ in range(30):
            self.cluster.control()
        for resource in sorted(sees):
            self.cluster.deliver(resource, 100)

    @rule(steps=st.integers(1, 12))
    def control(self, steps: int) -> None:
        """Let controllers, scheduler, kubelets and garbage collector take some steps."""
        for _ in range(steps):
            self.cluster.control()

    @rule(resource=TYPES, events=st.integers(0, 5))
    def see(self, resource: str, events: int) -> None:
        """Let the view catch up with one type, by some events or by a list, which is consistent."""
        if events:
            self.cluster.deliver(resource, events)
        else:
            self.cluster.relist(resource)

    @rule(seconds=st.sampled_from([1, 20, 45]))
    def wait(self, seconds: int) -> None:
        """Let time pass; what the API server has not written by its time limit, it never writes."""
        self.cluster.wait(seconds)
        self.waiting = [each for each in self.waiting if self.cluster.now - each.since < 60]

    @invariant()
    def is_not_over_committed(self) -> None:
        assert self.cluster.declared() <= LIMIT

    @invariant()
    def would_not_be_over_committed_by_one_pod_more_than_is_left(self) -> None:
        cluster = self.cluster
        most = cluster.declared(self.waiting)
        assert most <= LIMIT
        one_more = cluster.request("deployment", "greedy", 1, LIMIT - most + 1)
        assert one_more is not None
        assert shortfalls(cluster.view.book, cluster.promise(one_more), RULES) != ()

    def teardown(self) -> None:
        """In the end all is seen, nothing is promised, and all that is free can be had."""
        cluster = self.cluster
        assert cluster.declared() <= LIMIT
        cluster.settle()
        assert sizes(cluster.view)["ledger._rows"] == 0
        free = LIMIT - cluster.declared()
        for count, passes in ((free, True), (free + 1, False)):
            request = cluster.request("deployment", "greedy", 1, count)
            assert request is not None
            found = shortfalls(cluster.view.book, cluster.promise(request), RULES)
            assert (found == ()) is passes, (free, found)


def test_what_is_declared_never_exceeds_the_limit(soak: bool) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            deadline=None,
            derandomize=not soak,
            max_examples=2500 if soak else 500,
            stateful_step_count=80 if soak else 40,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_simulated_cluster_fills_its_nodes() -> None:
    """The model does what a cluster does: what is asked for ends up running."""
    machine = Machine()
    cluster = machine.cluster
    for kind, name, size, count in (("deployment", "x", 2, 2), ("statefulset", "y", 1, 3)):
        request = cluster.request(kind, name, size, count)
        assert request is not None
        assert machine.admit(request)
        assert cluster.write(request)
    cluster.settle()
    running: list[dict[str, Any]] = list(cluster.objects["pods"].values())
    assert len(running) == 5
    assert all(pod["node"] in NODES for pod in running)
    assert len(cluster.view.ledger) == 0
