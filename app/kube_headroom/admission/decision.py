"""The decision: what was decided, and all that its message, its answer and its record need."""

from typing import Literal, Protocol

import msgspec

from kube_headroom.policy.scope import Effect

OutcomeName = Literal["allow", "deny", "warn", "exempt", "skip"]
"""allow: nothing to say; warn: allowed with findings; exempt: freed; skip: not ours to judge."""


class Finding(msgspec.Struct, frozen=True):
    """One problem, worded for people; `more` are further lines below the first."""

    code: str
    effect: Effect
    message: str
    container: str | None = None
    path: str = ""
    more: tuple[str, ...] = ()
    existed: bool = False
    """It was there before this update: said again, not refused."""


class Decision(msgspec.Struct, frozen=True):
    """The verdict on one request."""

    uid: str
    operation: str
    kind: str
    subresource: str
    namespace: str
    name: str
    object_uid: str
    allowed: bool
    outcome: OutcomeName
    dry_run: bool = False
    mode: str = ""
    findings: tuple[Finding, ...] = ()
    remedy: str = ""
    """A command, or a field to set, that would mend what is missing."""
    exemption: str = ""
    charge: Literal["", "promised", "recorded", "unpromised"] = ""
    policy: str = ""
    """The hash of the policy that decided."""

    @property
    def charged(self) -> bool:
        """Whether a promise was made."""
        return self.charge == "promised"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all findings, each once, sorted."""
        if not self.findings:
            return ()
        return tuple(sorted({finding.code for finding in self.findings}))


class Recorder(Protocol):
    """Whoever counts and logs decisions."""

    def decided(self, decision: Decision, seconds: float) -> None:
        """Take note of a decision and how long it took."""
