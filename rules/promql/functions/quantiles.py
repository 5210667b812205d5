"""The quantile of plain values."""

import math
from collections.abc import Sequence


def quantile(q: float, values: Sequence[float]) -> float:
    """The q-quantile, interpolated between the two values next to it; not-a-number sorts below all others.

    Args:
        q: From 0 to 1; below it the result is -Inf, above it +Inf.
        values: In any order; of none the result is not a number.
    """
    if not values or math.isnan(q):
        return math.nan
    if q < 0:
        return -math.inf
    if q > 1:
        return math.inf
    ordered = _ordered(values)
    rank = q * (len(ordered) - 1)
    lower = math.floor(rank)
    weight = rank - lower
    if weight == 0:
        return ordered[lower]
    return ordered[lower] * (1 - weight) + ordered[min(lower + 1, len(ordered) - 1)] * weight


def _ordered(values: Sequence[float]) -> list[float]:
    if not any(map(math.isnan, values)):
        return sorted(values)
    numbers = sorted(value for value in values if not math.isnan(value))
    return [math.nan] * (len(values) - len(numbers)) + numbers
