"""Failures: the namespaces whose promises keep coming to nothing (ledger-protocol L17).

A quota that always refuses, behind us, would fill the ledger with promises that each last for more
than a minute. Such a namespace may have only a few open at a time; one that comes true counts one off.
"""

from typing import Final

FAILING_ROWS: Final = 32
"""So many more came to nothing than came true; also how many may then be open."""
REMEMBERED_NAMESPACES: Final = 1000


class Failures:
    """A bounded count by namespace."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def failed(self, namespace: str) -> None:
        """Count a promise that expired."""
        self._counts[namespace] = min(FAILING_ROWS, self._counts.pop(namespace, 0) + 1)
        if len(self._counts) > REMEMBERED_NAMESPACES:
            del self._counts[next(iter(self._counts))]  # the one that failed longest ago

    def came_true(self, namespace: str) -> None:
        """Count off a promise that settled."""
        count = self._counts.get(namespace, 0)
        if count > 1:
            self._counts[namespace] = count - 1
        elif count:
            del self._counts[namespace]

    def is_failing(self, namespace: str) -> bool:
        """Tell whether a namespace's promises keep failing."""
        return self._counts.get(namespace, 0) >= FAILING_ROWS
