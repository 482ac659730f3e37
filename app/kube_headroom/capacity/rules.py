"""The capacity rules of a policy, in the form the judge reads: one row a code."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, Literal

import msgspec

from kube_headroom.capacity.load import Load
from kube_headroom.capacity.node import Maximums
from kube_headroom.policy.model import Headroom

Action = Literal["enforce", "warn", "off"]

CODES: Final = {
    ("memory", "requests"): "HR201",
    ("memory", "limits"): "HR202",
    ("cpu", "requests"): "HR203",
    ("cpu", "limits"): "HR204",
    ("ephemeral_storage", "requests"): "HR205",
    ("ephemeral_storage", "limits"): "HR205",
    ("pods", "requests"): "HR206",
}
_AMOUNTS: Final[dict[tuple[str, str], Callable[[Load], int]]] = {
    (resource, basis): attrgetter(f"{basis}.{resource}") for resource, basis in CODES
}
TOO_LARGE: Final = "HR207"
TOO_MANY: Final = "HR208"


class Rule(msgspec.Struct, frozen=True):
    """One sum: a resource on one basis, and what stays free of it."""

    code: str
    resource: str
    basis: str
    action: Action
    amount: Callable[[Load], int]
    """Reads what a load has of this resource on this basis."""
    reserve_basis_points: int = 0
    reserve_amount: int = 0

    @classmethod
    def of(
        cls, resource: str, basis: str, action: Action, *, basis_points: int = 0, reserve: int = 0
    ) -> "Rule":
        """Return the rule of one resource on one basis."""
        key = (resource, basis)
        return cls(CODES[key], resource, basis, action, _AMOUNTS[key], basis_points, reserve)


class Rules(msgspec.Struct, frozen=True):
    """What the judge holds a request against. Rules that are off are not here."""

    sums: tuple[Rule, ...]
    amounts: Callable[[Load], tuple[int, ...]]
    """Reads what a load has for each of the sums."""
    fit: Action
    spare_nodes: int
    maximums: Maximums
    elastic: bool
    ignore_priority_below: int = 0


def capacity_rules(headroom: Headroom) -> Rules:
    """Return the capacity rules of a policy."""
    sums = []
    for resource in ("memory", "cpu", "ephemeral_storage"):
        section = getattr(headroom, resource)
        reserve = section.reserve
        for basis, points, amount in (
            ("requests", reserve.basis_points, reserve.amount),
            ("limits", 0, 0),  # maximumLimits says how much of limits is too much
        ):
            action = getattr(section, basis)
            sums.append(Rule.of(resource, basis, action, basis_points=points, reserve=amount))
    sums.append(Rule.of("pods", "requests", headroom.pods))
    in_force = tuple(rule for rule in sums if rule.action != "off")
    return Rules(
        sums=in_force,
        amounts=amounts_by(in_force),
        fit=headroom.fit,
        spare_nodes=headroom.spare_nodes,
        maximums=Maximums(
            cpu=headroom.cpu.maximum_limits,
            memory=headroom.memory.maximum_limits,
            ephemeral_storage=headroom.ephemeral_storage.maximum_limits,
        ),
        elastic=headroom.elastic == "on",
        ignore_priority_below=headroom.ignore_priority_below,
    )


def amounts_by(rules: tuple[Rule, ...]) -> Callable[[Load], tuple[int, ...]]:
    """Return a function that reads what a load has for each of these rules, all in one call."""
    fields = [f"{rule.basis}.{rule.resource}" for rule in rules]
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda load: tuple(rule.amount(load) for rule in rules)
