"""The small values of a policy: percentages, reserves, quantities, ratios, dates, switches.

Each is read once, from what YAML made of it, into an exact integer; the text it is shown as reads
back to the same value. Everything else in this room works on the integers.
"""

import re
from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import core_schema

from kube_headroom.resources.amounts import MAX_INT64
from kube_headroom.resources.quantity import QuantityError, milli, whole

Resource = Literal["cpu", "memory", "ephemeral-storage"]
Basis = Literal["requests", "limits"]

MAX_BASIS_POINTS: Final = 1_000_000  # 10000 %: a limit hundred times what is there is no limit
_PERCENT: Final = re.compile(r"([0-9]{1,5})(?:\.([0-9]{1,2}))?%\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_PERCENT_HELP: Final = "allowed: a percentage with at most two decimals, like 10% or 12.5%"


def read_percent(text: object) -> int:
    """Return a percentage in basis points: `12.5%` is 1250."""
    match = _PERCENT.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{_quoted(text)} is no percentage; {_PERCENT_HELP}")
    basis_points = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if basis_points > MAX_BASIS_POINTS:
        raise ValueError(f"{_quoted(text)} is beyond {show_percent(MAX_BASIS_POINTS)}")
    return basis_points


def show_percent(basis_points: int) -> str:
    """Return the shortest text that reads back as these basis points."""
    return f"{_decimal(basis_points, 100)}%"


class Reserve(msgspec.Struct, frozen=True):
    """What stays free: a share of any set of nodes, or an amount of the whole cluster."""

    basis_points: int = 0
    amount: int = 0


def _read_reserve(value: object, amount_of: "type[_Cpu | _Bytes]") -> Reserve:
    if isinstance(value, Reserve):
        return value
    if isinstance(value, str) and value.endswith("%"):
        basis_points = read_percent(value)
        if basis_points >= 10_000:
            raise ValueError(f"{_quoted(value)} leaves nothing to use; allowed: below 100%")
        return Reserve(basis_points=basis_points)
    allowed = "allowed: a percentage like 10%, or a quantity"
    try:
        amount = amount_of.read(value)
    except ValueError as error:
        raise ValueError(f"{error}; {allowed}") from error
    if amount_of is _Bytes and 0 < amount < 1024**2:  # a forgotten % or Gi
        raise ValueError(f"{_quoted(value)} is {amount} bytes; {allowed}")
    return Reserve(amount=amount)


class _Cpu:
    """CPU as milli-CPU."""

    @staticmethod
    def read(value: object) -> int:
        return _read_quantity(value, milli)

    @staticmethod
    def show(amount: int) -> str:
        return f"{amount}m" if amount % 1000 else str(amount // 1000)


class _Bytes:
    """Memory and ephemeral storage as bytes."""

    @staticmethod
    def read(value: object) -> int:
        return _read_quantity(value, whole)

    @staticmethod
    def show(amount: int) -> str:
        for power, suffix in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
            if amount and amount % 1024**power == 0:
                return f"{amount // 1024**power}{suffix}"
        return str(amount)


def _read_quantity(value: object, unit: Any) -> int:  # noqa: ANN401 - a cached function
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{_quoted(value)} is no quantity")  # noqa: TRY004 - pydantic's protocol
    try:
        amount = int(unit(value))
    except QuantityError as error:
        raise ValueError(str(error)) from error
    if amount < 0:
        raise ValueError(f"{_quoted(value)} is below zero")
    if amount >= MAX_INT64:
        raise ValueError(f"{_quoted(value)} is out of range")
    return amount


def read_ratio(value: object) -> int:
    """Return a ratio in thousandths: 1.5 is 1500."""
    thousandths = _read_quantity(value, milli)
    if thousandths < 1000:
        raise ValueError(f"{_quoted(value)} is below 1: no limit is below its request")
    return thousandths


def show_ratio(thousandths: int) -> str:
    """Return the shortest decimal."""
    return _decimal(thousandths, 1000)


def _show_ratio_value(thousandths: int) -> int | str:
    return show_ratio(thousandths) if thousandths % 1000 else thousandths // 1000


def _read_date(value: object) -> date:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError(f"{_quoted(value)} is no date; allowed: YYYY-MM-DD, like 2027-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{_quoted(value)} is no day of the calendar") from error


def word(value: object) -> object:
    """Return the word that was written: to YAML, a bare `off` is false and a bare `on` true."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _whole_number(value: object) -> object:
    """Return 1000000 for 1e+06: that is how Helm writes large numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _decimal(value: int, unit: int) -> str:
    fraction = str(value % unit).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{value // unit}.{fraction}" if fraction else str(value // unit)


def _text_schema(description: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": ["string", "number"], "description": description, "examples": [example]}
    )


class _ReserveOf:
    """Pydantic's view of a Reserve in the unit of one resource."""

    def __init__(self, unit: "type[_Cpu | _Bytes]", example: str) -> None:
        self._unit = unit
        self._example = example

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            lambda value: _read_reserve(value, self._unit),
            serialization=core_schema.plain_serializer_function_ser_schema(self._show),
        )

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        return {"type": ["string", "number"], "examples": ["10%", self._example]}

    def _show(self, reserve: Reserve) -> str:
        return (
            self._unit.show(reserve.amount)
            if reserve.amount
            else show_percent(reserve.basis_points)
        )


Mode = Literal["enforce", "warn", "audit"]
ModeWord = Annotated[Mode, BeforeValidator(word)]
Action = Annotated[Literal["enforce", "warn", "off"], BeforeValidator(word)]
Switch = Annotated[Literal["on", "off"], BeforeValidator(word)]
WHOLE: Final = BeforeValidator(_whole_number)
CpuReserve = Annotated[Reserve, _ReserveOf(_Cpu, "2500m")]
ByteReserve = Annotated[Reserve, _ReserveOf(_Bytes, "8Gi")]
Percent = Annotated[
    int,
    BeforeValidator(read_percent),
    PlainSerializer(show_percent),
    _text_schema("a percentage with at most two decimals", "150%"),
]
CpuQuantity = Annotated[
    int,
    BeforeValidator(_Cpu.read),
    PlainSerializer(_Cpu.show),
    _text_schema("a quantity of CPU", "250m"),
]
ByteQuantity = Annotated[
    int,
    BeforeValidator(_Bytes.read),
    PlainSerializer(_Bytes.show),
    _text_schema("a quantity of bytes", "64Mi"),
]
Ratio = Annotated[
    int,
    BeforeValidator(read_ratio),
    PlainSerializer(_show_ratio_value),
    _text_schema("how many times the request a limit may be", "4"),
]
Day = Annotated[
    date,
    BeforeValidator(_read_date),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2027-01-31"]}),
]
