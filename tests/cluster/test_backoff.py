"""How long the loops wait."""

from kube_headroom.cluster.backoff import Backoff, BackoffSettings


def waits(backoff: Backoff, count: int, **how) -> list[float]:
    """Return the waits after count failures, each at the end of the wait before."""
    now, seen = 0.0, []
    for _ in range(count):
        seen.append(backoff.after_failure(now, **how))
        now += seen[-1]
    return seen


def test_waits_double_from_0_8_to_30_seconds_less_up_to_half():
    for wait, full in zip(
        waits(Backoff(), 8), (0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30), strict=True
    ):
        assert full / 2 <= wait <= full


def test_an_unreachable_server_is_tried_at_least_every_5_seconds():
    assert max(waits(Backoff(), 10, unreachable=True)) <= 5


def test_errors_of_a_server_that_boots_do_not_delay_beyond_5_seconds():
    """Right after the port opens the API server answers 403 and 500 for a while."""
    backoff = Backoff()
    waits(backoff, 10, unreachable=True)
    assert backoff.after_failure(50) <= 5


def test_two_healthy_minutes_start_over():
    backoff = Backoff()
    waits(backoff, 8)
    assert backoff.after_failure(1000) <= 0.8


def test_what_the_server_asks_for_is_the_least():
    assert Backoff().after_failure(0, at_least=7) == 7


def test_what_the_server_asks_for_is_not_believed_beyond_the_most():
    assert Backoff(BackoffSettings(most_seconds=3)).after_failure(0, at_least=3600) == 3
