"""A node takes a pod, or says why not, as the scheduler would."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kube_headroom.resources.objects import PodSpec, Taint
from kube_headroom.resources.placement import (
    ANYWHERE,
    NodeFacts,
    Placement,
    admits,
    daemon_placement,
    placement_of,
    why_not,
)
from tests.resources.cases_of import cases_of


@pytest.mark.parametrize("case", cases_of("placements"))
def test_a_node_says_why_not(case: dict[str, Any]) -> None:
    placement = _placement(case["pod"], daemon=case.get("daemon", False))
    node = _node(case["node"])
    assert why_not(placement, node) == case["why"]
    assert admits(placement, node) == (case["why"] is None)


def test_pods_that_say_nothing_share_one_placement() -> None:
    assert placement_of(PodSpec()) is ANYWHERE
    assert (
        placement_of(msgspec.convert({"tolerations": [], "nodeSelector": {}}, PodSpec)) is ANYWHERE
    )
    assert placement_of(msgspec.convert({"affinity": {"nodeAffinity": {}}}, PodSpec)) is ANYWHERE


def test_the_order_in_which_things_are_said_does_not_matter() -> None:
    """Equal placements are one key of the book."""
    expressions = [
        {"key": "zone", "operator": "In", "values": ["b", "a", "a"]},
        {"key": "gpu", "operator": "Exists"},
    ]
    terms = [{"matchExpressions": expressions}, {"matchExpressions": expressions[:1]}]
    tolerations = [{"key": "a"}, {"key": "b", "operator": "Equal", "value": ""}]
    said = {"nodeSelector": {"x": "1", "y": "2"}, "terms": terms, "tolerations": tolerations}
    again = {
        "nodeSelector": {"y": "2", "x": "1"},
        "terms": [terms[1], {"matchExpressions": expressions[::-1]}, terms[1], {}],
        "tolerations": [*tolerations[::-1], *tolerations, {"key": "c", "operator": "Lt"}],
    }
    one, other = _placement(said), _placement(again)
    assert one == other
    assert len({one, other}) == 1


def _placement(short: dict[str, Any], *, daemon: bool = False) -> Placement:
    manifest = {key: value for key, value in short.items() if key != "terms"}
    if "terms" in short:
        required = {"nodeSelectorTerms": short["terms"]}
        key = "requiredDuringSchedulingIgnoredDuringExecution"
        manifest["affinity"] = {"nodeAffinity": {key: required}}
    spec = msgspec.convert(manifest, PodSpec)
    return daemon_placement(spec) if daemon else placement_of(spec)


def _node(short: dict[str, Any]) -> NodeFacts:
    return NodeFacts(
        name=short.get("name", "node"),
        labels=short.get("labels", {}),
        taints=tuple(map(_taint, short.get("taints", ()))),
        unschedulable=short.get("cordoned", False),
    )


def _taint(text: str) -> Taint:
    name, _, effect = text.rpartition(":")
    key, _, value = name.partition("=")
    return Taint(key=key, value=value, effect=effect)
