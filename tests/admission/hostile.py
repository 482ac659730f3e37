"""Hostile reviews: real ones, broken in the ways that people and machines break them.

Everything comes from a seed, so that what was found once is found again.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

DEEP = 100_000
TEXTS = (
    "", " ", "\x00", "\n\r\t", "\x1b[31m", "\u202e", "\ud800", "\udfff\ud800", "😀" * 50, "ß" * 300,
    "null", "NaN", "true", "../../etc/passwd", "$(reboot)", "a" * 300, "x" * 70_000,
    "10e999999", "1e-999999999", "1e2147483648", "9" * 5000, "0" * 5000 + "1", "." * 100, "-1", "+",
    "1e4294967296", "10Ei", "8E", "512m", "Ki", "1_000", " 1Gi ", "١٢٣", "²", "1e" + "9" * 4000,
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400, 1.5, -0.0, 1e308)
KEYS = (
    *("containers", "initContainers", "resources", "requests", "limits", "cpu", "memory", "spec"),
    *("metadata", "uid", "name", "namespace", "ownerReferences", "replicas", "template", "kind"),
    *("nodeSelector", "tolerations", "affinity", "schedulingGates", "priority", "overhead", "data"),
    *("object", "oldObject", "request", "subResource", "operation", "userInfo", "dryRun", "\ud800"),
)

Path = tuple[str | int, ...]


def hostile_bodies(reviews: list[dict[str, Any]], *, seed: int, count: int) -> Iterator[bytes]:
    """Yield `count` bodies, each a review with one to six things wrong with it."""
    chance = random.Random(seed)
    for _ in range(count):
        review = copy.deepcopy(chance.choice(reviews))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            _break(review, chance)
        body = json.dumps(review, ensure_ascii=chance.random() < 0.9)
        yield _break_text(body, chance)


def _break(review: dict[str, Any], chance: random.Random) -> None:
    path = chance.choice(list(_paths(review)) or [()])
    if not path:
        return
    *way, last = path
    parent: Any = review
    for step in way:
        parent = parent[step]
    action = chance.choice(_ACTIONS)
    action(parent, last, chance)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return
    for key, child in items:
        yield (*path, key)
        yield from _paths(child, (*path, key))


def _replace(parent: Any, key: Any, chance: random.Random) -> None:
    parent[key] = _anything(chance)


def _remove(parent: Any, key: Any, _: random.Random) -> None:
    del parent[key]


def _add(parent: Any, key: Any, chance: random.Random) -> None:
    if isinstance(parent[key], dict):
        parent[key][chance.choice(KEYS)] = _anything(chance)
    elif isinstance(parent[key], list):
        parent[key].append(_anything(chance))


def _repeat(parent: Any, key: Any, chance: random.Random) -> None:
    if isinstance(parent[key], list):
        parent[key] *= chance.choice((2, 30))


def _swap(parent: Any, key: Any, chance: random.Random) -> None:
    if isinstance(parent, dict):
        other = chance.choice(list(parent))
        parent[key], parent[other] = parent[other], parent[key]


_ACTIONS: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    *(_replace, _replace, _remove, _add, _repeat, _swap),
)


def _anything(chance: random.Random) -> Any:
    return chance.choice(
        (
            lambda: chance.choice(TEXTS),
            lambda: chance.choice(NUMBERS),
            lambda: chance.choice((None, True, False, [], {}, [[]], [None], {"": None})),
            lambda: {chance.choice(KEYS): chance.choice(TEXTS)},
            lambda: [{"name": chance.choice(TEXTS)}] * chance.choice((1, 3)),
            lambda: {"requests": {"memory": chance.choice(TEXTS), "cpu": chance.choice(NUMBERS)}},
        )
    )()


def _break_text(text: str, chance: random.Random) -> bytes:
    draw = chance.random()
    if draw < 0.04:
        at = text.find(":", chance.randrange(len(text)))
        text = f'{text[: at + 1]}{chance.choice(("NaN", "Infinity", "-0", "1e999", "01"))},"z":{text[at + 1 :]}'
    elif draw < 0.08:
        text = text.replace("{", '{"uid":"first","kind":"Twice","spec":null,', 1)
    elif draw < 0.1:
        text = text.replace("null", "[" * DEEP + "]" * DEEP, 1)
    body = text.encode("utf-8", "surrogatepass")
    if draw > 0.95:
        cut = chance.randrange(len(body))
        return body[:cut] + bytes(chance.randrange(256) for _ in range(chance.randrange(4))) + body[
            cut + chance.randrange(3) :
        ]  # fmt: skip
    return body
