"""What a scrape asks, answered from the parts that know."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from kube_headroom.admission.ledger_access import Figures
from kube_headroom.admission.reviewer import Reviewer
from kube_headroom.capacity.node import EVERYTHING
from kube_headroom.capacity.view import View
from kube_headroom.resources.amounts import KUBERNETES_NAMES
from kube_headroom.server.certificates import Served
from kube_headroom.server.lifecycle import Readiness
from kube_headroom.server.metrics import RoomFigure
from kube_headroom.server.validate import Validate


@dataclass(frozen=True, slots=True)
class ServiceSources:
    """The parts of one process."""

    validate: Validate
    readiness: Readiness
    view: View
    reviewer: Reviewer
    certificate: Served
    clock: Callable[[], float]
    ledger: Figures | None = None

    def in_flight(self) -> int:
        """Reviews being judged."""
        return self.validate.in_flight

    def ready(self) -> bool:
        """Whether reviews should come here."""
        return self.readiness.ready

    def watch_ages(self) -> Mapping[str, float]:
        """Seconds since each type's last sign of life; types never listed are not there."""
        ages = self.view.ages(self.clock())
        return {resource: age for resource, age in ages.items() if isfinite(age)}

    def rooms(self) -> Iterator[RoomFigure]:
        """The sums over all available nodes, reserves not taken off."""
        nodes, register = self.view.book.nodes, self.view.book.register
        available = nodes.available
        lens = nodes.lens(available, EVERYTHING)
        held = register.within(lambda one: _lands_in(nodes.eligible(one.placement), available))
        offers = {"requests": lens.allocatable, "limits": nodes.maximums.of(lens.allocatable)}
        for basis, offered in offers.items():
            left = getattr(lens.free, basis).minus(getattr(held.total, basis))
            for name, kubernetes_name in KUBERNETES_NAMES.items():
                limit, headroom = getattr(offered, name), getattr(left, name)
                if limit:  # pods have no limits
                    yield RoomFigure(kubernetes_name, basis, limit, limit - headroom, headroom)

    def policy_hash(self) -> str:
        """The hash of the policy in force."""
        return self.reviewer.policy_hash

    def certificate_seconds(self) -> float:
        """Seconds until the served certificate expires."""
        return (self.certificate.not_after - datetime.now(UTC)).total_seconds()

    def open_promises(self) -> int:
        """Promises that the view does not show yet."""
        return len(self.view.ledger)

    def ledger_figures(self) -> Figures | None:
        """What was written to the shared ledger."""
        return self.ledger


def _lands_in(eligible: int, nodes: int) -> bool:
    """Whether it can land somewhere, and only in these nodes."""
    return eligible != 0 and eligible & ~nodes == 0
