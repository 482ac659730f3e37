"""Waiting returns as soon as it can and fails with what it saw."""

from __future__ import annotations

import pytest

from tests.controlplane.waiting import WaitedInVainError, wait_until


def test_the_first_truthy_value_is_returned() -> None:
    values = iter([None, 0, "there"])
    assert wait_until(lambda: next(values), 5, "a value", poll_seconds=0) == "there"


def test_a_failed_assertion_means_not_yet() -> None:
    answers = iter([False, True])

    def answered() -> bool:
        assert next(answers), "no answer"
        return True

    assert wait_until(answered, 5, "an answer", poll_seconds=0)


def test_the_failure_names_what_was_awaited_and_last_seen() -> None:
    with pytest.raises(WaitedInVainError, match=r"waited 0 s in vain for 3 pods; last seen: \[\]"):
        wait_until(list, 0, "3 pods")


def test_other_errors_are_not_waited_out() -> None:
    def broken() -> bool:
        raise KeyError("status")

    with pytest.raises(KeyError):
        wait_until(broken, 5, "anything")
