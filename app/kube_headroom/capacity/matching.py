"""Matching: who takes what has no controller, found by labels.

Indexed by namespace and one label, so that neither an event nor a request looks at more objects than
share a label with it. Of several takers the one that was known first keeps what it has.
"""

from collections.abc import Iterator
from itertools import chain

from kube_headroom.resources.selector import Selector, Tags

_Place = tuple[str, str, str, str]
"""Resource, namespace and one label; without a label those that select by none."""


class Matching:
    """Workloads that take, and objects without a controller."""

    def __init__(self) -> None:
        self._takers: dict[str, tuple[int, _Place]] = {}
        self._selectors: dict[_Place, dict[str, Selector]] = {}
        self._loose: dict[str, Tags] = {}
        self._labelled: dict[_Place, set[str]] = {}
        self._serial = 0

    def taker_of(self, tags: Tags) -> str:
        """Return the uid of the workload that takes such an object, empty for none."""
        found: tuple[int, str] | None = None
        for place in _places(tags):
            for uid, selector in self._selectors.get(place, {}).items():
                since = self._takers[uid][0]
                if (found is None or since < found[0]) and selector.adopts(tags):
                    found = (since, uid)
        return found[1] if found is not None else ""

    def put_taker(self, uid: str, selector: Selector | None) -> None:
        """Note what a workload takes; None for one that takes nothing any more."""
        since = None
        if uid in self._takers:
            since, place = self._takers.pop(uid)
            del self._selectors[place][uid]
            if not self._selectors[place]:
                del self._selectors[place]
        if selector is None or not selector.takes:
            return
        if since is None:
            self._serial += 1
            since = self._serial
        # The label that the fewest select by: of many that share one, each has another of its own.
        place = min(_places_of(selector), key=lambda each: len(self._selectors.get(each, ())))
        self._takers[uid] = (since, place)
        self._selectors.setdefault(place, {})[uid] = selector

    def put_loose(self, uid: str, tags: Tags | None) -> None:
        """Note an object without a controller; None for one that has one, or is gone."""
        old = self._loose.get(uid)
        if old == tags:
            return
        for place in _places(old) if old is not None else ():
            self._labelled[place].discard(uid)
            if not self._labelled[place]:
                del self._labelled[place]
        if tags is None:
            del self._loose[uid]
            return
        self._loose[uid] = tags
        for place in _places(tags):
            self._labelled.setdefault(place, set()).add(uid)

    def adoptable(self, selector: Selector | None) -> list[str]:
        """Return the uids of all that a selector would take, whoever has it now."""
        if selector is None or not selector.takes:
            return []
        uids = min(
            (self._labelled.get(place, frozenset[str]()) for place in _places_of(selector)), key=len
        )
        return [uid for uid in uids if selector.adopts(self._loose[uid])]


def _places(tags: Tags) -> Iterator[_Place]:
    where = (tags.resource, tags.namespace)
    labels = ((*where, key, value or "") for key, value in tags.labels.items())
    return chain(labels, ((*where, "", ""),))


def _places_of(selector: Selector) -> list[_Place]:
    where = (selector.takes, selector.namespace)
    return [(*where, key, value) for key, value in selector.labels] or [(*where, "", "")]
