"""The comparer finds nothing in a book that was told everything, and names whatever is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from kube_headroom.capacity.comparer import Report, compare
from kube_headroom.capacity.load import NOTHING, Load
from kube_headroom.capacity.view import View
from kube_headroom.resources.amounts import Amounts
from tests.capacity.test_against_reference import Machine
from tests.capacity.world import World, decoded

MORE = Load(Amounts(memory=1))


def compared(world: World) -> Report:
    return compare(
        world.view, {name: shown.values() for name, shown in world.shown.items()}, world.now
    )


class ComparedMachine(Machine):
    """Events of all types in any order, and promises, each followed by a comparison alone."""

    @invariant()
    def is_what_the_definitions_say(self) -> None:
        report = compared(self.world)
        assert report.exact, str(report)

    def promise(self, kind: str, short: dict[str, Any], *, fresh: bool) -> None:
        """Promise it; what a question leaves behind is looked at elsewhere."""
        if fresh:
            short["uid"] = self.new_uid(kind, short["name"])
        self.world.allow(decoded(kind, short))
        self.asked.append((kind, short))

    def teardown(self) -> None:
        """What is left at the end is looked at elsewhere."""


def test_whatever_happens_the_comparer_finds_nothing(soak: bool) -> None:
    run_state_machine_as_test(
        ComparedMachine,
        settings=settings(
            deadline=None,
            derandomize=not soak,
            max_examples=2000 if soak else 100,
            stateful_step_count=50,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def world() -> World:
    made = World()
    made.put("node", {"name": "n0", "memory": "8Gi"})
    made.put("deployment", {"name": "web", "memory": "1Gi", "replicas": 3})
    made.put(
        "replicaset", {"name": "web-1", "memory": "1Gi", "replicas": 3, "owner": "deployment/web"}
    )
    made.put("pod", {"name": "a", "memory": "1Gi", "owner": "replicaset/web-1", "node": "n0"})
    made.put("pod", {"name": "b", "memory": "1Gi", "owner": "replicaset/web-1"})
    made.book.nodes.lens(1, 0)
    assert compared(made).exact
    return made


def uid(view: View, name: str) -> str:
    return next(each for each in (*view.book.pods, *view.book.groups) if each.endswith(name))


def forget_pod(view: View) -> None:
    view.book.remove_pod(uid(view, "a"))


def invent_pod(view: View) -> None:
    row = view.book.pods[uid(view, "a")]
    view.book.put_pod(msgspec.structs.replace(row, uid="ghost"), 1000.0)


def grow_pod(view: View) -> None:
    row = view.book.pods[uid(view, "a")]
    view.book.put_pod(msgspec.structs.replace(row, load=row.load.plus(MORE)), 1000.0)


def shrink_node(view: View) -> None:
    row = view.book.nodes.rows["n0"]
    row.allocatable = row.allocatable.minus(MORE.requests)


def forget_node(view: View) -> None:
    view.book.nodes.remove("n0")


def change_workload(view: View) -> None:
    group = view.book.groups[uid(view, "web")]
    assert group.version is not None
    group.version = msgspec.structs.replace(group.version, count=4)


def drift_on_node(view: View) -> None:
    view.book.nodes.assign("n0", 0, MORE, add=True)


def drift_in_owner(view: View) -> None:
    view.book.groups[uid(view, "web-1")].live += 1


def drift_in_lens(view: View) -> None:
    lens = view.book.nodes.lens(1, 0)
    lens.free = lens.free.plus(MORE)


def drift_in_register(view: View) -> None:
    view.book.register.set(uid(view, "web"), ())


def leave_holding(view: View) -> None:
    holding = view.book.register.of(uid(view, "web"))
    view.book.register.set("nobody", holding)


def miscount_pod(view: View) -> None:
    view.book.pods[uid(view, "b")].size = NOTHING


CORRUPTIONS = [
    (forget_pod, "missed pods", "a"),
    (invent_pod, "redundant pods", "ghost"),
    (grow_pod, "different pods", "memory=1073741825"),
    (shrink_node, "different nodes", "n0"),
    (forget_node, "missed nodes", "n0"),
    (change_workload, "different workloads", "web"),
    (drift_on_node, "sum book", "node n0"),
    (drift_in_owner, "sum book", "live pods"),
    (drift_in_lens, "sum book", "a set of 1 nodes"),
    (drift_in_register, "sum book", "and should"),
    (leave_holding, "sum book", "nobody"),
    (miscount_pod, "sum book", "is counted as"),
]


@pytest.mark.parametrize(
    ("corrupt", "what", "words"), CORRUPTIONS, ids=[each[0].__name__ for each in CORRUPTIONS]
)
def test_what_is_off_is_named(
    world: World, corrupt: Callable[[View], None], what: str, words: str
) -> None:
    corrupt(world.view)
    report = compared(world)
    assert not report.exact
    named = [line for line in str(report).splitlines() if line.startswith(what) and words in line]
    assert named, str(report)
    assert str(compared(world)) == str(report), "looking mends nothing"


def test_a_report_is_of_bounded_length(world: World) -> None:
    for index in range(100):
        world.put("pod", {"name": f"p{index}", "memory": "1Mi", "node": "n0"})
    shown = world.shown.pop("pods")
    report = compared(world)
    assert len(report.differences) == len(shown) == 102
    assert str(report).splitlines()[-1] == "and 82 more"


def test_finished_pods_are_no_rows(world: World) -> None:
    world.put("pod", {"name": "a", "memory": "1Gi", "node": "n0", "phase": "Succeeded"})
    assert decoded("pod", {"name": "x"}).kind == "Pod"
    assert compared(world).exact
