"""The process's figures for Prometheus, in a registry of their own.

Label values form closed sets: whatever a stranger sends, the number of series is bounded. Counters
of the request path are bound once; what is a state of others is read from them at the scrape.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kube_headroom.admission.ledger_access import Figures
from kube_headroom.server.review_series import ReviewSeries

REASONS = frozenset(
    [
        "too_large",
        "too_many_bodies",
        "too_many_in_flight",
        "sender_gone",
        "slow_sender",
        "too_many_bytes",
        "unreadable_http",
        "client_name",
        "malformed",
        "unavailable",
        "internal_error",
    ]
)


@dataclass(frozen=True, slots=True)
class RoomFigure:
    """One resource and basis over all nodes that count: what there is and what is promised away."""

    resource: str
    basis: str
    allocatable: float
    committed: float
    headroom: float


class Sources(Protocol):
    """Whom the gauges ask at a scrape, on the event loop: answers must be quick."""

    def in_flight(self) -> int:
        """Reviews being judged."""
        ...

    def ready(self) -> bool:
        """Whether reviews should come here."""
        ...

    def watch_ages(self) -> Mapping[str, float]:
        """Seconds since the last progress of each watched type."""
        ...

    def rooms(self) -> Iterable[RoomFigure]:
        """The book's sums, over all nodes that take new pods."""
        ...

    def policy_hash(self) -> str:
        """The hash of the policy in force; empty when there is none."""
        ...

    def certificate_seconds(self) -> float:
        """Seconds until the served certificate expires."""
        ...

    def open_promises(self) -> int:
        """Promises that the view does not show yet."""
        ...

    def ledger_figures(self) -> Figures | None:
        """What was written to the shared ledger; None without one."""
        ...


class Metrics:
    """Counters of the request path, and gauges that are filled at the scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reviews = ReviewSeries()
        self.registry.register(self._reviews)
        self.decided = self._reviews.decided
        rejections = Counter(
            "kube_headroom_http_rejections",
            "Requests that were not judged, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._rejections = {reason: rejections.labels(reason) for reason in sorted(REASONS)}
        self._policy_faults = Counter(
            "kube_headroom_policy_rejected",
            "Policies seen that could not be used; the last good one stayed in force.",
            registry=self.registry,
        )

    def rejected(self, reason: str) -> None:
        """One more request was not judged."""
        self._rejections[reason].inc()

    def policy_rejected(self) -> None:
        """One more policy could not be used."""
        self._policy_faults.inc()


class Scrape:
    """The answer to `GET /metrics`: states are read on the loop, the text is made in a thread."""

    def __init__(self, registry: CollectorRegistry, sources: Sources) -> None:
        self._registry = registry
        self._sources = sources
        self._plain = {
            name: Gauge(f"kube_headroom_{name}", text, registry=registry)
            for name, text in _PLAIN_GAUGES
        }
        self._ages = Gauge(
            "kube_headroom_watch_age_seconds",
            "Time since a watched type last showed progress.",
            ("resource",),
            registry=registry,
        )
        self._rooms = {
            name: Gauge(f"kube_headroom_{name}", text, ("resource", "basis"), registry=registry)
            for name, text in _ROOM_GAUGES
        }
        self._ledger = _LedgerSeries()
        registry.register(self._ledger)
        self._policy = Info("kube_headroom_policy", "The policy in force.", registry=registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    async def render(self) -> bytes:
        """All series as text."""
        self._read_sources()
        # 1000 series take 17 ms: not on the loop.
        return await asyncio.to_thread(generate_latest, self._registry)

    def _read_sources(self) -> None:
        sources = self._sources
        self._plain["in_flight_reviews"].set(sources.in_flight())
        self._plain["ready"].set(sources.ready())
        self._plain["certificate_expiry_seconds"].set(sources.certificate_seconds())
        self._plain["open_promises"].set(sources.open_promises())
        self._ledger.figures = sources.ledger_figures()
        for resource, seconds in sources.watch_ages().items():
            self._ages.labels(resource).set(seconds)
        for figure in sources.rooms():
            labels = (figure.resource, figure.basis)
            self._rooms["allocatable"].labels(*labels).set(figure.allocatable)
            self._rooms["committed"].labels(*labels).set(figure.committed)
            self._rooms["headroom"].labels(*labels).set(figure.headroom)
        self._policy.info({"hash": sources.policy_hash()})


class _LedgerSeries(Collector):
    """The shared ledger's figures as they are; no series where there is no such ledger."""

    def __init__(self) -> None:
        self.figures: Figures | None = None

    def collect(self) -> Iterator[Metric]:
        figures, name = self.figures, "kube_headroom_ledger"
        if figures is None:
            return
        yield CounterMetricFamily(f"{name}_commits", "Writes of this replica.", figures.commits)
        yield CounterMetricFamily(
            f"{name}_conflicts", "Writes that another replica's came before.", figures.conflicts
        )
        yield CounterMetricFamily(
            f"{name}_full", "Promises that found no place in it.", figures.full
        )
        yield GaugeMetricFamily(f"{name}_rows", "Promises of all replicas in it.", figures.rows)
        yield GaugeMetricFamily(f"{name}_bytes", "Its size.", figures.characters)


_PLAIN_GAUGES = (
    ("in_flight_reviews", "Reviews being judged now."),
    ("ready", "1 when reviews should come here."),
    ("certificate_expiry_seconds", "Time until the served certificate expires."),
    ("open_promises", "Promises that the view does not show yet."),
)
_ROOM_GAUGES = (
    ("allocatable", "What all nodes that take new pods offer: milli-CPU, bytes or pods."),
    ("committed", "What is held and promised there."),
    ("headroom", "What is left there, reserves kept."),
)
