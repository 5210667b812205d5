"""A straight line through the samples of a range, by least squares.

Source: Prometheus 3, promql/functions.go, `linearRegression`.
"""

import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from operator import mul

from spanbudget.rules.promql.functions.numbers import quotient
from spanbudget.rules.promql.functions.sums import is_constant, total
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples


def deriv(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
    """The slope of the line, per second; None below two samples."""
    if len(samples.values) < 2:
        return None
    return _line(samples, samples.times[0])[0]


def predict_linear(samples: Samples, window: RangeWindow, args: Sequence[float]) -> float | None:
    """The line's value so many seconds after the time of evaluation; None below two samples."""
    if len(samples.values) < 2:
        return None
    slope, intercept = _line(samples, window.at_ms)
    return slope * args[0] + intercept


def _line(samples: Samples, intercept_ms: int) -> tuple[float, float]:
    """(slope per second, value at a time)."""
    times, values = samples.times, samples.values
    count, first = len(values), values[0]
    # Without the first test a list that holds one and the same NaN throughout would count as constant.
    same = is_constant(values) or (first == values[-1] and values.count(first) == count)
    if first == first and same:  # noqa: PLR0124 - not a number
        return (math.nan, math.nan) if math.isinf(first) else (0.0, first)
    raw = times.tobytes() if isinstance(times, array) else array("q", times).tobytes()
    seconds, sum_x, sum_xx = _abscissas(raw, intercept_ms)
    sum_y = total(values)
    sum_xy = total(list(map(mul, seconds, values)))
    covariance = sum_xy - sum_x * sum_y / count
    slope = quotient(covariance, sum_xx - sum_x * sum_x / count)
    return slope, sum_y / count - slope * sum_x / count


@lru_cache(maxsize=8)
def _abscissas(times: bytes, intercept_ms: int) -> tuple[Sequence[float], float, float]:
    """The times of samples in seconds from that of the intercept, their sum, and that of their squares.

    Kept for the next series: those of one metric in general have their samples at the same times.
    """
    seconds = [(at_ms - intercept_ms) / 1000 for at_ms in array("q", times)]
    return seconds, total(seconds), total(list(map(mul, seconds, seconds)))
