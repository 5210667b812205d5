"""Sums, means and variances that lose no digits, as Prometheus computes them.

Prometheus adds with Neumaier's variant of Kahan's compensation; `math.fsum` is exact and gives the same
number to the last digit or two, many times faster. Where it gives up (an overflow on the way, infinities of
both signs) the slow way decides. Source: Prometheus 3, util/kahansum/kahansum.go.
"""

import math
from collections.abc import Iterable, Sequence


def total(values: Sequence[float]) -> float:
    """The sum; infinite where a sum on the way overflows, as in `sum_over_time`."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        sum_, lost = _compensated(values)
        return sum_ if math.isinf(sum_) else sum_ + lost


def mean(values: Sequence[float]) -> float:
    """The average of at least one value; finite values have a finite one, whatever their sum."""
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return _incremental_mean(values)


def variance(values: Sequence[float]) -> float:
    """The population's variance of at least one value, by Welford's method with compensation."""
    first = values[0]
    if math.isfinite(first) and values.count(first) == len(values):
        return 0.0
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
