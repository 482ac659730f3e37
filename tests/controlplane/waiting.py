"""Waiting for a condition with a deadline, so that no test ever sleeps for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

# Short against what is waited for (kubectl alone takes about 100 ms), long against a busy loop.
POLL_SECONDS = 0.1


class WaitedInVainError(AssertionError):
    """The deadline passed; the message says what was awaited and what was last seen."""


def wait_until(
    fn: Callable[[], Value | None], timeout: float, what: str, *, poll_seconds: float = POLL_SECONDS
) -> Value:
    """Call `fn` until its value is truthy and return that value; fail after `timeout` seconds.

    An AssertionError raised by `fn` counts as "not yet": its text is the last value seen.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = fn()
        except AssertionError as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() >= deadline:
            raise WaitedInVainError(f"waited {timeout:g} s in vain for {what}; last seen: {last!r}")
        time.sleep(poll_seconds)
