"""Whether this process should be asked: readiness before, draining at the end. Pure state.

Liveness is not here: a process whose loop answers is alive, whatever the API server does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What is missing for readiness, or None.
Missing = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold before reviews are sent here."""

    name: str
    missing: Missing


class Drain:
    """The end of serving: no longer ready, but answering until the API servers have moved on.

    The server still listens: endpoints lag, and a review on a refused connection is a failed one.
    """

    def __init__(self, *, quiet_seconds: float, max_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._max_seconds = max_seconds
        self._began: float | None = None
        self._last_review = 0.0

    @property
    def begun(self) -> bool:
        """True once the process was asked to stop: every answer closes its connection."""
        return self._began is not None

    def begin(self, now: float) -> None:
        """The process was asked to stop."""
        if self._began is None:
            self._began = self._last_review = now

    def review_came(self, now: float) -> None:
        """A review came in although we are leaving: someone has not noticed yet."""
        self._last_review = now

    def seconds_left(self, now: float, *, in_flight: int) -> float:
        """How long to go on serving; 0 when nobody is left or the time is up."""
        if self._began is None:
            return self._max_seconds
        to_the_end = self._began + self._max_seconds - now
        to_quiet = self._last_review + self._quiet_seconds - now
        if in_flight:
            to_quiet = max(to_quiet, 0.1)  # look again soon: an answer is on its way
        return max(0.0, min(to_the_end, to_quiet))


class Readiness:
    """All conditions together; what is missing is always said by name."""

    def __init__(self, conditions: Sequence[Condition], drain: Drain) -> None:
        self._conditions = (
            Condition("shutdown", lambda: "shutting down" if drain.begun else None),
            *conditions,
        )

    def missing(self) -> dict[str, str | None]:
        """Every condition in order, with what it lacks."""
        return {condition.name: condition.missing() for condition in self._conditions}

    @property
    def ready(self) -> bool:
        """True when nothing is missing."""
        return not any(condition.missing() for condition in self._conditions)
