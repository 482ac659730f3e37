"""Quantities mean what Kubernetes says, and cost nothing whatever they say."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_headroom.resources import quantity
from kube_headroom.resources.amounts import MAX_INT64
from kube_headroom.resources.quantity import (
    MAX_TEXT_LENGTH,
    NANO,
    QuantityError,
    QuantityOutOfRange,
    milli,
    nano,
    show,
    show_bytes,
    show_milli,
    whole,
)
from tests.resources.cases_of import cases_of
from tests.resources.properties import patient

ERRORS = {"malformed": QuantityError, "out-of-range": QuantityOutOfRange}
SUFFIXES = {
    "n": Fraction(1, NANO),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
}
SUFFIXES |= {
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "Ki": Fraction(2**10),
    "Gi": Fraction(2**30),
}
AMOUNTS = st.integers(0, MAX_INT64)


@pytest.mark.parametrize("case", cases_of("quantities"))
def test_a_text_means_its_amount_or_is_refused(case: dict[str, Any]) -> None:
    text = case["text"]
    if "error" in case:
        with pytest.raises(QuantityError) as refused:
            nano(text)
        assert refused.type is ERRORS[case["error"]]
    for unit, read in (("nano", nano), ("milli", milli), ("whole", whole)):
        if unit in case:
            assert read(text) == case[unit]


@pytest.mark.parametrize("case", cases_of("shown"))
def test_an_amount_is_shown_for_people(case: dict[str, Any]) -> None:
    assert show(case["resource"], case["amount"], up=case["up"]) == case["text"]


@patient
@given(
    number=st.integers(0, 10**9),
    decimals=st.integers(0, 8),
    suffix=st.sampled_from(sorted(SUFFIXES)),
    sign=st.sampled_from(["", "+", "-"]),
)
def test_the_exact_value_is_rounded_away_from_zero_once(
    number: int, decimals: int, suffix: str, sign: str
) -> None:
    """The nano value is never below the real one and less than one nano above."""
    digits = str(number).zfill(decimals + 1)
    point = len(digits) - decimals
    exact = Fraction(number, 10**decimals) * SUFFIXES[suffix] * NANO
    read = nano(f"{sign}{digits[:point]}.{digits[point:]}{suffix}")
    assert exact <= abs(read) < exact + 1
    assert (read < 0) == (sign == "-" and number > 0)


@patient
@given(a=AMOUNTS, b=AMOUNTS, suffix=st.sampled_from(["", "m", "u", "n"]))
def test_a_larger_number_is_never_a_smaller_quantity(a: int, b: int, suffix: str) -> None:
    low, high = sorted((a, b))
    for read in (nano, whole):
        assert read(f"{low}{suffix}") <= read(f"{high}{suffix}")


@patient
@given(text=st.text(st.sampled_from("0123456789.+-eEinumkKMGTP \u0663\t"), max_size=90))
def test_any_text_is_an_amount_in_range_or_a_quantity_error(text: str) -> None:
    read = 0
    with suppress(QuantityError):
        read = nano(text)
    assert abs(read) <= MAX_INT64 * NANO


HUGE = {
    "exponent": "10e999999",
    "negative exponent": "1e-999999999",
    "exponent beyond int32": "1e2147483648",
    "digits of an exponent": "1e" + "9" * 62,
    "digits": "9" * 10**6,
    "integer": 10**5000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_no_exponent_and_no_length_makes_work(
    text: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before any power of ten is used and before long digits become a number."""
    monkeypatch.setattr(quantity, "_POWERS", ())
    with pytest.raises(QuantityOutOfRange):
        nano(text)


def test_what_is_remembered_is_bounded() -> None:
    """A stranger can fill the caches, but only with short texts and only so many."""
    for read in (nano, milli, whole):
        assert read.cache_info().maxsize == 16384
    before = nano.cache_info().currsize
    with pytest.raises(QuantityOutOfRange):
        nano("1" * (MAX_TEXT_LENGTH + 1))
    assert nano.cache_info().currsize == before


@patient
@given(n=st.integers(-MAX_INT64, MAX_INT64), up=st.booleans())
def test_shown_bytes_read_back_on_the_side_they_were_rounded_to(n: int, up: bool) -> None:
    read = Fraction(_exact(show_bytes(n, up=up)))
    assert read >= n if up else read <= n
    assert abs(read - n) <= abs(n) / 10


@patient
@given(n=st.integers(-MAX_INT64, MAX_INT64))
def test_shown_cpu_is_exact(n: int) -> None:
    assert _exact(show_milli(n)) * 1000 == n


@patient
@given(tenths=st.integers(10, 10_239), bits=st.sampled_from([0, 10, 20, 30, 40, 50]))
def test_what_one_decimal_can_say_is_said_exactly(tenths: int, bits: int) -> None:
    n, rest = divmod(tenths << bits, 10)
    if rest == 0:
        assert show_bytes(n, up=True) == show_bytes(n, up=False)


def _exact(text: str) -> Fraction:
    """Read a shown amount without the code under test."""
    for suffix, unit in (
        *((s, 2 ** (10 * (i + 1))) for i, s in enumerate(BINARY)),
        ("m", Fraction(1, 1000)),
    ):
        if text.endswith(suffix):
            return Fraction(text.removesuffix(suffix)) * unit
    return Fraction(text)


BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
