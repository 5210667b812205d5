"""Numbers as people read them: the functions `humanize…` of Prometheus' templates.

Source: Prometheus, template/template.go, and common/helpers/templates.
"""

import math
from typing import Any, Final

from spanbudget.rules.templates.literals import float_of
from spanbudget.rules.templates.values import Duration, TemplateError, Time, general_text, type_name
from spanbudget.rules.templates.verbs import quoted

_LARGE: Final = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL: Final = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY: Final = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_WORDS: Final = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
_TIME_MAX_SECONDS: Final = (2**63 - 1) / 1e9


def as_float(value: Any) -> float:
    """A number, or the text of one.

    Raises:
        TemplateError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Duration):
        raise TemplateError(f"can't convert {type_name(value)} to float")
    if isinstance(value, Duration):
        return value.nanoseconds / 1e9
    if not isinstance(value, str):
        return float(value)
    sign, word = (-1.0, value[1:]) if value[:1] == "-" else (1.0, value.removeprefix("+"))
    number = _WORDS.get(word.lower())
    if number is not None:
        return sign * number
    parsed = float_of(value) if "_" not in value else None
    if parsed is None:
        raise TemplateError(f"strconv.ParseFloat: parsing {quoted(value)}: invalid syntax")
    if math.isinf(parsed):
        raise TemplateError(f"strconv.ParseFloat: parsing {quoted(value)}: value out of range")
    return parsed


def four_digits(value: float) -> str:
    """`%.4g`."""
    return f"{value:.4g}" if math.isfinite(value) else general_text(value)


def humanize(given: Any) -> str:
    """With a metric prefix: `1.234M`."""
    value = as_float(given)
    if value == 0 or not math.isfinite(value):
        return four_digits(value)
    if abs(value) >= 1:
        return _scaled(value, _LARGE, 1000)
    return _reduced(value)


def humanize_1024(given: Any) -> str:
    """With a prefix of powers of 1024: `1.5Mi`."""
    value = as_float(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return four_digits(value)
    return _scaled(value, _BINARY, 1024)


def humanize_percentage(given: Any) -> str:
    """A ratio as `12.3%`."""
    return f"{four_digits(as_float(given) * 100)}%"


def humanize_duration(given: Any) -> str:
    """Seconds as `1d 2h 3m 4s`, or `12.5ms`."""
    value = as_float(given)
    if not math.isfinite(value):
        return four_digits(value)
    if value == 0:
        return f"{four_digits(value)}s"
    if abs(value) < 1:
        return f"{_reduced(value)}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    # What 64 bits do not hold comes out as the least number that they do.
    whole, factor = (2**63, -1) if value >= 2**63 else (int(value), 1)
    days, hours, minutes, seconds = (
        part * factor for part in (whole // 86_400, whole // 3_600 % 24, whole // 60 % 60, whole % 60)
    )
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{four_digits(value)}s"


def humanize_timestamp(given: Any) -> str:
    """Seconds since the epoch as `2026-01-02 03:04:05 +0000 UTC`."""
    value = as_float(given)
    return str(to_time(value)) if math.isfinite(value) else four_digits(value)


def to_time(given: Any) -> Time:
    """Seconds since the epoch as a time.

    Raises:
        TemplateError: It is none, or beyond what 64 bits of nanoseconds hold.
    """
    value = as_float(given)
    if not math.isfinite(value):
        raise TemplateError("value is NaN or Inf")
    if abs(value) > _TIME_MAX_SECONDS:
        raise TemplateError(
            f"{general_text(value)} cannot be represented as a nanoseconds timestamp since it overflows int64"
        )
    return Time(int(abs(value * 1e9)) // 1_000_000 * (1 if value >= 0 else -1))


def to_duration(given: Any) -> Duration:
    """Seconds as a duration."""
    value = as_float(given) * 1e9
    return Duration(int(value) if math.isfinite(value) and abs(value) < 2**63 else -(2**63))


def _scaled(value: float, prefixes: tuple[str, ...], step: int) -> str:
    prefix = ""
    for larger in prefixes:
        if abs(value) < step:
            break
        prefix, value = larger, value / step
    return f"{four_digits(value)}{prefix}"


def _reduced(value: float) -> str:
    prefix = ""
    for smaller in _SMALL:
        if abs(value) >= 1:
            break
        prefix, value = smaller, value * 1000
    return f"{four_digits(value)}{prefix}"
