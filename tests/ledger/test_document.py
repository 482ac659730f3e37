"""The ledger's text: what goes in comes out, and what nobody of us wrote opens no gate."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_headroom.capacity.ledger_document import (
    Document,
    LedgerTooNewError,
    LedgerUnreadableError,
    decode,
    encode,
)
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.promise import Promise, Version
from kube_headroom.resources.amounts import Amounts
from kube_headroom.resources.placement import Placement, Requirement, Term, Tolerated
from kube_headroom.resources.selector import Condition, Selector

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=40)
WHOLE = st.integers(0, 2**63 - 1)
AMOUNTS = st.builds(Amounts, WHOLE, WHOLE, WHOLE, WHOLE)
REQUIREMENTS = st.builds(Requirement, NAMES, NAMES, st.tuples(NAMES), st.integers(-9, 9))
TERMS = st.builds(Term, st.tuples(REQUIREMENTS), st.tuples())
PLACEMENTS = st.builds(
    Placement,
    st.just("") | NAMES,
    st.tuples(st.tuples(NAMES, NAMES)) | st.tuples(),
    st.none() | st.tuples(TERMS),
    st.tuples(st.builds(Tolerated, NAMES, NAMES, NAMES, NAMES)) | st.tuples(),
)
VERSIONS = st.builds(
    Version,
    count=WHOLE,
    unit=st.builds(Load, AMOUNTS, AMOUNTS),
    placement=PLACEMENTS,
    priority=st.integers(-(2**31), 2**31 - 1),
    owner=st.just("") | NAMES,
    preempts=st.booleans(),
)
SELECTORS = st.builds(
    Selector,
    NAMES,
    st.tuples(st.tuples(NAMES, NAMES)) | st.tuples(),
    st.tuples(st.builds(Condition, NAMES, NAMES, st.tuples(NAMES))) | st.tuples(),
    st.sampled_from(["pods", "replicasets"]),
    st.just("") | NAMES,
)
PROMISES = st.builds(
    Promise,
    st.sampled_from(["pods", "deployments", "jobs"]),
    *(NAMES, WHOLE, NAMES, NAMES, VERSIONS),
    st.none() | SELECTORS,
)
DOCUMENTS = st.builds(
    Document,
    st.dictionaries(PROMISES, st.integers(0, 9), max_size=5),
    st.dictionaries(NAMES, WHOLE, max_size=3),
    NAMES,
    NAMES,
)


@given(DOCUMENTS)
def test_what_is_written_is_what_is_read(document: Document) -> None:
    encoded = encode(document)
    assert decode(encoded.text) == document
    assert encoded.text.isascii()
    assert sum(encoded.by_namespace.values()) <= len(encoded.text)


def stored(**changes: object) -> str:
    version = Version(1, Load(Amounts(1, 2, 3, 4), Amounts()), Placement(), 0)
    document = Document({Promise("pods", "u", 0, "shop", "web", version): 0})
    return json.dumps({**json.loads(encode(document).text), **changes})


ROW = json.loads(stored())["rows"][0]


def row(index: int, value: object) -> str:
    return stored(rows=[[value if at == index else part for at, part in enumerate(ROW)]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        stored()[:-3],
        stored(format="1"),
        stored(format=0),
        stored(rows=None),
        stored(watermarks={"pods": "7"}),
        stored(watermarks={"pods": -7}),
        stored(placements=[]),
        row(2, -1),
        row(5, -3),
        row(6, [-1, 0, 0, 0]),
        row(6, [0, 0, 0]),
        row(8, -1),
        row(8, 7),
    ],
)
def test_what_nobody_of_us_wrote_is_unreadable(text: str) -> None:
    with pytest.raises(LedgerUnreadableError):
        decode(text)


@pytest.mark.parametrize("text", [stored(format=2), '{"format": 9}', row(0, "daemonthings")])
def test_what_a_newer_release_wrote_is_not_judged(text: str) -> None:
    with pytest.raises(LedgerTooNewError):
        decode(text)


def test_a_placement_that_many_share_stands_once() -> None:
    placement = Placement(node_selector=(("disk", "ssd"),))
    version = Version(1, Load(), placement, 0)
    many = {Promise("pods", f"u{n}", 0, "shop", "", version): 0 for n in range(100)}
    assert encode(Document(many)).text.count("ssd") == 1


def test_2000_rows_are_256_kib() -> None:
    """A row of ordinary names and sizes takes at most 131 characters."""
    version = Version(
        3, Load(Amounts(250, 1 << 28, 0, 1), Amounts(500, 1 << 29, 0, 1)), Placement(), 0
    )
    uid = "0a1b2c3d-0000-4000-8000-{:012d}"
    many = {
        Promise("deployments", uid.format(n), 1234567, "team-a", "", version): 0
        for n in range(2000)
    }
    size = len(encode(Document(many)).text)
    print(f"2000 rows: {size} bytes")
    assert size <= 256 * 1024
