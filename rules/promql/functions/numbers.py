"""Functions of one number, with the results that IEEE 754 and Go give where Python raises.

Source: Prometheus 3, promql/functions.go; Go's `math`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final


def quotient(dividend: float, divisor: float) -> float:
    """A division as the processor does it: by zero is ±Inf, and not a number for 0 / 0."""
    if divisor:
        return dividend / divisor
    if dividend == 0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def ceil(value: float) -> float:
    """The next whole number up; keeps the sign of a zero."""
    return math.copysign(float(math.ceil(value)), value) if math.isfinite(value) else value


def floor(value: float) -> float:
    """The next whole number down; keeps the sign of a zero."""
    return math.copysign(float(math.floor(value)), value) if math.isfinite(value) else value


def round_to(value: float, to_nearest: float = 1.0) -> float:
    """The nearest multiple, the upper one of two equally near."""
    inverse = quotient(1.0, to_nearest)
    return quotient(floor(value * inverse + 0.5), inverse)


def sgn(value: float) -> float:
    """The sign, -1 or 1; zero and not-a-number stay what they are."""
    if value < 0:
        return -1.0
    return 1.0 if value > 0 else value


def clamp(value: float, lower: float, upper: float) -> float | None:
    """The value, or the bound beyond which it lies; None where no value can be within the bounds."""
    if upper < lower:
        return None
    return _max(_min(value, upper), lower)


def clamp_min(value: float, lower: float) -> float:
    """The value, or the lower bound if that is higher."""
    return _max(value, lower)


def clamp_max(value: float, upper: float) -> float:
    """The value, or the upper bound if that is lower."""
    return _min(value, upper)


def _max(one: float, other: float) -> float:
    """Go's `math.Max`: +Inf wins over not-a-number, and 0 over -0."""
    if math.isnan(one) or math.isnan(other):
        return math.inf if math.inf in (one, other) else math.nan
    if one == other:
        return one if math.copysign(1.0, one) > 0 else other
    return max(one, other)


def _min(one: float, other: float) -> float:
    """Go's `math.Min`: -Inf wins over not-a-number, and -0 over 0."""
    if math.isnan(one) or math.isnan(other):
        return -math.inf if -math.inf in (one, other) else math.nan
    if one == other:
        return one if math.copysign(1.0, one) < 0 else other
    return min(one, other)


def exp(value: float) -> float:
    """E to the power of the value."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def ln(value: float) -> float:
    """The natural logarithm; of zero it is -Inf."""
    if value > 0:
        return math.log(value)
    return -math.inf if value == 0 else math.nan


def log2(value: float) -> float:
    """The binary logarithm, exact for powers of two, by Go's formula."""
    fraction, exponent = math.frexp(value)
    if fraction == 0.5:
        return float(exponent - 1)
    return ln(fraction) * (1 / math.log(2)) + exponent


def log10(value: float) -> float:
    """The decimal logarithm, by Go's formula."""
    return ln(value) * (1 / math.log(10))


def sinh(value: float) -> float:
    """The hyperbolic sine."""
    return math.copysign(exp(abs(value)) * 0.5, value) if abs(value) > 21 else math.sinh(value)


def cosh(value: float) -> float:
    """The hyperbolic cosine."""
    return exp(abs(value)) * 0.5 if abs(value) > 21 else math.cosh(value)


def atanh(value: float) -> float:
    """The inverse hyperbolic tangent; of ±1 it is ±Inf."""
    return math.copysign(math.inf, value) if abs(value) == 1 else _or_nan(math.atanh)(value)


def degrees(value: float) -> float:
    """Radians as degrees."""
    return value * (180 / math.pi)


def radians(value: float) -> float:
    """Degrees as radians."""
    return value * (math.pi / 180)


def _or_nan(function: Callable[[float], float]) -> Callable[[float], float]:
    """The function, not a number outside its domain."""

    def total_function(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return math.nan

    return total_function


NUMBERS: Final[Mapping[str, Callable[..., float | None]]] = {
    "abs": math.fabs,
    "acos": _or_nan(math.acos),
    "acosh": _or_nan(math.acosh),
    "asin": _or_nan(math.asin),
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": atanh,
    "ceil": ceil,
    "clamp": clamp,
    "clamp_max": clamp_max,
    "clamp_min": clamp_min,
    "cos": _or_nan(math.cos),
    "cosh": cosh,
    "deg": degrees,
    "exp": exp,
    "floor": floor,
    "ln": ln,
    "log10": log10,
    "log2": log2,
    "rad": radians,
    "round": round_to,
    "sgn": sgn,
    "sin": _or_nan(math.sin),
    "sinh": sinh,
    "sqrt": _or_nan(math.sqrt),
    "tan": _or_nan(math.tan),
    "tanh": math.tanh,
}
