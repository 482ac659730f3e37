"""How large the ledger may be, how often it may be written, and how much of it is whose.

Every write stays in etcd's history for about five minutes; a large object written often fills etcd
until the whole cluster is read-only. Size times rate is what must be bounded (ledger-protocol L10).
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from kube_headroom.capacity.failures import FAILING_ROWS
from kube_headroom.capacity.ledger import Ledger
from kube_headroom.capacity.ledger_document import Encoded
from kube_headroom.capacity.promise import Promise


class LedgerLimits(msgspec.Struct, frozen=True):
    """Sizes are of text that is plain ASCII, so characters are bytes."""

    max_bytes: int = 256 * 1024
    bytes_per_second: int = 2 * 1024 * 1024
    """Of all replicas together: 600 MiB in five minutes."""
    namespace_share: float = 0.5


class LedgerPace:
    """When the next write may be, given the last by any replica, as far as it was seen."""

    def __init__(self, limits: LedgerLimits) -> None:
        self._bytes_per_second = limits.bytes_per_second
        self._next = 0.0

    def written(self, size: int, now: float) -> None:
        """Note a write."""
        self._next = max(self._next, now + size / self._bytes_per_second)

    def seconds_left(self, now: float) -> float:
        """Return how long a next write has to wait."""
        return max(0.0, self._next - now)


def excess(
    encoded: Encoded, granted: Iterable[Promise], limits: LedgerLimits
) -> tuple[Promise, ...]:
    """Return which of the new promises have to go for the limits' sake."""
    too_large = len(encoded.text) > limits.max_bytes
    share = limits.max_bytes * limits.namespace_share
    greedy = {name for name, size in encoded.by_namespace.items() if size > share}
    return tuple(each for each in granted if too_large or each.namespace in greedy)


def too_many_failing(ledger: Ledger, namespace: str) -> bool:
    """Tell whether a namespace whose promises keep failing has as many open as it may (L17)."""
    if not ledger.failures.is_failing(namespace):
        return False
    return Counter(each.namespace for each in ledger)[namespace] >= FAILING_ROWS
