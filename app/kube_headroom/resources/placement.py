"""Placement: which nodes a pod may be put on, as the scheduler's node filters decide it.

Separate because eligibility needs neither amounts nor pods: a canonical Placement is a key by which
the book groups pods, and a node either admits it or says why not.
"""

import re
from typing import Final

import msgspec

from kube_headroom.resources.amounts import MAX_INT64
from kube_headroom.resources.objects import (
    Expression,
    NodeSelector,
    NodeSelectorTerm,
    PodSpec,
    Taint,
    Toleration,
)

_UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
AWAY_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_DAEMON_NO_SCHEDULE: Final = (
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    _UNSCHEDULABLE,
)
_NETWORK_UNAVAILABLE: Final = "node.kubernetes.io/network-unavailable"
_HARD_EFFECTS: Final = frozenset({"NoSchedule", "NoExecute"})

_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LABEL_VALUE: Final = re.compile(f"({_NAME})?")
_LABEL_NAME: Final = re.compile(_NAME)
_DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_PREFIX: Final = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


class Requirement(msgspec.Struct, frozen=True, gc=False, order=True):
    """One expression that parsed. For Gt and Lt the bound is the integer."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    bound: int = 0


class Term(msgspec.Struct, frozen=True, gc=False, order=True):
    """All of a term's expressions on labels and on fields must hold."""

    labels: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]


class Tolerated(msgspec.Struct, frozen=True, gc=False, order=True):
    """One toleration; an empty key or effect stands for all of them."""

    key: str
    operator: str
    value: str
    effect: str


class Placement(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Where a pod may run, in canonical form: equal placements have equal nodes, and hash equal.

    terms is None without required node affinity; empty, nothing can match.
    """

    node_name: str = ""
    node_selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None
    tolerations: tuple[Tolerated, ...] = ()


class NodeFacts(msgspec.Struct, frozen=True, gc=False):
    """What the node filters read of a node."""

    name: str
    labels: dict[str, str]
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False


ANYWHERE: Final = Placement()
"""The placement of pods that say nothing: one shared instance."""

_ADDED: Final = [Toleration(key=key, operator="Exists", effect="NoExecute") for key in AWAY_TAINTS]
"""What the admission plugin DefaultTolerationSeconds adds to every pod, in its order."""


def placement_of(spec: PodSpec) -> Placement:
    """Return where the pod may run."""
    if spec.tolerations == _ADDED and not (spec.node_name or spec.node_selector or spec.affinity):
        return _ADDED_ALONE
    tolerations = _tolerations(spec.tolerations) if spec.tolerations else ()
    if spec.node_name:
        # The scheduler is out of the game, and with it selectors and affinity.
        return Placement(node_name=spec.node_name, tolerations=tolerations)
    required = _required(spec)
    if not tolerations and not spec.node_selector and required is None:
        return ANYWHERE
    return Placement(
        node_selector=tuple(sorted((spec.node_selector or {}).items())),
        terms=None if required is None else _terms(required),
        tolerations=tolerations,
    )


def daemon_placement(spec: PodSpec) -> Placement:
    """Return where the pods of a DaemonSet run: its controller adds tolerations to the template's."""
    added = {Tolerated(key, "Exists", "", "NoExecute") for key in AWAY_TAINTS}
    added |= {Tolerated(key, "Exists", "", "NoSchedule") for key in _DAEMON_NO_SCHEDULE}
    if spec.host_network:
        added.add(Tolerated(_NETWORK_UNAVAILABLE, "Exists", "", "NoSchedule"))
    placement = placement_of(spec)
    tolerations = tuple(sorted(added.union(placement.tolerations)))
    return msgspec.structs.replace(placement, tolerations=tolerations)


def admits(placement: Placement, node: NodeFacts) -> bool:
    """Say whether the node's name, cordon, taints and labels let the pod in."""
    if placement is ANYWHERE and not node.taints:
        return not node.unschedulable
    return why_not(placement, node) is None


def why_not(placement: Placement, node: NodeFacts) -> str | None:
    """Return the first reason why the node does not take the pod, or None."""
    if placement.node_name:
        if placement.node_name != node.name:
            return f"the pod names node {placement.node_name}"
        return _untolerated(placement, node, frozenset({"NoExecute"}))
    if node.unschedulable and not _tolerates(placement, _UNSCHEDULABLE, "", "NoSchedule"):
        return "the node is cordoned"
    return _untolerated(placement, node, _HARD_EFFECTS) or _unselected(placement, node)


def _unselected(placement: Placement, node: NodeFacts) -> str | None:
    for key, value in placement.node_selector:
        if node.labels.get(key) != value:
            return f"the node selector wants {key}={value}"
    if placement.terms is not None and not any(_holds(term, node) for term in placement.terms):
        return "the required node affinity does not match"
    return None


def _required(spec: PodSpec) -> NodeSelector | None:
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return None
    return spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution


def _untolerated(placement: Placement, node: NodeFacts, effects: frozenset[str]) -> str | None:
    for taint in node.taints:
        value = taint.value or ""
        if taint.effect in effects and not _tolerates(placement, taint.key, value, taint.effect):
            shown = f"{taint.key}={value}" if value else taint.key
            return f"the taint {shown}:{taint.effect} is not tolerated"
    return None


# Plain loops below: a new placement asks each of thousands of nodes while reviews wait.
def _tolerates(placement: Placement, key: str, value: str, effect: str) -> bool:
    for each in placement.tolerations:
        if each.effect and each.effect != effect:
            continue
        if each.key and each.key != key:
            continue
        if each.operator == "Exists" or each.value == value:
            return True
    return False


def _holds(term: Term, node: NodeFacts) -> bool:
    for each in term.labels:
        if not _label_holds(each, node.labels.get(each.key)):
            return False
    return all(_field_holds(each, node) for each in term.fields) if term.fields else True


def _label_holds(requirement: Requirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    number = None if value is None else _integer(value)
    if number is None:
        return False
    return (
        number > requirement.bound if requirement.operator == "Gt" else number < requirement.bound
    )


def _field_holds(requirement: Requirement, node: NodeFacts) -> bool:
    value = node.name if requirement.key == "metadata.name" else ""
    return (value in requirement.values) == (requirement.operator == "In")


def _tolerations(tolerations: list[Toleration]) -> tuple[Tolerated, ...]:
    """Return those that can match at all: Gt and Lt do not before they leave alpha."""
    known = (each for each in tolerations if each.operator in {None, "", "Equal", "Exists"})
    return tuple(sorted({_tolerated(each) for each in known}))


def _tolerated(toleration: Toleration) -> Tolerated:
    exists = toleration.operator == "Exists"
    return Tolerated(
        key=toleration.key or "",
        operator="Exists" if exists else "Equal",
        value="" if exists else toleration.value or "",
        effect=toleration.effect or "",
    )


def _terms(selector: NodeSelector) -> tuple[Term, ...]:
    """Return the terms that can match: an empty one, or one that does not parse, never does."""
    parsed = (_term(term) for term in selector.node_selector_terms or ())
    return tuple(sorted({term for term in parsed if term is not None}))


def _term(term: NodeSelectorTerm) -> Term | None:
    labels = [_label_requirement(each) for each in term.match_expressions or ()]
    fields = [_field_requirement(each) for each in term.match_fields or ()]
    if not labels and not fields:
        return None
    good_labels = {each for each in labels if each is not None}
    good_fields = {each for each in fields if each is not None}
    if None in labels or None in fields:
        return None
    return Term(labels=tuple(sorted(good_labels)), fields=tuple(sorted(good_fields)))


def _label_requirement(expression: Expression) -> Requirement | None:
    values = expression.values or []
    if not _is_label_key(expression.key) or not all(map(_is_label_value, values)):
        return None
    operator = expression.operator
    if operator in {"In", "NotIn"} and values:
        return Requirement(expression.key, operator, tuple(sorted(set(values))))
    if operator in {"Exists", "DoesNotExist"} and not values:
        return Requirement(expression.key, operator)
    if operator in {"Gt", "Lt"} and len(values) == 1:
        bound = _integer(values[0])
        return None if bound is None else Requirement(expression.key, operator, bound=bound)
    return None


def _field_requirement(expression: Expression) -> Requirement | None:
    if expression.operator not in {"In", "NotIn"} or len(expression.values or ()) != 1:
        return None
    return Requirement(expression.key, expression.operator, tuple(expression.values or ()))


def _is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or _LABEL_PREFIX.fullmatch(prefix) is None):
        return False
    return len(name) <= 63 and _LABEL_NAME.fullmatch(name) is not None


def _is_label_value(value: str) -> bool:
    return len(value) <= 63 and _LABEL_VALUE.fullmatch(value) is not None


def _integer(text: str) -> int | None:
    """Return a 64-bit integer as Go reads it: leading zeros and a sign are fine."""
    if len(text) > 63 or _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -MAX_INT64 - 1 <= number <= MAX_INT64 else None


_ADDED_ALONE: Final = Placement(tolerations=_tolerations(_ADDED))
"""The placement of nearly all pods: one shared instance."""
