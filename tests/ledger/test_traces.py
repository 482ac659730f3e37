"""Each rule of the protocol by the trace that asks for it: over-committed without it, safe with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.asking import Naive
from tests.ledger.cluster import made
from tests.ledger.protocol import Play

Trace = Callable[[Play], None]


def merged_bases_settle_too_early(play: Play) -> None:
    """L3: two updates of one object; the first one's event must not settle the second."""
    play.do("deployments", "a", 1)
    play.deliver_all()
    play.do("deployments", "a", 2, by=1)
    first, second = play.replicas
    # The second update is judged before the first one's event is seen.
    third = play.update("deployments", "a", 3)
    play.ask(third, 1)
    play.land(third)
    first.follower.deliver("deployments", 1)
    second.follower.deliver("deployments", 1)
    play.do("pods", "b", by=1)


def gone_is_not_yet(play: Play) -> None:
    """L5: a view that has moved on and shows nothing of a create cannot say that it is over."""
    created = play.create("deployments", "a", 2)
    play.ask(created, 0)
    other = play.create("deployments", "zero", 0)
    play.ask(other, 0)
    play.land(other)
    play.deliver_all()
    play.do("deployments", "b", 2)
    play.land(created)


def dropped_rows_are_not_in_every_view(play: Play) -> None:
    """L6: one replica saw the object and dropped the row; the other has neither."""
    play.do("deployments", "a", 3)
    first, second = play.replicas
    first.follower.deliver("deployments")
    first.sweep()
    second.hear()
    play.do("pods", "b", by=1)


def a_list_is_no_event(play: Play) -> None:
    """L6, the other way round: a quiet type's watermark is one that every replica has reached."""
    play.do("deployments", "a", 1)
    play.deliver_all()
    first, second = play.replicas
    play.do("pods", "p")
    first.follower.relist("deployments")
    first.follower.deliver("pods")
    first.sweep()
    second.hear()
    second.follower.deliver("pods")
    assert play.do("pods", "q", by=1) == "allowed"
    assert play.do("pods", "r", by=1) == "refused"


def old_is_not_over(play: Play) -> None:
    """L7: a create that landed long ago may be missing in a view that is stuck."""
    play.do("deployments", "a", 3)
    play.wait(76)
    for replica in play.replicas:
        replica.question()
        replica.sweep()
        replica.hear()
    play.do("pods", "b", by=1)


def a_deleted_ledger_is_a_loss(play: Play) -> None:
    """L9: what stood in it may still land."""
    created = play.create("deployments", "a", 3)
    play.ask(created, 0)
    play.cluster.ledger = None
    for replica in play.replicas:
        replica.in_doubt = True
    play.do("pods", "b", by=1)
    play.land(created)


def a_row_may_be_about_to_expire(play: Play) -> None:
    """L11: the same update, asked for again by another request, must last as long as a new one."""
    play.do("deployments", "a", 1)
    play.deliver_all()
    lost = play.update("deployments", "a", 3)
    play.ask(lost, 0)
    play.fail(lost)
    play.wait(74)
    again = play.update("deployments", "a", 3)
    play.replicas[1].hear()
    assert play.ask(again, 1) == "allowed"
    play.wait(2)
    for replica in play.replicas:
        replica.question()
        for resource in replica.follower.seen:
            replica.follower.bookmark(resource)
        replica.question()
        replica.sweep()
        replica.hear()
    play.do("deployments", "b", 2)
    play.land(again)


def a_child_is_not_seen_yet(play: Play) -> None:
    """L12: the ReplicaSet is at 3, its Deployment at 1 again, and only the latter is in the views."""
    play.do("deployments", "a", 3)
    child = play.create("replicasets", "rs", 3, owner="a")
    play.ask(child, 0)
    play.land(child)
    play.do("deployments", "a", 1)
    play.deliver_all("deployments", "pods")
    play.do("deployments", "b", 2)


def a_child_asks_for_more_than_its_parent(play: Play) -> None:
    """L13: scaled from 3 to 1, a Deployment may lose its ReplicaSet before that has followed."""
    play.do("deployments", "a", 3)
    child = play.create("replicasets", "rs", 3, owner="a")
    play.ask(child, 0)
    play.land(child)
    play.deliver_all()
    play.do("deployments", "a", 1)
    play.deliver_all()
    play.do("deployments", "b", 2)
    play.deliver_all()
    play.cluster.put("replicasets", made("replicasets", "rs", 3))
    play.cluster.delete("deployments", "a")


TRACES = [
    (a_child_is_not_seen_yet, Naive(no_child_rows=True), 3),
    (a_child_asks_for_more_than_its_parent, Naive(blind_to_children=True), 3),
    (merged_bases_settle_too_early, Naive(merged_bases=True), 3),
    (gone_is_not_yet, Naive(gone_settles=True), 3),
    (dropped_rows_are_not_in_every_view, Naive(no_watermarks=True), 3),
    (old_is_not_over, Naive(timed_expiry=True, no_watermarks=True), 3),
    (a_deleted_ledger_is_a_loss, Naive(forgets_losses=True), 3),
    (a_row_may_be_about_to_expire, Naive(never_renews=True), 3),
]


@pytest.mark.parametrize(
    ("trace", "naive", "room"), TRACES, ids=lambda each: getattr(each, "__name__", "")
)
def test_without_its_rule_the_trace_over_commits(trace: Trace, naive: Naive, room: int) -> None:
    play = Play(room, naive=naive)
    trace(play)
    assert play.is_over_committed


@pytest.mark.parametrize(
    ("trace", "naive", "room"), TRACES, ids=lambda each: getattr(each, "__name__", "")
)
def test_with_it_the_trace_is_safe(trace: Trace, naive: Naive, room: int) -> None:
    play = Play(room)
    trace(play)
    assert not play.is_over_committed


def test_a_watermark_is_one_that_every_replica_can_reach() -> None:
    a_list_is_no_event(Play(3))
