"""What is kept of a decision: its figures and one line in the log. Never the object itself."""

import logging
from typing import Final, Protocol

from kube_headroom.admission.decision import Decision
from kube_headroom.server.logging import FIELDS

# What is not judged yet may be anything; no name in Kubernetes is longer.
MAX_NAME: Final = 253


class Figures(Protocol):
    """Counts decisions."""

    def decided(self, decision: Decision, seconds: float) -> None:
        """One more, and how long it took."""
        ...


class DecisionRecorder:
    """Counts each decision, and logs it: at level info if there is anything to say, else debug.

    Nearly all reviews are allowed without a word, in a big cluster hundreds a second.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._log = logging.getLogger("kube_headroom.decisions")

    def decided(self, decision: Decision, seconds: float) -> None:
        """Take note of a decision and how long it took."""
        self._figures.decided(decision, seconds)
        said = decision.findings or decision.charge == "unpromised"
        level = logging.INFO if said else logging.DEBUG
        if self._log.isEnabledFor(level):
            self._log.log(level, "decision", extra={FIELDS: _fields(decision, seconds)})


def _fields(decision: Decision, seconds: float) -> dict[str, object]:
    return {
        "outcome": decision.outcome,
        "operation": decision.operation,
        "kind": decision.kind[:MAX_NAME],
        "subresource": decision.subresource[:MAX_NAME],
        "namespace": decision.namespace[:MAX_NAME],
        "name": decision.name[:MAX_NAME],
        "uid": decision.uid[:MAX_NAME],
        "object_uid": decision.object_uid[:MAX_NAME],
        "codes": decision.codes,
        "mode": decision.mode,
        "exemption": decision.exemption[:MAX_NAME],
        "policy": decision.policy,
        "dry_run": decision.dry_run,
        "charge": decision.charge,
        "ms": round(seconds * 1000, 3),
    }
