"""What is kept of a decision: its figures and one line in the log. Never the object itself."""

import logging
from functools import partial
from typing import Protocol

import msgspec

from kube_headroom.admission.decision import Decision
from kube_headroom.server.logging import FIELDS, LineBatch, Stamps

# What is not judged yet may be anything; no name in Kubernetes is longer.
MAX_NAME = 253


class Figures(Protocol):
    """Counts decisions."""

    def decided(self, decision: Decision) -> None:
        """One more."""
        ...


class DecisionLine(msgspec.Struct, frozen=True, gc=False):
    """One line of the log; the order of the fields is the order in the line."""

    time: str
    level: str
    logger: str
    message: str
    outcome: str
    operation: str
    kind: str
    subresource: str
    namespace: str
    name: str
    uid: str
    object_uid: str
    codes: tuple[str, ...]
    mode: str
    exemption: str
    policy: str
    dry_run: bool
    charge: str
    ms: float


class DecisionRecorder:
    """Counts and logs each decision, at a few microseconds apiece."""

    def __init__(self, figures: Figures, batch: LineBatch | None) -> None:
        """Without a batch the lines go through the ordinary log, as text."""
        self._figures = figures
        self._batch = batch
        self._log = logging.getLogger("kube_headroom.decisions")
        self._stamps = Stamps()
        self._encode = msgspec.json.Encoder().encode

    def decided(self, decision: Decision) -> None:
        """Count it; log it at level info."""
        if not self._log.isEnabledFor(logging.INFO):
            self._figures.decided(decision)
        elif self._batch is not None:
            self._batch.add(partial(self._counted, decision, self._stamps.now()))
        else:
            self._figures.decided(decision)
            fields = msgspec.structs.asdict(_line_of(decision, ""))
            for name in ("time", "level", "logger", "message"):
                del fields[name]
            self._log.info("decision", extra={FIELDS: fields})

    def _counted(self, decision: Decision, time: str) -> str:
        self._figures.decided(decision)
        return self._encode(_line_of(decision, time)).decode()


def _line_of(decision: Decision, time: str) -> DecisionLine:
    return DecisionLine(
        time=time,
        level="info",
        logger="kube_headroom.decisions",
        message="decision",
        outcome=decision.outcome,
        operation=decision.operation[:MAX_NAME],
        kind=decision.kind[:MAX_NAME],
        subresource=decision.subresource[:MAX_NAME],
        namespace=decision.namespace[:MAX_NAME],
        name=decision.name[:MAX_NAME],
        uid=decision.uid[:MAX_NAME],
        object_uid=decision.object_uid[:MAX_NAME],
        codes=decision.codes,
        mode=decision.mode,
        exemption=decision.exemption[:MAX_NAME],
        policy=decision.policy,
        dry_run=decision.dry_run,
        charge=decision.charge,
        ms=round(decision.seconds * 1000, 3),
    )
