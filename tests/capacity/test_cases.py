"""Scenarios: objects in the order in which a view meets them, then a request and its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kube_headroom.capacity.headroom import Shortfall, shortfalls
from kube_headroom.capacity.rules import Rules, capacity_rules
from kube_headroom.resources.quantity import whole
from tests.capacity.sizes import sizes
from tests.capacity.world import World, decoded, headroom

FOLDER = Path(__file__).parent / "cases"


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted(FOLDER.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("case", _cases())
def test_a_request_meets_the_shortfalls_that_the_scenario_says(case: dict[str, Any]) -> None:
    world = World()
    rules = capacity_rules(headroom(**case.get("headroom", {})))
    for step in case["steps"]:
        ((verb, what),) = step.items()
        _play(world, rules, verb, what)


def _play(world: World, rules: Rules, verb: str, what: Any) -> None:
    if verb == "delete":
        world.delete(what)
    elif verb == "wait":
        world.wait(what)
    elif verb == "expire":
        world.wait(what)
        world.expire()
    elif verb == "relist":
        shown = [decoded(*_only(each), world.next_version()) for each in what["shows"]]
        world.relist(what["resource"], shown)
    elif verb == "allow":
        world.allow(decoded(*_only(what)))
    elif verb == "ask":
        before = sizes(world.view)
        _assert_found(_ask(world, rules, what["request"]), what["short"])
        assert before == sizes(world.view), "a question changes nothing"
    elif verb == "held":
        _assert_held(world, what)
    elif verb == "open":
        assert len(world.ledger) == what
    else:
        world.put(verb, what)


def _ask(world: World, rules: Rules, request: dict[str, Any]) -> tuple[Shortfall, ...]:
    promise = world.promise(decoded(*_only(request)))
    return shortfalls(world.book, promise, rules)


def _only(one: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    ((kind, short),) = one.items()
    return kind, short


def _assert_found(found: tuple[Shortfall, ...], wanted: dict[str, Any]) -> None:
    """Each wanted code is found with at least these figures, and no other code is."""
    by_code = {each.code: each for each in found if each.action != "warn"}
    warned = {f"{each.code} warn": each for each in found if each.action == "warn"}
    shown = by_code | {code: each for code, each in warned.items() if code in wanted}
    assert set(shown) == set(wanted), found
    for code, figures in wanted.items():
        each = shown[code]
        assert {key: getattr(each, key) for key in figures} == {
            key: whole(value) if isinstance(value, str) and value[0].isdigit() else value
            for key, value in figures.items()
        }, each


def _assert_held(world: World, wanted: dict[str, Any]) -> None:
    """Memory that is held on no node yet, in all, and on each node."""
    held = world.book.register.within(lambda _: True).total.requests.memory
    assert held == whole(str(wanted.get("coming", "0")))
    for name, memory in wanted.get("nodes", {}).items():
        assert world.book.nodes.rows[name].load(-(2**63)).requests.memory == whole(str(memory))
