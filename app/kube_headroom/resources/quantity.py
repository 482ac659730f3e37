"""Quantities: what `512Mi`, `250m` or `1e3` mean, in exact integers, and how amounts are shown.

Separate because every number of this product enters here and leaves here. The grammar is the API
server's own, oddities included (a bare `m` is zero). Its arithmetic is not: beyond int64 it wraps to
nothing, and an exponent of a million keeps it busy for minutes. Both are QuantityOutOfRange here,
found before any large integer is built.
"""

import re
from functools import lru_cache
from typing import Final

from kube_headroom.resources.amounts import MAX_INT64
from kube_headroom.resources.objects import QuantityText

NANO: Final = 10**9
"""Nanos in one: the finest step a quantity can have."""
NANO_PER_MILLI: Final = 10**6

MAX_TEXT_LENGTH: Final = 64
"""The API server writes at most 20 digits and a suffix; what is longer is padding."""
MAX_EXPONENT: Final = 40
"""10^18 fills int64 and 10^-9 is the finest step; beyond 40 only padding digits make sense of it."""

_QUANTITY: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([A-Za-z]*)([+-]?[0-9]*)")
_DECIMAL_EXPONENTS: Final = {
    suffix: 3 * step for step, suffix in enumerate(("n", "u", "m", "", *"kMGTPE"), start=-3)
}
_POWERS: Final[tuple[int, ...]] = tuple(10**power for power in range(128))
"""More than any text within both bounds can need, and all that is ever multiplied with."""
_BINARY_EXPONENTS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_UNITS: Final = tuple(
    (suffix, 1 << bits) for suffix, bits in reversed((("", 0), *_BINARY_EXPONENTS.items()))
)
_MISSPELT_SUFFIX: Final = re.compile(r"([kmgtpe])i?b?", re.IGNORECASE)
# The API server trims a quantity before JSON escapes are read: tabs and line ends never are trimmed.
_BLANKS: Final = " \x85\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class QuantityError(ValueError):
    """A text that is no quantity; the message says what would be one."""


class QuantityOutOfRange(QuantityError):  # noqa: N818 - named for what it is
    """A quantity that Kubernetes accepts and then counts as something else, often as zero."""


@lru_cache(maxsize=16384)
def nano(q: QuantityText) -> int:
    """Return the quantity in billionths, exactly; what is finer is rounded away from zero."""
    text = _text(q)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise _malformed(text)
    sign, whole_digits, decimals, suffix, exponent_text = match.groups(default="")
    base, exponent = _scale(text, suffix, exponent_text)
    if not whole_digits and not decimals:
        _check_bare_suffix(text, base, exponent)
    mantissa = int(whole_digits + decimals or "0")
    if mantissa == 0:
        return 0
    if abs(exponent) > MAX_EXPONENT and base == 10:
        raise _out_of_range(text)
    result = _scaled(mantissa, base, exponent, len(decimals))
    if result > MAX_INT64 * NANO:
        if base == 10:
            raise _out_of_range(text)
        result = MAX_INT64 * NANO  # upstream caps the binary family only
    return -result if sign == "-" else result


@lru_cache(maxsize=16384)
def milli(q: QuantityText) -> int:
    """Return the quantity in thousandths, rounded away from zero: cpu as Kubernetes counts it."""
    result = away_from_zero(nano(q), NANO_PER_MILLI)
    if abs(result) > MAX_INT64:
        raise _out_of_range(str(q))
    return result


@lru_cache(maxsize=16384)
def whole(q: QuantityText) -> int:
    """Return the quantity as an integer, rounded away from zero: bytes as Kubernetes counts them."""
    return away_from_zero(nano(q), NANO)


def is_fractional_bytes(q: QuantityText) -> bool:
    """Say whether the quantity, read as bytes, has a broken part: `512m` is half a byte."""
    return nano(q) % NANO != 0


def away_from_zero(dividend: int, divisor: int) -> int:
    """Divide and round away from zero, as Kubernetes rounds quantities."""
    return -(-dividend // divisor) if dividend >= 0 else dividend // divisor


def show(resource: str, n: int, *, up: bool) -> str:
    """Return an amount of a resource for people; cpu is in milli, pods in pieces, all else bytes."""
    if resource == "cpu":
        return show_milli(n)
    return str(n) if resource == "pods" else show_bytes(n, up=up)


def show_bytes(n: int, *, up: bool) -> str:
    """Return bytes in binary units with at most one decimal: exact if that stays readable.

    Otherwise rounded up or down as told, never across: `1536Mi` is 1.5Gi, `7957Mi` stays.
    """
    if n < 0:
        return "-" + show_bytes(-n, up=not up)
    for suffix, unit in _UNITS:
        tenths, rest = divmod(n * 10, unit)
        # Four digits before the point read well; below one unit the next smaller one does.
        if rest == 0 and 10 <= tenths < 100_000:
            return _tenths(tenths) + suffix
    for suffix, unit in _UNITS:
        if n >= unit:
            tenths = -(-n * 10 // unit) if up else n * 10 // unit
            # 1023.96Mi upwards is 1024Mi, which is written 1Gi.
            return show_bytes(unit * 1024, up=up) if tenths == 10240 else _tenths(tenths) + suffix
    return str(n)


def show_milli(n: int) -> str:
    """Return milli-CPU as cores where one decimal says it, else in milli; always exact."""
    if n % 1000 == 0 or (n % 100 == 0 and abs(n) > 1000):
        return ("-" if n < 0 else "") + _tenths(abs(n) // 100)
    return f"{n}m"


def _tenths(tenths: int) -> str:
    integer, decimal = divmod(tenths, 10)
    return f"{integer}.{decimal}" if decimal else str(integer)


def _text(q: QuantityText) -> str:
    if isinstance(q, int) and abs(q) > MAX_INT64:
        # Checked as a number: str() refuses integers of more than 4300 digits.
        raise QuantityOutOfRange(f"a number beyond {MAX_INT64} is out of range")
    text = str(q).strip(_BLANKS)
    if len(text) > MAX_TEXT_LENGTH:
        raise _out_of_range(text)
    return text


def _scale(text: str, suffix: str, exponent_text: str) -> tuple[int, int]:
    """Return the base (10 or 2) and exponent that the suffix stands for."""
    if exponent_text:
        if suffix not in {"e", "E"} or not exponent_text[-1].isdigit():
            raise _malformed(text)
        return 10, int(exponent_text)
    if suffix in _DECIMAL_EXPONENTS and text:
        return 10, _DECIMAL_EXPONENTS[suffix]
    if suffix in _BINARY_EXPONENTS:
        return 2, _BINARY_EXPONENTS[suffix]
    raise _malformed(text)


def _check_bare_suffix(text: str, base: int, exponent: int) -> None:
    """Refuse the few suffixes without a digit that upstream does not read as zero."""
    if (base == 2 and exponent >= 50) or (base == 10 and exponent < -9):
        raise _malformed(text)


def _scaled(mantissa: int, base: int, exponent: int, decimals: int) -> int:
    """Return mantissa x base^exponent x 10^-decimals in billionths, rounded up."""
    power = 9 - decimals
    if base == 2:
        mantissa <<= exponent
    else:
        power += exponent
    return mantissa * _POWERS[power] if power >= 0 else -(-mantissa // _POWERS[-power])


def _malformed(text: str) -> QuantityError:
    shown = f'"{text[:MAX_TEXT_LENGTH]}" is not a quantity'
    suffix = re.sub(r"^[+-]?[0-9.]*", "", text)
    misspelt = _MISSPELT_SUFFIX.fullmatch(suffix)
    if misspelt is None:
        return QuantityError(f"{shown}; write a number and a suffix, like 512Mi, 1.5Gi, 250m or 2")
    letter = misspelt[1].lower() if misspelt[1] in "kK" else misspelt[1].upper()
    return QuantityError(
        f'{shown}: the suffix "{suffix}" does not exist, write {letter} or {letter.upper()}i'
    )


def _out_of_range(text: str) -> QuantityOutOfRange:
    shown = text if len(text) <= MAX_TEXT_LENGTH else text[:16] + "..."
    return QuantityOutOfRange(f"{shown} is out of range; Kubernetes counts up to {MAX_INT64}")
