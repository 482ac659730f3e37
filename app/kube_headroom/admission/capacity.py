"""Capacity: whether there is room for what a request declares more, and the promise of it."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.message import shortfall_finding
from kube_headroom.admission.promiser import Promiser
from kube_headroom.admission.subject import Subject
from kube_headroom.capacity.headroom import Shortfall, shortfalls
from kube_headroom.capacity.rules import Rules
from kube_headroom.capacity.view import View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.policy.scope import Scope

Charge = Literal["", "promised", "recorded", "unpromised"]


UNBOUND_SECONDS: Final = 1.25
"""Of which a shared ledger uses 40 %: what cannot be refused is not delayed beyond 500 ms."""


class Terms(msgspec.Struct, frozen=True):
    """On which terms a request is judged for capacity."""

    scope: Scope
    rules: Rules
    binding: bool
    """Whether a shortfall may refuse it; else it is told, counted and let through."""
    promise: bool
    """Whether it is to be promised: not in a dry run, nor when it is refused anyway."""
    refused: bool
    timeout_seconds: float
    """The caller's patience."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    findings: tuple[Finding, ...] = ()
    charge: Charge = ""


NOTHING_SHORT: Final = Outcome()


class CapacityJudge:
    """Judges requests that declare more, on a view that is current."""

    def __init__(self, view: View, promiser: Promiser, clock: Callable[[], float]) -> None:
        self._view = view
        self._promiser = promiser
        self._clock = clock

    def judge(self, subject: Subject, terms: Terms) -> Outcome:
        """Return the shortfalls of what is not to be promised.

        Raises ClusterUnavailable if the answer depends on a view that is not current.
        """
        stale = self._view.stale(self._clock())
        if stale:
            return self._unjudged_by(stale, terms)
        found = shortfalls(self._view.book, subject.promise, terms.rules)
        return Outcome(_findings(found, subject, terms)) if found else NOTHING_SHORT

    async def promise(self, subject: Subject, terms: Terms) -> Outcome:
        """Return the shortfalls, having promised what is allowed.

        Raises ClusterUnavailable if the answer depends on a view that is not current, or on a
        ledger that cannot be written in time.
        """
        stale = self._view.stale(self._clock())
        if stale:
            return self._unjudged_by(stale, terms)

        def find() -> tuple[Shortfall, ...]:
            return shortfalls(self._view.book, subject.promise, terms.rules)

        def find_current() -> tuple[Shortfall, ...]:
            self._check_template(subject)
            return find()

        def refuses(found: tuple[Shortfall, ...]) -> bool:
            return terms.binding and any(
                terms.scope.cap(each.action) == "enforce" for each in found
            )

        try:
            found = await self._promiser.promise(
                subject.promise, find_current, refuses, timeout_seconds=self._patience(terms)
            )
        except ClusterUnavailable as error:
            outcome = self.unjudged(terms, str(error))
            return Outcome(_findings(find(), subject, terms), outcome.charge)
        charge: Charge = "" if refuses(found) else "promised"
        return Outcome(_findings(found, subject, terms), charge)

    def _unjudged_by(self, stale: tuple[str, ...], terms: Terms) -> Outcome:
        return self.unjudged(terms, f"the view is not current: {', '.join(stale)}")

    def _patience(self, terms: Terms) -> float:
        """Return how long to wait for the promise: what is allowed in any case waits little."""
        binding = terms.binding and terms.scope.mode == "enforce"
        return terms.timeout_seconds if binding else min(terms.timeout_seconds, UNBOUND_SECONDS)

    def _check_template(self, subject: Subject) -> None:
        """Raise ClusterUnavailable if a Scale was read beside a template that another has replaced.

        A Scale shows no template: the view's, or the newest that is promised, was taken. Another
        replica may have promised a larger one, which is known here only now.
        """
        promise = subject.promise
        latest = self._view.book.latest(promise.uid) if subject.pod is None else promise.version
        asked = msgspec.structs.replace(promise.version, count=0)
        if latest is None or msgspec.structs.replace(latest, count=0) != asked:
            raise ClusterUnavailable("the workload of this Scale changes at this moment")

    async def record(self, subject: Subject) -> Outcome:
        """Promise without judging: what a controller carries out is known, never refused."""
        try:
            await self._promiser.promise(
                subject.promise, tuple, lambda _: False, timeout_seconds=UNBOUND_SECONDS
            )
        except ClusterUnavailable:
            return Outcome(charge="unpromised")
        return Outcome(charge="recorded")

    def unjudged(self, terms: Terms, why: str) -> Outcome:
        """Return what comes of a request that cannot be judged now, and is allowed in any case.

        Raises ClusterUnavailable if it could be refused.
        """
        enforced = terms.rules.fit == "enforce" or any(
            rule.action == "enforce" for rule in terms.rules.sums
        )
        if terms.binding and enforced and not terms.refused and terms.scope.mode == "enforce":
            raise ClusterUnavailable(why)
        return Outcome(charge="unpromised" if terms.promise else "")


def _findings(found: tuple[Shortfall, ...], subject: Subject, terms: Terms) -> tuple[Finding, ...]:
    effects = ((each, terms.scope.cap(each.action)) for each in found)
    return tuple(
        shortfall_finding(
            each,
            "warn" if effect == "enforce" and not terms.binding else effect,
            replicas=subject.replicas,
        )
        for each, effect in effects
        if effect != "off"
    )
