"""How counters and gauges move: `rate` and its family, `changes` and `resets`.

Source: Prometheus 3, promql/functions.go, `extrapolatedRate`, `instantValue`, `funcChanges`, `funcResets`.
"""

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from operator import lt, ne
from typing import Final

from spanbudget.rules.promql.functions.sums import is_constant
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples

_GAP_MAX: Final = 1.1
"""Average distances of samples up to which a range is taken to be covered to its end."""


def increase(samples: Samples, window: RangeWindow, _args: Sequence[float]) -> float | None:
    """By how much a counter grew, extrapolated to the whole range; None below two samples."""
    factor_of = _growth(samples, window)
    return None if factor_of is None else factor_of[0] * factor_of[1]


def rate(samples: Samples, window: RangeWindow, _args: Sequence[float]) -> float | None:
    """`increase` per second of the range."""
    factor_of = _growth(samples, window)
    if factor_of is None:
        return None
    grown, factor = factor_of
    return grown * (factor / ((window.end_ms - window.start_ms) / 1000))


def delta(samples: Samples, window: RangeWindow, _args: Sequence[float]) -> float | None:
    """By how much a gauge moved, extrapolated to the whole range; None below two samples."""
    values = samples.values
    if len(values) < 2:
        return None
    return (values[-1] - values[0]) * _factor(samples.times, window, to_zero_seconds=math.inf)


def _growth(samples: Samples, window: RangeWindow) -> tuple[float, float] | None:
    """(how far a counter is seen to grow, the factor of extrapolation)."""
    times, values = samples.times, samples.values
    if len(values) < 2:
        return None
    grown = values[-1] - values[0]
    if samples.drops:
        for before, after in pairwise(values):
            if after < before:  # it was reset, and had counted `before` until then
                grown += before
    to_zero_seconds = math.inf
    if grown > 0 and values[0] >= 0:
        # A counter is not below zero: going back at this slope, it was zero so long before its first sample.
        to_zero_seconds = (times[-1] - times[0]) / 1000 * (values[0] / grown)
    return grown, _factor(times, window, to_zero_seconds=to_zero_seconds)


def _factor(times: Sequence[int], window: RangeWindow, *, to_zero_seconds: float) -> float:
    """What the move between the first and the last sample is multiplied with to stand for the range.

    A range is taken to be covered up to a boundary where the distance to it is near the usual one between
    samples; else the series starts, or ends, half such a distance from its first, or last, sample.
    """
    sampled = (times[-1] - times[0]) / 1000
    if sampled == 0:
        return 1.0
    to_start = (times[0] - window.start_ms) / 1000
    to_end = (window.end_ms - times[-1]) / 1000
    distance = sampled / (len(times) - 1)
    gap_max = distance * _GAP_MAX
    if to_start >= gap_max:
        to_start = distance / 2
    to_start = min(to_start, to_zero_seconds)
    if to_end >= gap_max:
        to_end = distance / 2
    return (sampled + to_start + to_end) / sampled


def irate(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
    """The growth per second of a counter between its last two samples."""
    if len(samples.values) < 2:
        return None
    before, after = samples.values[-2:]
    grown = after if after < before else after - before
    seconds = (samples.times[-1] - samples.times[-2]) / 1000
    return grown / seconds if seconds else None


def idelta(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
    """The difference between the last two samples of a gauge."""
    if len(samples.values) < 2 or samples.times[-1] == samples.times[-2]:
        return None
    return samples.values[-1] - samples.values[-2]


def changes(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
    """How often the value changed; one not-a-number after another is no change."""
    values = samples.values
    if not values:
        return None
    if is_constant(values):
        return 0.0
    changed = sum(map(ne, values, islice(values, 1, None)))
    # Where nothing is not a number the sum is a number, but for infinities of both signs.
    if changed and math.isnan(sum(values)):
        changed -= sum(math.isnan(after) and math.isnan(before) for before, after in pairwise(values))
    return float(changed)


def resets(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
    """How often the value fell."""
    if not samples.values:
        return None
    if not samples.drops:
        return 0.0
    return float(sum(map(lt, islice(samples.values, 1, None), samples.values)))
