"""The series of the request path: what was decided and how long it took.

Counted in plain numbers and turned into series at the scrape: a counter of the client library costs
as much as judging a pod. Label values form closed sets: whatever a stranger sends, the number of
series is bounded.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from kube_headroom.admission.decision import Decision

_Labels = TypeVar("_Labels", bound=tuple[str, ...])

OTHER = "other"
KINDS = frozenset(
    [
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "ReplicationController",
        "Scale",
        "ConfigMap",
    ]
)
OPERATIONS = frozenset(("CREATE", "UPDATE"))
OUTCOMES = frozenset(["allow", "deny", "warn", "exempt", "skip"])
CHARGES = ("", "promised", "recorded", "unpromised")
EFFECTS = frozenset(["enforce", "warn", "audit"])
CODES = frozenset(
    [f"HR{n}" for n in range(101, 112)]
    + [f"HR{n}" for n in range(201, 211)]
    + [f"HR{n}" for n in range(301, 304)]
)
# From a tenth of a millisecond, a decision by the view alone, to the API server's patience.
SECONDS_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
)  # fmt: skip


class _Times:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS_BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.sum += seconds

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and how many are no longer than that."""
        bounds = map(floatToGoString, (*SECONDS_BUCKETS, inf))
        return list(zip(bounds, accumulate(self._counts), strict=True))


class ReviewSeries(Collector):
    """Counts decisions on the event loop; read at the scrape from another thread."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, str, str], int] = {}
        self._codes: dict[tuple[str, str], int] = {}
        self._seconds = {charge: _Times() for charge in CHARGES}

    def decided(self, decision: Decision, seconds: float) -> None:
        """One more review was judged."""
        key: tuple[str, str, str] = (decision.outcome, decision.operation, decision.kind)
        if key not in self._decisions:
            key = (
                _known(decision.outcome, OUTCOMES),
                _known(decision.operation, OPERATIONS),
                _known(decision.kind, KINDS),
            )
        self._decisions[key] = self._decisions.get(key, 0) + 1
        self._seconds[decision.charge].observe(seconds)
        if decision.findings:
            for code, effect in {(finding.code, finding.effect) for finding in decision.findings}:
                found = (_known(code, CODES), _known(effect, EFFECTS))
                self._codes[found] = self._codes.get(found, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Return all series as they are now."""
        yield _counter(
            "kube_headroom_decisions",
            "Reviews judged.",
            ("outcome", "operation", "kind"),
            self._decisions,
        )
        yield _counter(
            "kube_headroom_decision_codes",
            "Findings in judged reviews, each code once a review; only enforce refuses.",
            ("code", "effect"),
            self._codes,
        )
        seconds = HistogramMetricFamily(
            "kube_headroom_review_seconds",
            "Time from a review's body to its answer.",
            labels=("charge",),
        )
        for charge, times in self._seconds.items():
            seconds.add_metric((charge or "none",), times.buckets, times.sum)
        yield seconds


def _counter(
    name: str, text: str, labels: Sequence[str], counts: Mapping[_Labels, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in tuple(counts.items()):  # at once: the event loop goes on counting
        family.add_metric(values, count)
    return family


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER
