"""Forecasts: what the nodes will make of pods that nobody is asked about.

A rollout's extra pod and a DaemonSet's pods are never refused, they are only not scheduled; so what
they will meet is told, not judged. Policy's reserves do not matter here: the scheduler knows none.
"""

from typing import Final

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.load import NOTHING
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.capacity.rules import TOO_LARGE, Rule, Rules, amounts_by
from kube_headroom.capacity.scenes import threshold_of
from kube_headroom.resources.amounts import NAMES

_SCHEDULED: Final = tuple(Rule.of(name, "requests", "warn") for name in NAMES)
_AMOUNTS: Final = amounts_by(_SCHEDULED)


class NoRoom(msgspec.Struct, frozen=True):
    """Nodes on which a DaemonSet's pod has no room, with the first resource that is short."""

    eligible: int
    nodes: tuple[tuple[str, str], ...]


def lacks_one_more(book: Book, promise: Promise, rules: Rules) -> bool:
    """Tell whether one more pod of a workload, beside all that it holds, would find no room.

    A pod that no node could ever hold is another problem, and told as that.
    """
    version = msgspec.structs.replace(promise.version, count=1, owner="")
    extra = msgspec.structs.replace(
        promise, uid=f"{promise.uid}/extra", base=0, name="", version=version
    )
    scheduled = msgspec.structs.replace(
        rules, sums=_SCHEDULED, amounts=_AMOUNTS, fit="warn", spare_nodes=0, elastic=False
    )
    found = shortfalls(book, extra, scheduled)
    return bool(found) and all(each.code != TOO_LARGE for each in found)


def without_room(book: Book, uid: str, version: Version, rules: Rules) -> NoRoom:
    """Return the eligible nodes that have no room for a DaemonSet's pod, its present one apart."""
    threshold = threshold_of(version, rules)
    asked, own = version.unit.requests, book.on_nodes(uid)
    eligible = book.nodes.eligible(version.placement)
    short: list[tuple[str, str]] = []
    for row in book.nodes.members(eligible):
        name = row.facts.name
        lacking = asked.exceeding(row.free(threshold, own.get(name, NOTHING)))
        if lacking:
            short.append((name, lacking[0]))
    return NoRoom(eligible.bit_count(), tuple(sorted(short)))
