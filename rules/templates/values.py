"""The values of templates, and the Go types that they stand for.

bool, int, float and str are themselves; None is Go's invalid value, which prints as `<no value>`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from spanbudget.rules.labels import Labels

_NS: Final = 1_000_000_000


class TemplateError(Exception):
    """A template cannot be expanded; the message is Go's. It never leaves this package."""


class StringMap(dict[str, str]):
    """`map[string]string`: a name that is not there has the value ""."""


class AnyMap(dict[str, Any]):
    """`map[string]interface {}`, what the function `args` makes."""


class Html(str):
    """`template.HTML`: text that a web page would not escape."""

    __slots__ = ()


class Byte(int):
    """`uint8`, what a string has at an index."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class QuerySample:
    """`*template.sample`: one series that the function `query` found."""

    Labels: StringMap
    Value: float


class QueryResult(list[QuerySample]):
    """`template.queryResult`."""


@dataclass(frozen=True, slots=True)
class AlertData:
    """What the dot is at the start."""

    Labels: StringMap
    ExternalLabels: StringMap
    ExternalURL: str
    Value: float


@dataclass(frozen=True, slots=True)
class Time:
    """`*time.Time`, in UTC, to the millisecond."""

    at_ms: int

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.at_ms // 1000, UTC)
        fraction = f".{self.at_ms % 1000:03}".rstrip("0").rstrip(".")
        return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


@dataclass(frozen=True, slots=True)
class Duration:
    """`*time.Duration`."""

    nanoseconds: int

    def __str__(self) -> str:
        return _duration_text(self.nanoseconds)


def _duration_text(nanoseconds: int) -> str:
    """As Go's `time.Duration.String`: `1h1m1.5s`, `1.5ms`, `0s`."""
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if left < (size * 1_000 if unit != "ms" else _NS):
            return f"{sign}{_decimal(left, size)}{unit}"
    minutes, rest = divmod(left, 60 * _NS)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _NS)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(count: int, size: int) -> str:
    digits = len(str(size)) - 1
    fraction = f"{count % size:0{digits}}".rstrip("0") if digits else ""
    return f"{count // size}.{fraction}" if fraction else str(count // size)


_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "bool"),
    (Byte, "uint8"),
    (int, "int"),
    (float, "float64"),
    (Html, "template.HTML"),
    (str, "string"),
    (StringMap, "map[string]string"),
    (AnyMap, "map[string]interface {}"),
    (QueryResult, "template.queryResult"),
    (QuerySample, "*template.sample"),
    (Time, "*time.Time"),
    (Duration, "*time.Duration"),
    (
        AlertData,
        (
            "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; "
            "Value interface {} }"
        ),
    ),
)


def type_name(value: object) -> str:
    """The name of a value's Go type."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "<nil>")


def is_true(value: object) -> bool:
    """Whether `if` takes a value for true: not when it is empty, 0, false or nothing."""
    if isinstance(value, Time | Duration | AlertData | QuerySample):
        return True
    return bool(value) or (isinstance(value, float) and math.isnan(value))


def string_map(labels: Labels | Iterable[tuple[str, str]]) -> StringMap:
    """Labels as templates see them."""
    return StringMap(labels)


def general_text(value: float) -> str:
    """A float as `%v` writes it: the fewest digits that tell it apart, 1e-05 and 1e+06 with an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    negative = mantissa.startswith("-")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    digits = digits.rstrip("0")
    sign = "-" if negative else ""
    if not digits:
        return f"{sign}0"
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """Digits with a decimal point behind the first `point` of them."""
    exponent = point - 1
    if exponent < -4 or exponent >= 6:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{digits[0]}{rest}e{exponent:+03d}"
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def plain_text(value: object, *, nested: bool = False) -> str:
    """A value as `{{ … }}` and `%v` write it."""
    if value is None:
        return "<nil>" if nested else "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return general_text(value)
    if isinstance(value, dict):
        pairs = " ".join(f"{key}:{plain_text(value[key], nested=True)}" for key in sorted(value))
        return f"map[{pairs}]"
    if isinstance(value, list):
        return f"[{' '.join('0xc000000000' for _ in value)}]"
    if isinstance(value, QuerySample | AlertData):
        fields = (getattr(value, name) for name in value.__slots__)
        return f"{{{' '.join(plain_text(field, nested=True) for field in fields)}}}"
    return str(value)
