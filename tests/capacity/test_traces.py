"""Rules of the ledger that one process with a lagging view needs: without each, room is offered twice.

Each trace ends with a question for a pod that there is no room for: what was promised, or already
landed unseen, needs it. Under the naive reading it is let in.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.ledger import Ledger
from kube_headroom.capacity.owners import Owners
from kube_headroom.capacity.roots import Group
from kube_headroom.capacity.rules import capacity_rules
from kube_headroom.capacity.view import View
from tests.capacity.world import World, decoded, headroom

RULES = capacity_rules(headroom())


class OneRowAnObject(Ledger):
    """Naive: an event of an object settles all that was promised of it."""

    def saw(self, uid: str, resource_version: int) -> None:
        rows = tuple(self._of_uid.get(uid, ()))
        if rows and resource_version > min(row.base for row in rows):
            for row in rows:
                self.drop(row)


class ExpiresByTime(Ledger):
    """Naive: what is old has failed."""

    def expire(self, resource: str, resource_version: int) -> int:
        return super().expire(resource, 2**63)


class AbsentMeansGone(View):
    """Naive: what a list does not show is over."""

    def end_list(self, resource: str, resource_version: str, now: float) -> None:
        shown = set(self._shown[resource])
        super().end_list(resource, resource_version, now)
        for promise in tuple(self.ledger):
            if promise.resource == resource and promise.uid not in shown:
                self.ledger.drop(promise)


class OwnDesireOnly(Book):
    """Naive: a Deployment speaks for its ReplicaSets whatever they ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.owners.__class__ = ChildlessOwners


class ChildlessOwners(Owners):
    """Nobody has anything below him."""

    def below(self, root: Group) -> list[Group]:
        return [root]


def new_world(
    view: type[View] = View, book: type[Book] = Book, ledger: type[Ledger] = Ledger
) -> World:
    """A world of one node of 4Gi, some of whose parts may be naive."""
    world = World()
    world.view = view()
    world.view.book = world.book = book()
    world.view.ledger = world.ledger = ledger(world.book, promise_seconds=75)
    world.view.tick(world.now)
    world.put("node", {"name": "a", "memory": "4Gi"})
    return world


def an_earlier_event_settles_no_later_update(world: World) -> None:
    """L3: up to 2 lands, up to 4 is promised on top of it; the view is shown the first."""
    stateful = {"name": "db", "memory": "1Gi"}
    world.put("statefulset", stateful | {"replicas": 1})
    world.allow(decoded("statefulset", stateful | {"replicas": 2}))
    first = world.next_version()
    later = world.promise(decoded("statefulset", stateful | {"replicas": 4}))
    world.ledger.add(msgspec.structs.replace(later, base=first), world.now)
    world.show(decoded("statefulset", stateful | {"replicas": 2}, first))


def absence_settles_no_create(world: World) -> None:
    """L5: the list was read before the create landed."""
    world.allow(decoded("deployment", {"name": "web", "memory": "1Gi", "replicas": 4}))
    world.relist("deployments", [])


def old_is_not_failed(world: World) -> None:
    """L7: the create landed at once; the view has not come so far when its time is over."""
    world.allow(decoded("deployment", {"name": "web", "memory": "1Gi", "replicas": 4}))
    landed = world.next_version()
    world.wait(80)
    world.ledger.prove("deployments", landed, world.now)
    world.ledger.expire("deployments", landed - 1)


def a_root_holds_what_its_children_ask_for(world: World) -> None:
    """L13: scaled from 4 to 1; before its ReplicaSet follows, it may be orphaned and stay at 4."""
    web = {"name": "web", "memory": "1Gi"}
    world.put("deployment", web | {"replicas": 4})
    world.put("replicaset", web | {"name": "rs", "replicas": 4, "owner": "deployment/web"})
    world.put("deployment", web | {"replicas": 1})


Trace = Callable[[World], None]
TRACES: list[tuple[Trace, dict[str, type]]] = [
    (an_earlier_event_settles_no_later_update, {"ledger": OneRowAnObject}),
    (absence_settles_no_create, {"view": AbsentMeansGone}),
    (old_is_not_failed, {"ledger": ExpiresByTime}),
    (a_root_holds_what_its_children_ask_for, {"book": OwnDesireOnly}),
]
BY_NAME = pytest.mark.parametrize(
    ("trace", "naive"), TRACES, ids=[trace.__name__ for trace, _ in TRACES]
)


@BY_NAME
def test_the_naive_rule_offers_room_twice(trace: Trace, naive: dict[str, type]) -> None:
    world = new_world(**naive)
    trace(world)
    assert _is_let_in(world)


@BY_NAME
def test_the_rule_does_not(trace: Trace, naive: dict[str, type]) -> None:
    world = new_world()
    trace(world)
    assert not _is_let_in(world)


def _is_let_in(world: World) -> bool:
    promise = world.promise(decoded("pod", {"name": "rival", "memory": "1Gi"}))
    return shortfalls(world.book, promise, RULES) == ()
