"""Headroom's conditions are necessary: what the scheduler could place is never refused.

Random small clusters, filled at random. If an exhaustive search finds a place for the request's
pods beside all that is held, no condition may fail, of any action.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.promise import Promise
from kube_headroom.capacity.rules import capacity_rules
from kube_headroom.resources.placement import Placement
from tests.capacity.reference import Claim, Reference, Vector, add, any_above, vector
from tests.capacity.world import World, decoded, headroom

CHECKED = {"requests": "enforce", "limits": "off"}
RULES = capacity_rules(headroom(memory=CHECKED, cpu=CHECKED, ephemeralStorage=CHECKED))
EVERY_PRIORITY = -(2**63)


@dataclass(frozen=True)
class Item:
    """One pod that needs a place."""

    size: Vector
    nodes: tuple[str, ...]


def placeable(items: list[Item], free: dict[str, Vector]) -> bool:
    """Tell whether every item finds a node, by trying all ways."""
    if not items:
        return True
    first, rest = items[0], items[1:]
    for name in first.nodes:
        left = add(free[name], first.size, -1)
        fits = not any(a < 0 < b for a, b in zip(left, first.size, strict=True))
        if fits and placeable(rest, free | {name: left}):
            return True
    return False


def test_what_can_be_placed_is_never_refused(soak: bool) -> None:
    random = Random(20260101)
    cases = 100_000 if soak else 18_000
    found, refused = 0, 0
    for number in range(cases):
        world, request = _world(random), _request(random)
        if request["kind"] != "pod" and random.random() < 0.5:
            _show_present(random, world, request)
        promise = world.promise(decoded(request["kind"], request["short"]))
        if not _declares_more(world, promise) or _moves_from_elsewhere(world, promise):
            continue
        missed = shortfalls(world.book, promise, RULES)
        refused += bool(missed)
        if _can_be_placed(world, promise):
            found += 1
            assert missed == (), (number, request, missed)
    assert found > cases // 5
    assert refused > cases // 10
    print(f"{found} placeable of {cases}, {refused} refused")


def _declares_more(world: World, promise: Promise) -> bool:
    new, old = promise.version, world.book.latest(promise.uid)
    if old is None or new.unit.exceeds(old.unit):
        return True
    return new.unit.times(new.count).exceeds(old.unit.times(old.count))


def _moves_from_elsewhere(world: World, promise: Promise) -> bool:
    """Tell whether it leaves nodes that would not take its pods any more, tainted or cordoned since.

    The book does not know that they are there: a known limit, and only while its nodes change.
    """
    old = world.book.latest(promise.uid)
    if old is None or old.placement == promise.version.placement:
        return False
    reference = Reference(world)
    eligible = reference.eligible(old.placement)
    own = [pod for pod in reference.pods if pod.owner == promise.uid]
    return bool(eligible) and any(pod.node not in eligible for pod in own)


def _can_be_placed(world: World, promise: Promise) -> bool:
    """Place the pods it has too few beside those that live, and all its pods once those are gone."""
    version, reference = promise.version, Reference(world)
    threshold = version.priority if version.preempts else EVERY_PRIORITY
    old = [pod for pod in reference.pods if pod.owner == promise.uid]
    unit = vector(version.unit.requests, version.unit.limits)
    eligible = reference.eligible(version.placement)
    in_place = [pod for pod in old if pod.node in eligible and not any_above(unit, pod.size)]
    replaced = {pod.uid for pod in old} - {pod.uid for pod in in_place}
    others = list(reference.claims)
    if promise.uid in reference.workloads and (own := reference._root_claims(promise.uid)):
        others.remove(own)
    items = [item for claims in others for item in _items(reference, claims, threshold)]
    new = Item(unit[:4], _nodes(reference, version.placement))
    at_first = [*items, *[new] * max(0, version.count - len(old))]
    at_last = [*items, *[new] * max(0, version.count - len(in_place))]
    return _all_fit(at_first, _free(reference, threshold, set())) and _all_fit(
        at_last, _free(reference, threshold, replaced)
    )


def _all_fit(items: list[Item], free: dict[str, Vector]) -> bool:
    return placeable(sorted(items, key=lambda item: (len(item.nodes), item.size)), free)


def _free(reference: Reference, threshold: int, replaced: set[str]) -> dict[str, Vector]:
    free: dict[str, Vector] = {}
    for name in reference.nodes:
        left = reference._allocatable(name)
        for pod in reference.pods:
            counts = pod.on_node and pod.node == name and pod.priority >= threshold
            if counts and pod.uid not in replaced:
                left = add(left, pod.size[:4], -1)
        free[name] = left
    return free


def _items(reference: Reference, claims: list[Claim], threshold: int) -> Iterator[Item]:
    (claim,) = claims
    nodes = _nodes(reference, claim.placement)
    size = claim.unit[:4]
    can_land = any(not any_above(size, reference._allocatable(name)) for name in nodes)
    if claim.priority >= threshold and can_land:
        yield from [Item(size, nodes)] * claim.count


def _nodes(reference: Reference, placement: Placement) -> tuple[str, ...]:
    return tuple(sorted(reference.eligible(placement)))


def _world(random: Random) -> World:
    world = World()
    for index in range(random.randint(2, 4)):
        short: dict[str, Any] = {"name": f"n{index}", "labels": {"zone": random.choice("ab")}}
        short |= {"memory": str(random.randint(1, 6)), "cpu": f"{random.randint(2, 6)}m"}
        short |= {"pods": str(random.randint(1, 4)), "cordoned": random.random() < 0.1}
        short["taints"] = ["odd:NoSchedule"] if random.random() < 0.15 else []
        world.put("node", short)
    for index in range(random.randint(0, 4)):
        node = {"node": f"n{random.randint(0, 3)}"} if random.random() < 0.7 else {}
        world.put("pod", {"name": f"p{index}", **_template(random), **node})
    for index in range(random.randint(0, 2)):
        short = {"name": f"d{index}", "replicas": random.randint(0, 2), **_template(random)}
        verb = world.put if random.random() < 0.5 else _allow(world)
        verb("deployment", short)
    return world


def _allow(world: World) -> Any:
    return lambda kind, short: world.allow(decoded(kind, short))


def _template(random: Random) -> dict[str, Any]:
    short: dict[str, Any] = {"memory": str(random.randint(0, 3)), "cpu": f"{random.randint(0, 2)}m"}
    if random.random() < 0.4:
        short["selects"] = {"zone": random.choice("abc")}
    if random.random() < 0.3:
        short["tolerates"] = ["odd"]
    if random.random() < 0.2:
        short["priority"] = 10
    return short


def _request(random: Random) -> dict[str, Any]:
    short = {"name": "request", **_template(random)}
    if random.random() < 0.2:
        short["preemptionPolicy"] = "Never"
    if random.random() < 0.3:
        return {"kind": "pod", "short": short}
    return {"kind": "statefulset", "short": short | {"replicas": random.randint(1, 3)}}


def _show_present(random: Random, world: World, request: dict[str, Any]) -> None:
    """Show the StatefulSet as it is before the request, with pods of an earlier size."""
    kept = {
        key: request["short"][key]
        for key in ("name", "selects", "priority")
        if key in request["short"]
    }
    short = {**_template(random), **kept, "replicas": random.randint(0, 3)}
    if "selects" not in kept:
        short.pop("selects", None)
    if "priority" not in kept:
        short.pop("priority", None)
    world.put("statefulset", short)
    live = {key: short[key] for key in ("memory", "cpu", "priority") if key in short}
    for index in range(random.randint(0, short["replicas"])):
        node = {"node": f"n{random.randint(0, 1)}"}
        owner = "statefulset/request"
        world.put("pod", {"name": f"request-{index}", "owner": owner, **live, **node})
