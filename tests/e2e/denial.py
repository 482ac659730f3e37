"""The figures in a denial, read as a person would, and held against room as it is defined."""

from __future__ import annotations

import re

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.e2e.manifests import container, deployment, template
from tests.e2e.room import Cluster, Room, quantity

ASKER = "asks-for-too-much"
FIGURES = re.compile(
    r"\[(?P<code>HR20\d)\] [a-z -]+: .*?, headroom is (?P<left>\S+) on (?P<nodes>\d+)"
    r" (?:eligible )?nodes? \(free (?P<free>\S+?)(?: - reserve (?P<reserve>\S+?))?"
    r"(?: - still to come (?P<coming>\S+?))?(?: - promised (?P<promised>\S+?))?\)"
)


def figures(text: str) -> dict[str, Room]:
    """Return by code what a denial says there is; what it does not mention is nothing."""
    found = {}
    for match in FIGURES.finditer(text):
        scale = 1000 if match["code"] == "HR203" else 1
        parts = {
            name: quantity(match[name] or "0", scale)
            for name in ("left", "free", "reserve", "coming", "promised")
        }
        left = parts.pop("left")
        told = Room(nodes=int(match["nodes"]), **parts)
        assert told.left == left, f"figures that do not add up: {match[0]}"
        found[match["code"]] = told
    return found


def assert_denials_tell_room(cluster: ControlPlane, namespace: str, reserve: str = "0%") -> None:
    """Ask for more than there can be; fail unless each figure of the answer is as it is defined.

    In the namespace of nobody else, and in a dry run: nothing is left of it. What still moves is
    waited for.
    """
    unit = container("1Gi", cpu="1")
    asked = deployment(namespace, 1_000_000, name=ASKER, pods=template(unit))

    def told_as_defined() -> bool:
        answer = cluster.apply(asked, "--dry-run=server", check=False)
        told = figures(answer.stderr)
        expected = Cluster.now_in(cluster).rooms(reserve)
        assert told == expected, f"told {told}, but there is {expected}\n{answer.stderr}"
        return True

    wait_until(told_as_defined, 10, "a denial to tell the room there is")
