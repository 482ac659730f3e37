"""Figures in messages: they add up, and the room that is shown is never more than there is."""

import re
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kube_headroom.admission.figures import show_sum
from kube_headroom.admission.message import shortfall_finding
from kube_headroom.capacity.headroom import Shortfall

AMOUNTS = st.one_of(
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 33).map(lambda tenths: tenths * (1 << 30) // 10),
    st.integers(0, 1 << 20).map(lambda mebibytes: mebibytes << 20),
    st.integers(0, 5000),
)
RESOURCES = st.sampled_from(["memory", "ephemeral_storage", "cpu", "pods"])
_SUM = re.compile(
    r"headroom is (?P<room>\S+) on .* \(free (?P<free>[^ )]+)"
    r"(?: - reserve (?P<reserve>[^ )]+))?(?: - still to come (?P<coming>[^ )]+))?"
    r"(?: - promised (?P<promised>[^ )]+))?\)"
)


def amount(resource, text):
    """Return a figure as people read it, in the units of Amounts; no size is too large."""
    digits = text.rstrip("KMGTPEim")
    suffix = text.removeprefix(digits)
    scale = (
        Fraction(1, 1000) if suffix == "m" else Fraction(1024) ** " KMGTPE".index(suffix[:1] or " ")
    )
    return Fraction(digits) * scale * (1000 if resource == "cpu" else 1)


@settings(max_examples=500, deadline=None)
@given(RESOURCES, st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS))
@example("memory", (0, 0, 0, 0))
@example("memory", (1, 1, 0, 0))
@example("memory", (8148092 * 1024 * 3, 7000000001, 1, 1))
@example("cpu", (1, 2, 0, 0))
def test_figures_add_up_and_never_favour_who_asks(resource, values):
    shown = show_sum(resource, values)
    room, free, reserve, coming, promised = (
        amount(resource, text)
        for text in (shown.room, shown.free, shown.reserve, shown.coming, shown.promised)
    )
    assert room == free - reserve - coming - promised
    assert room <= values[0] - sum(values[1:])
    assert free <= values[0]
    assert all(
        text >= real for text, real in zip((reserve, coming, promised), values[1:], strict=True)
    )


@settings(max_examples=500, deadline=None)
@given(RESOURCES, st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), AMOUNTS, st.integers(0, 500))
def test_messages_show_what_is_left_and_what_is_asked(resource, values, unit, pods):
    """What a message shows is asked for is never less than it is, and more than the room."""
    free, reserve, coming, promised = values
    room = free - reserve - coming - promised
    need = unit * pods if pods else unit
    if need <= max(0, room):
        return
    message = shortfall_finding(
        Shortfall(
            code="HR201", action="enforce", resource=resource, basis="requests", need=need,
            room=room, unit=unit, nodes=3, free=free, reserve=reserve, coming=coming,
            promised=promised, pods=pods,
        ),
        "enforce",
        replicas=True,
    ).message  # fmt: skip
    figures = _SUM.search(message)
    assert figures is not None, message
    shown = {name: amount(resource, text or "0") for name, text in figures.groupdict().items()}
    held = shown["reserve"] + shown["coming"] + shown["promised"]
    assert shown["room"] == shown["free"] - held
    asked = re.search(
        r": (?:.* = |1 pod of |.* each, )?(\S+?)(?: more| in all)?, headroom", message
    )
    assert asked is not None, message
    assert need <= amount(resource, asked[1])
    product = re.search(r"(\d+) pods x (\S+) = (\S+),", message)
    if product:
        assert int(product[1]) * amount(resource, product[2]) == amount(resource, product[3])


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((8 << 30, 0, 512 << 20, 0), "7.5Gi = 8Gi - 0 - 0.5Gi - 0"),
        ((7957 << 20, 0, 0, 0), "7957Mi = 7957Mi - 0 - 0 - 0"),
        ((1 << 30, 0, 3 << 30, 0), "-2Gi = 1Gi - 0 - 3Gi - 0"),
        ((1000, 1, 0, 0), "0.8Ki = 0.9Ki - 0.1Ki - 0 - 0"),
    ],
)
def test_figures_are_in_one_readable_unit(values, shown):
    figures = show_sum("memory", values)
    held = f"{figures.reserve} - {figures.coming} - {figures.promised}"
    assert f"{figures.room} = {figures.free} - {held}" == shown
