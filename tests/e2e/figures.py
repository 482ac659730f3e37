"""The webhook's metrics, read the way Prometheus reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One scrape."""

    samples: tuple[tuple[str, Labels, float], ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the samples of a scrape's text."""
        return cls(
            tuple(
                (sample.name, frozenset(sample.labels.items()), sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            )
        )

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of this name that carry these labels."""
        wanted = labels.items()
        return sum(value for n, own, value in self.samples if n == name and wanted <= own)

    @property
    def policy(self) -> str:
        """The hash of the policy in force."""
        found = (dict(own) for name, own, _ in self.samples if name == "kube_headroom_policy_info")
        return next(found)["hash"]

    @property
    def oldest_age(self) -> float:
        """Seconds since the most silent of the watched types showed progress."""
        name = "kube_headroom_watch_age_seconds"
        return max(value for n, _, value in self.samples if n == name)

    def committed(self, resource: str = "memory", basis: str = "requests") -> float:
        """What is held and promised on all nodes."""
        return self.total("kube_headroom_committed", resource=resource, basis=basis)

    @property
    def promises(self) -> float:
        """Promises that the view does not show yet."""
        return self.total("kube_headroom_open_promises")
