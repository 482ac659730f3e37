"""Simulation: where one more pod would pass the scheduler's filters now, and how many would be let in.

Two questions that a decision does not ask. The first is the scheduler's alone: it counts what sits
on a node until it is gone, and nothing that waits. The second is headroom's, for a number of pods
that nobody has asked for yet. The book is left as it was.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from kube_headroom.capacity.book import Book
from kube_headroom.capacity.headroom import Judge
from kube_headroom.capacity.node import NodeRow
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import Rules
from kube_headroom.resources.amounts import KUBERNETES_NAMES, NAMES, ZERO, Amounts
from kube_headroom.resources.placement import Placement, why_not

_ENFORCED: Final = frozenset({"enforce"})
_TOLD: Final = frozenset({"enforce", "warn"})
_SCHEDULERS_WORDS: Final = (
    ("the node is cordoned", "unschedulable"),
    ("the taint ", "untolerated taint"),
    ("the pod names ", "didn't match the requested node name"),
    ("", "didn't match Pod's node affinity/selector"),
)
"""How a reason of placement begins, and what the scheduler calls such a node."""


class Fits(msgspec.Struct, frozen=True):
    """The nodes that would take one such pod now, and why each of the others would not."""

    nodes: tuple[str, ...]
    reasons: Mapping[str, str]


def on_nodes(book: Book, apart: str = "") -> dict[str, Amounts]:
    """Return what the scheduler counts on each node: every unfinished pod that is assigned to it.

    `apart` is the uid of a pod that is not counted.
    """
    result: dict[str, Amounts] = {}
    for row in book.pods.values():
        if row.node and row.uid != apart:
            result[row.node] = result.get(row.node, ZERO).plus(row.load.requests)
    return result


def fits(book: Book, placement: Placement, requests: Amounts, used: Mapping[str, Amounts]) -> Fits:
    """Return where one such pod passes the filters, beside what is used."""
    found: list[str] = []
    reasons: dict[str, str] = {}
    for name, row in sorted(book.nodes.rows.items()):
        reason = _refusal(row, placement, requests, used.get(name, ZERO))
        if reason:
            reasons[name] = reason
        else:
            found.append(name)
    return Fits(tuple(found), reasons)


def most_pods(book: Book, promise: Promise, rules: Rules) -> int:
    """Return how many pods, in all, a request could ask for: what is enforced limits it.

    Where nothing enforced does, what is told as a warning limits it, and at last the nodes' size.
    """
    book.nodes.set_maximums(rules.maximums)
    if not book.nodes.can_hold(promise.version.placement, promise.version.unit):
        return 0
    fitting = Judge(book, promise, rules).most_that_fit()
    for actions in (_ENFORCED, _TOLD):
        most = _most(book, promise, _only(rules, actions), fitting)
        if most is not None:
            return most
    return fitting


def _most(book: Book, promise: Promise, rules: Rules, fitting: int) -> int | None:
    """Return the largest number that these rules let in; None if they let in any number."""
    judge = Judge(book, promise, rules)
    limit = _beyond_all(book, promise) if rules.fit == "off" else fitting

    def short(count: int) -> bool:
        return bool(judge.sums(count))

    if not short(limit):
        return None if rules.fit == "off" else fitting
    return max(0, bisect_left(range(limit + 1), 1, key=short) - 1)


def _beyond_all(book: Book, promise: Promise) -> int:
    """Return a number of pods that no sum of pod slots lets in."""
    slots = sum(row.allocatable.pods for row in book.nodes.rows.values())
    present = book.latest(promise.uid)
    asked = max(promise.version.count, present.count if present else 0)
    return slots + len(book.pods) + asked + 1


def _only(rules: Rules, actions: Collection[str]) -> Rules:
    """Return the rules with one of these actions."""
    return msgspec.structs.replace(
        rules,
        sums=tuple(rule for rule in rules.sums if rule.action in actions),
        fit=rules.fit if rules.fit in actions else "off",
    )


def _refusal(row: NodeRow, placement: Placement, requests: Amounts, used: Amounts) -> str:
    """Return why a node does not take the pod, in the scheduler's terms; empty if it does."""
    reason = why_not(placement, row.facts)
    if reason is not None:
        words = next(words for start, words in _SCHEDULERS_WORDS if reason.startswith(start))
        return f"{words}: {reason}"
    free = row.allocatable.minus(used)
    lacking = ["Too many pods"] if free.pods < 1 else []
    lacking += [
        f"Insufficient {KUBERNETES_NAMES[name]}"
        for name in NAMES
        if name != "pods" and 0 < getattr(requests, name) > getattr(free, name)
    ]
    return ", ".join(lacking)
