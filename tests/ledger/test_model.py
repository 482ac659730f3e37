"""The protocol as a state machine: whatever is lost, late, refused or restarted, nothing is promised
twice; and once all is quiet, nothing is held for nobody.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.ledger.asking import PROMISE_SECONDS, Naive, Request
from tests.ledger.cluster import FOLLOWED, made
from tests.ledger.protocol import Play

ROOM = 6
REPLICAS = st.integers(0, 2)
RESOURCES = st.sampled_from(FOLLOWED)
COUNTS = st.integers(0, 4)
TROUBLES = ("lists", "restarts", "time", "losses", "faults", "rollouts")
"""Each run has some of them only: all at once leave little time for any."""
FAULTS = st.sampled_from(
    ["", "", "", "", "conflict", "lost answer", "lost question", "crash before", "crash after"]
)


class Machine(RuleBasedStateMachine):
    """Three replicas (two in half of the runs), one ledger, and users who do everything at once."""

    play: Play
    created = 0
    troubles: frozenset[str] = frozenset()

    @initialize(replicas=st.integers(2, 3), troubles=st.frozensets(st.sampled_from(TROUBLES)))
    def begin(self, replicas: int, troubles: frozenset[str]) -> None:
        self.play = self.new_play(replicas)
        self.troubles = troubles

    def new_play(self, replicas: int) -> Play:
        return Play(ROOM, replicas)

    # What users and controllers do.

    @rule(
        resource=st.sampled_from(["pods", "deployments"]),
        pods=COUNTS,
        units=st.sampled_from([1, 1, 2]),
        replica=REPLICAS,
        lands=st.booleans(),
    )
    def create(self, resource: str, pods: int, units: int, replica: int, lands: bool) -> None:
        self.created += 1
        uid = f"{resource[:3]}-{self.created}"
        pods = 1 if resource == "pods" else pods
        self.begin_by_the_book(self.play.create(resource, uid, pods, units), replica, lands)

    @precondition(lambda self: self.uids("deployments"))
    @rule(
        data=st.data(),
        pods=COUNTS,
        units=st.sampled_from([None, None, 1, 2]),
        replica=REPLICAS,
        lands=st.booleans(),
    )
    def update(
        self, data: st.DataObject, pods: int, units: int | None, replica: int, lands: bool
    ) -> None:
        uid = data.draw(st.sampled_from(self.uids("deployments")))
        request = self.play.update("deployments", uid, pods, units)
        self.begin_by_the_book(request, replica, lands)

    def begin_by_the_book(self, request: Request, replica: int, lands: bool) -> None:
        """Ask a replica that has heard of everything, and land if that is wanted."""
        number = replica % len(self.play.replicas)
        self.play.replicas[number].hear()
        if self.play.ask(request, number) == "allowed" and lands:
            self.play.land(request)

    @precondition(lambda self: "rollouts" in self.troubles and self.uids("deployments"))
    @rule(data=st.data())
    def roll_out(self, data: st.DataObject) -> None:
        """The Deployment's controller makes its ReplicaSet, or lets it follow."""
        uid = data.draw(st.sampled_from(self.uids("deployments")))
        spec = self.play.cluster.objects["deployments"][uid].spec
        assert spec is not None
        pods = spec.replicas or 0
        child = f"rs-{uid}"
        if child in self.play.cluster.objects["replicasets"]:
            self.play.update("replicasets", child, pods)
        else:
            self.play.create("replicasets", child, pods, owner=uid)

    @precondition(lambda self: self.everything())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """With all it owns, as the garbage collector does in the end."""
        resource, uid = data.draw(st.sampled_from(self.everything()))
        self.play.cluster.delete(resource, uid)
        if f"rs-{uid}" in self.play.cluster.objects["replicasets"]:
            self.play.cluster.delete("replicasets", f"rs-{uid}")

    # What becomes of requests.

    @precondition(lambda self: self.play.requests)
    @rule(data=st.data(), replica=REPLICAS, hears=st.booleans(), fault=FAULTS)
    def ask(self, data: st.DataObject, replica: int, hears: bool, fault: str) -> None:
        request = data.draw(st.sampled_from(self.play.requests))
        replica %= len(self.play.replicas)
        if hears:
            self.play.replicas[replica].hear()
        self.play.ask(request, replica, fault if "faults" in self.troubles else "")

    @precondition(lambda self: self.allowed())
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.allowed()))
        owner = request.obj.metadata.owner_references
        if owner and owner[0].uid not in self.uids("deployments"):
            self.play.fail(request)  # its garbage collector would be at it at once
        elif request.uid in self.play.cluster.objects[request.resource] and not request.base:
            self.play.fail(request)  # the name exists
        else:
            self.play.land(request)

    @precondition(lambda self: self.play.requests)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.play.fail(data.draw(st.sampled_from(self.play.requests)))

    @precondition(lambda self: self.play.updates)
    @rule(data=st.data(), replica=REPLICAS)
    def ask_again(self, data: st.DataObject, replica: int) -> None:
        """Another request for the same update, perhaps long after the first one failed."""
        first = data.draw(st.sampled_from(self.play.updates[-4:]))
        self.begin_by_the_book(self.play.repeat(first), replica, lands=False)

    # What replicas see and do.

    @rule(replica=REPLICAS, resource=RESOURCES, events=st.integers(1, 3))
    def deliver(self, replica: int, resource: str, events: int) -> None:
        self.at(replica).follower.deliver(resource, events)

    @rule(replica=REPLICAS)
    def deliver_everything(self, replica: int) -> None:
        for resource in FOLLOWED:
            self.at(replica).follower.deliver(resource)

    @precondition(lambda self: "lists" in self.troubles)
    @rule(replica=REPLICAS, resource=RESOURCES)
    def relist(self, replica: int, resource: str) -> None:
        self.at(replica).follower.relist(resource)

    @precondition(lambda self: "lists" in self.troubles)
    @rule(replica=REPLICAS, resource=RESOURCES)
    def bookmark(self, replica: int, resource: str) -> None:
        self.at(replica).follower.bookmark(resource)

    @rule(replica=REPLICAS)
    def sweep(self, replica: int) -> None:
        self.at(replica).hear()
        self.at(replica).sweep()

    @precondition(lambda self: "restarts" in self.troubles)
    @rule(replica=REPLICAS)
    def restart(self, replica: int) -> None:
        self.at(replica).restart()

    @precondition(lambda self: "time" in self.troubles)
    @rule(replica=REPLICAS)
    def question(self, replica: int) -> None:
        """Prove what is old, and sweep what that ends."""
        at = self.at(replica)
        at.question()
        for resource in FOLLOWED:
            at.follower.bookmark(resource)
        at.question()
        at.hear()
        at.sweep()

    @precondition(lambda self: "time" in self.troubles)
    @rule(seconds=st.sampled_from([2, 30, PROMISE_SECONDS]))
    def wait(self, seconds: int) -> None:
        self.play.wait(seconds)

    @precondition(lambda self: "losses" in self.troubles)
    @rule(how=st.sampled_from(["deleted", "mangled"]))
    def lose(self, how: str) -> None:
        """Somebody deletes the ledger, or edits it; replicas that run hear of it at once."""
        cluster = self.play.cluster
        if cluster.ledger is None:
            return
        if how == "deleted":
            cluster.ledger = None
        else:
            cluster.write_ledger("{", cluster.ledger)
        for replica in self.play.replicas:
            if replica.state.stored is not None:
                replica.in_doubt = True
                replica.take_over()
                if replica.state.has_news:
                    replica.write()

    # What always holds.

    @invariant()
    def nothing_is_over_committed(self) -> None:
        if hasattr(self, "play"):
            assert self.play.cluster.declared <= ROOM, self.play.cluster.objects

    def teardown(self) -> None:
        """Progress: at rest the ledger is empty, and exactly what is free can be used."""
        if not hasattr(self, "play"):
            return
        self.play.come_to_rest()
        free = ROOM - self.play.cluster.declared
        for replica in self.play.replicas:
            assert len(replica.ledger) == 0
            assert replica.state.document.rows == {}
            assert not replica.state.is_closed
            for units, fits in ((free, True), (free + 1, False)):
                promise = replica.follower.promise("pods", made("pods", "last", 1, units), 0)
                assert (not replica.follower.judge(promise)) == fits or not units

    def at(self, replica: int):
        return self.play.replicas[replica % len(self.play.replicas)]

    def uids(self, resource: str) -> list[str]:
        return sorted(self.play.cluster.objects[resource])

    def everything(self) -> list[tuple[str, str]]:
        return [(name, uid) for name in ("pods", "deployments") for uid in self.uids(name)]

    def allowed(self) -> list:
        return [each for each in self.play.requests if each.allowed]


def run_machine(machine: type[Machine], examples: int, steps: int, *, soak: bool) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            derandomize=not soak,
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_replicas_promise_nothing_twice_and_forget_nothing(soak: bool) -> None:
    run_machine(Machine, 10_000 if soak else 800, 60 if soak else 50, soak=soak)


@pytest.mark.soak
@pytest.mark.parametrize("rule_left_out", ["no_watermarks", "merged_bases", "timed_expiry"])
def test_the_machine_is_strong_enough_to_miss_a_rule(rule_left_out: str) -> None:
    """It over-commits without this rule: so it would have found a fault of that kind in ours."""

    class NaiveMachine(Machine):
        def new_play(self, replicas: int) -> Play:
            return Play(ROOM, replicas, Naive(**{rule_left_out: True}))

        def teardown(self) -> None:
            """Only the sum counts here."""

    with pytest.raises(AssertionError):
        run_machine(NaiveMachine, 10_000, 50, soak=False)
