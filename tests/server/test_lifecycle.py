"""Draining and readiness as pure state: time is an argument."""

from kube_headroom.server.lifecycle import Condition, Drain, Readiness


def _drain() -> Drain:
    return Drain(quiet_seconds=10, max_seconds=45)


def test_it_serves_until_ten_quiet_seconds_have_passed() -> None:
    drain = _drain()
    drain.begin(now=100)
    assert drain.seconds_left(100, in_flight=0) == 10
    drain.review_came(now=107)
    assert drain.seconds_left(109, in_flight=0) == 8
    assert drain.seconds_left(117, in_flight=0) == 0


def test_it_serves_no_longer_than_the_maximum() -> None:
    drain = _drain()
    drain.begin(now=100)
    drain.review_came(now=144)
    assert drain.seconds_left(144, in_flight=3) == 1
    assert drain.seconds_left(145, in_flight=3) == 0


def test_an_answer_under_way_is_waited_for() -> None:
    drain = _drain()
    drain.begin(now=100)
    assert 0 < drain.seconds_left(120, in_flight=1) < 1


def test_a_second_stop_does_not_start_the_time_anew() -> None:
    drain = _drain()
    drain.begin(now=100)
    drain.begin(now=140)
    assert drain.seconds_left(141, in_flight=0) == 0


def test_what_is_missing_is_said_in_order_and_draining_is_not_ready() -> None:
    drain = _drain()
    lacks: dict[str, str | None] = {"watches": "not synced: pods", "policy": None}
    readiness = Readiness([Condition(name, lambda name=name: lacks[name]) for name in lacks], drain)
    assert not readiness.ready
    assert readiness.missing() == {"shutdown": None, **lacks}
    lacks["watches"] = None
    assert readiness.ready
    drain.begin(now=0)
    assert readiness.missing()["shutdown"] == "shutting down"
    assert not readiness.ready
