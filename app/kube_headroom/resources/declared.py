"""Declared resources: one container's requests and limits, read from text once.

Separate because it is the hot path: the same few shapes of containers come by hundreds of thousands
of times, so what a shape means is computed once and remembered. Nothing remembered is larger than a
few short texts, whatever a hostile object says.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec

from kube_headroom.resources.amounts import MAX_INT64, Amounts
from kube_headroom.resources.objects import Quantities, QuantityText
from kube_headroom.resources.quantity import (
    MAX_TEXT_LENGTH,
    NANO,
    NANO_PER_MILLI,
    QuantityError,
    QuantityOutOfRange,
    is_fractional_bytes,
    milli,
    nano,
    whole,
)

Basis = Literal["requests", "limits"]
Exact = tuple[int, int, int]
"""cpu, memory and ephemeral-storage in billionths: sums are exact, rounding comes once, at the end."""

RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
"""The resources that are read, in the order of Exact."""
NOTHING: Final[Exact] = (0, 0, 0)

_TYPO_BYTES: Final = 1024 * 1024
"""Broken bytes below 1Mi are a slip of the suffix (512m); above it is arithmetic (0.1Gi)."""
_UNITS: Final[tuple[Callable[[QuantityText], int], ...]] = (milli, whole, whole)
_NANO_PER_UNIT: Final = (NANO_PER_MILLI, NANO, NANO)


class QuantityFault(msgspec.Struct, frozen=True, gc=False):
    """One quantity that does not mean what its author thinks."""

    basis: Basis
    resource: str
    text: str
    kind: Literal["fractional", "out-of-range", "malformed", "negative"]
    message: str


class Declared(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What one container declares; requests not given are its limits.

    A quantity that cannot be read is there, as 0; one that is out of range is all there is. Shared
    by all containers of the same shape: never changed, and hashed by identity.
    """

    requests: Mapping[str, int]
    limits: Mapping[str, int]
    exact_requests: Exact
    exact_limits: Exact
    faults: tuple[QuantityFault, ...]


class _Reading(msgspec.Struct, frozen=True, gc=False):
    """One basis of one container."""

    values: Mapping[str, int]
    exact: Exact
    faults: tuple[QuantityFault, ...]


class _TooLongError(Exception):
    """A text that must not be remembered."""


def declared(requests: Quantities | None, limits: Quantities | None) -> Declared:
    """Return what the two lists declare."""
    requests = requests or {}
    limits = limits or {}
    key = (
        *(requests.get("cpu"), requests.get("memory"), requests.get("ephemeral-storage")),
        *(limits.get("cpu"), limits.get("memory"), limits.get("ephemeral-storage")),
    )
    try:
        return _remembered(*key)
    except _TooLongError:
        return _declared(key[:3], key[3:])


def exact(quantities: Quantities | None) -> Exact:
    """Return one list exactly as it stands, nothing defaulted."""
    if not quantities:
        return NOTHING
    get = quantities.get
    key = (get("cpu"), get("memory"), get("ephemeral-storage"))
    try:
        return _remembered_exact(*key)
    except _TooLongError:
        return _read("requests", key).exact


def plus(a: Exact, b: Exact) -> Exact:
    """Return the sum."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def larger(a: Exact, b: Exact) -> Exact:
    """Return the larger of the two, resource by resource."""
    return (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]))


def pod_amounts(total: Exact) -> Amounts:
    """Return one pod's amounts: rounded up once, cut at int64."""
    cpu = -(-total[0] // NANO_PER_MILLI)
    memory = -(-total[1] // NANO)
    storage = -(-total[2] // NANO)
    if cpu > MAX_INT64 or memory > MAX_INT64 or storage > MAX_INT64:
        return Amounts(min(cpu, MAX_INT64), min(memory, MAX_INT64), min(storage, MAX_INT64), 1)
    return Amounts(cpu, memory, storage, 1)


@lru_cache(maxsize=8192)
def _remembered(*texts: QuantityText | None) -> Declared:
    _check_length(texts)
    return _declared(texts[:3], texts[3:])


@lru_cache(maxsize=8192)
def _remembered_exact(*texts: QuantityText | None) -> Exact:
    _check_length(texts)
    return _read("requests", texts).exact


def _check_length(texts: tuple[QuantityText | None, ...]) -> None:
    if any(isinstance(text, str) and len(text) > MAX_TEXT_LENGTH for text in texts):
        raise _TooLongError


def _declared(
    requests: tuple[QuantityText | None, ...], limits: tuple[QuantityText | None, ...]
) -> Declared:
    limit = _read("limits", limits)
    request = _read("requests", requests)
    # A request that its limit gives has the limit's faults; they are reported once.
    given = tuple(
        own if own is not None else other for own, other in zip(requests, limits, strict=True)
    )
    filled = _read("requests", given)
    return Declared(
        requests=filled.values,
        limits=limit.values,
        exact_requests=filled.exact,
        exact_limits=limit.exact,
        faults=request.faults + limit.faults,
    )


def _read(basis: Basis, texts: tuple[QuantityText | None, ...]) -> _Reading:
    values: dict[str, int] = {}
    exacts = [0, 0, 0]
    faults: list[QuantityFault] = []
    for index, text in enumerate(texts):
        if text is None:
            continue
        fault, values[RESOURCES[index]], exacts[index] = _read_one(basis, index, text)
        if fault is not None:
            faults.append(fault)
    return _Reading(values, (exacts[0], exacts[1], exacts[2]), tuple(faults))


def _read_one(
    basis: Basis, index: int, text: QuantityText
) -> tuple[QuantityFault | None, int, int]:
    """Return what is wrong with a quantity if anything, its value in units, and exactly."""
    resource = RESOURCES[index]
    try:
        value = _UNITS[index](text)
        exactly = nano(text)
    except QuantityOutOfRange as error:
        fault = QuantityFault(basis, resource, _shown(text), "out-of-range", str(error))
        return fault, MAX_INT64, MAX_INT64 * _NANO_PER_UNIT[index]
    except QuantityError as error:
        return QuantityFault(basis, resource, _shown(text), "malformed", str(error)), 0, 0
    if value < 0:
        message = f"{_shown(text)} is below zero"
        return QuantityFault(basis, resource, _shown(text), "negative", message), 0, 0
    if resource != "cpu" and value < _TYPO_BYTES and is_fractional_bytes(text):
        return _fractional(basis, resource, text, exactly), value, exactly
    return None, value, exactly


def _fractional(basis: Basis, resource: str, text: QuantityText, exactly: int) -> QuantityFault:
    shown = _shown(text)
    number = shown.removesuffix("m")
    # A slip of the suffix has the digits of a sensible amount of Mi.
    slipped = shown.endswith("m") and number.isdigit() and len(number) <= 5
    hint = f", {number}Mi was probably meant" if slipped else ""
    thousandths = -(-exactly // NANO_PER_MILLI)
    message = f"{shown} is {thousandths // 1000}.{thousandths % 1000:03} bytes{hint}"
    return QuantityFault(basis, resource, shown, "fractional", message)


def _shown(text: QuantityText) -> str:
    if isinstance(text, int) and abs(text) > MAX_INT64:
        return "a number of too many digits"
    return str(text)[:MAX_TEXT_LENGTH]
