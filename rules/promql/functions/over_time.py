"""`…_over_time`: what the values of a range come to, whenever they were.

Each takes at least one value.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from spanbudget.rules.promql.functions.quantiles import quantile
from spanbudget.rules.promql.functions.sums import mean, total, variance
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples


def lowest(values: Sequence[float]) -> float:
    """The lowest value; not-a-number counts only where there is nothing else."""
    found = min(values)  # passes over every NaN but one in the first place
    if math.isnan(found):
        return min((value for value in values if not math.isnan(value)), default=math.nan)
    return found


def highest(values: Sequence[float]) -> float:
    """The highest value; not-a-number counts only where there is nothing else."""
    found = max(values)
    if math.isnan(found):
        return max((value for value in values if not math.isnan(value)), default=math.nan)
    return found


def deviation(values: Sequence[float]) -> float:
    """The population's standard deviation."""
    spread = variance(values)
    return math.sqrt(spread) if spread >= 0 else math.nan


def first(values: Sequence[float]) -> float:
    """The oldest value."""
    return values[0]


def last(values: Sequence[float]) -> float:
    """The newest value."""
    return values[-1]


def count(values: Sequence[float]) -> float:
    """How many values there are."""
    return float(len(values))


def present(_values: Sequence[float]) -> float:
    """1, as there is a value."""
    return 1.0


def quantile_over_time(samples: Samples, _window: RangeWindow, args: Sequence[float]) -> float | None:
    """The quantile of a range; its one argument is q."""
    return quantile(args[0], samples.values) if samples.values else None


OVER_TIME: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "avg_over_time": mean,
    "count_over_time": count,
    "first_over_time": first,
    "last_over_time": last,
    "max_over_time": highest,
    "min_over_time": lowest,
    "present_over_time": present,
    "stddev_over_time": deviation,
    "stdvar_over_time": variance,
    "sum_over_time": total,
}
"""Those that need nothing but the values; `quantile_over_time` also has an argument."""
