"""How long to wait after a failure, with the numbers of client-go.

One class for every loop that talks to the API server, so that none of them becomes a hot loop and
none of them sleeps through a server's restart.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """The waits, in seconds."""

    first_seconds: float = 0.8
    most_seconds: float = 30.0
    unreachable_most_seconds: float = 5.0
    """The cap while nobody listens: knocking is cheap, and a restarted server is met at once."""
    boot_seconds: float = 60.0
    """How long after an unreachable server that cap holds: one that boots answers errors first."""
    healthy_seconds: float = 120.0
    """After so long without a failure the next one counts as the first."""


class Backoff:
    """Doubles from failure to failure; each wait is cut by up to half at random."""

    def __init__(self, settings: BackoffSettings = BackoffSettings()) -> None:
        self._settings = settings
        self._seconds = 0.0
        self._failed_at = float("-inf")
        self._unreachable_at = float("-inf")

    def healthy(self, now: float) -> bool:
        """Say whether the last failure is so long ago that it no longer counts."""
        return now - self._failed_at >= self._settings.healthy_seconds

    def after_failure(
        self, now: float, *, unreachable: bool = False, at_least: float = 0.0
    ) -> float:
        """Return how many seconds to wait; at_least is what the server asked for."""
        settings = self._settings
        if self.healthy(now):
            self._seconds = 0.0
        self._failed_at = now
        if unreachable:
            self._unreachable_at = now
        booting = now - self._unreachable_at < settings.boot_seconds
        most = settings.unreachable_most_seconds if booting else settings.most_seconds
        self._seconds = min(most, max(settings.first_seconds, 2 * self._seconds))
        jittered = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
        return max(jittered, min(at_least, settings.most_seconds))
