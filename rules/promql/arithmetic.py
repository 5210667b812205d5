"""The operators of PromQL on two numbers, with the results of IEEE 754 and Go where Python raises."""

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from spanbudget.rules.promql.functions.numbers import quotient

Operation: TypeAlias = Callable[[float, float], float]
Comparison: TypeAlias = Callable[[float, float], bool]


def remainder(dividend: float, divisor: float) -> float:
    """What a division leaves, with the sign of the dividend; not a number where there is none.

    Source: Go's `math.Mod`.
    """
    try:
        return math.fmod(dividend, divisor)
    except ValueError:  # of an infinity, or by zero
        return math.nan


def power(base: float, exponent: float) -> float:
    """A power; ±Inf where it overflows or is a pole, not a number for a root of a negative number.

    Source: Go's `math.Pow`.
    """
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = math.fmod(exponent, 2) in (1.0, -1.0)
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base != 0:
            return math.nan
        odd = math.fmod(exponent, 2) in (1.0, -1.0)
        return math.copysign(math.inf, base) if odd else math.inf


ARITHMETIC: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": quotient,
        "%": remainder,
        "^": power,
        "atan2": math.atan2,
    }
)
COMPARISONS: Final[Mapping[str, Comparison]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        ">": operator.gt,
        "<": operator.lt,
        ">=": operator.ge,
        "<=": operator.le,
    }
)
MIRRORED: Final[Mapping[str, str]] = MappingProxyType(
    {"==": "==", "!=": "!=", ">": "<", "<": ">", ">=": "<=", "<=": ">="}
)
"""`1 < x` says of x what `x > 1` says."""
