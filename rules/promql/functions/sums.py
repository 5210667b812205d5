"""Sums, means and variances that lose no digits, as Prometheus computes them.

Prometheus adds with Neumaier's variant of Kahan's compensation; `math.fsum` is exact and gives the same
number to the last digit or two, many times faster. Where it gives up (an overflow on the way, infinities of
both signs) the slow way decides. Source: Prometheus 3, util/kahansum/kahansum.go.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

_SPREAD_MIN: Final = 1e7
"""Rounding steps of the mean that a deviation must have for the mean's own rounding not to show in it."""


def is_constant(values: Sequence[float]) -> bool:
    """Whether values that are held as an array are one and the same, bit by bit; False if it is not known.

    Much quicker than looking at one after the other: limits, for one, hardly ever move.
    """
    if not isinstance(values, array) or values[0] != values[-1]:
        return False
    size, raw = values.itemsize, values.tobytes()
    return raw[size:] == raw[:-size]


def total(values: Sequence[float]) -> float:
    """The sum; infinite where a sum on the way overflows, as in `sum_over_time`."""
    if len(values) == 1:  # a group of one, as most are
        return values[0] or 0.0  # no sum is -0
    try:
        return _sum(values)
    except (OverflowError, ValueError):
        sum_, lost = _compensated(values)
        return sum_ if math.isinf(sum_) else sum_ + lost


def mean(values: Sequence[float]) -> float:
    """The average of at least one value; finite values have a finite one, whatever their sum."""
    try:
        return _sum(values) / len(values)
    except (OverflowError, ValueError):
        return _incremental_mean(values)


def variance(values: Sequence[float]) -> float:
    """The population's variance of at least one value.

    By the distances from the mean where that is exact to the last digits, else by Welford's method with
    compensation, as Prometheus has it.
    """
    first = values[0]
    if math.isfinite(first) and (is_constant(values) or values.count(first) == len(values)):
        return 0.0
    try:
        average = math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return _by_steps(values)
    distance = math.dist(values, [average] * len(values))
    spread = distance * distance / len(values)
    # Also False for infinities and what is not a number.
    is_exact = math.ulp(average) * _SPREAD_MIN < math.sqrt(spread) < math.inf
    return spread if is_exact else _by_steps(values)


def _sum(values: Sequence[float]) -> float:
    """The sum, rounded once.

    Raises:
        OverflowError: A sum on the way overflows.
        ValueError: There are infinities of both signs.
    """
    if isinstance(values, array) and values and values[0] and is_constant(values):
        product: float = values[0] * len(values)
        if math.isfinite(product):
            return product
    return math.fsum(values)


def _by_steps(values: Sequence[float]) -> float:
    """The variance by Welford's method with compensation."""
    count = average = average_lost = squares = squares_lost = 0.0
    for value in values:
        count += 1
        delta = value - (average + average_lost)
        average, average_lost = add(delta / count, average, average_lost)
        squares, squares_lost = add(delta * (value - (average + average_lost)), squares, squares_lost)
    return (squares + squares_lost) / count


def add(value: float, sum_: float, lost: float) -> tuple[float, float]:
    """Adds a value to a sum and to what rounding took from it so far: (new sum, newly lost)."""
    new = sum_ + value
    if math.isinf(new):
        return new, 0.0
    if abs(sum_) >= abs(value):
        return new, lost + ((sum_ - new) + value)
    return new, lost + ((value - new) + sum_)


def _compensated(values: Iterable[float]) -> tuple[float, float]:
    sum_ = lost = 0.0
    for value in values:
        sum_, lost = add(value, sum_, lost)
    return sum_, lost


def _incremental_mean(values: Sequence[float]) -> float:
    """The mean by its sum up to where that overflows, and from there on by correcting the mean so far."""
    sum_, lost, average = values[0], 0.0, 0.0
    incremental = False
    for count, value in enumerate(values[1:], 2):
        if not incremental:
            new_sum, new_lost = add(value, sum_, lost)
            if not math.isinf(new_sum):
                sum_, lost = new_sum, new_lost
                continue
            incremental = True
            average, lost = sum_ / (count - 1), lost / (count - 1)
        share = (count - 1) / count
        average, lost = add(value / count, share * average, share * lost)
    if incremental:
        return average + lost
    return sum_ / len(values) + lost / len(values)
