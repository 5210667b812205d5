"""Quantiles and shares of classic histograms: series of cumulative counts with an upper bound `le`.

Source: Prometheus 3, promql/quantile.go and `resetHistograms` in promql/engine.go.
"""

import math
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

from spanbudget.rules.labels import BUCKET, Labels
from spanbudget.rules.promql.functions.numbers import quotient
from spanbudget.rules.promql.functions.relabelling import refuse_duplicates
from spanbudget.rules.promql.projections import METRIC_LABELS
from spanbudget.rules.promql.values import Value, Vector

_TOLERANCE: Final = 1e-12
"""Share of two successive counts up to which a difference between them is taken for rounding."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?|\.[0-9])[0-9_]*(?:[eE][+-]?[0-9_]+)?")
_HEX_NUMBER: Final = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
_INFINITY: Final = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)


class Bucket(NamedTuple):
    """A bucket.

    Attributes:
        upper: Its upper bound.
        observations: Those up to that bound.
    """

    upper: float
    observations: float


def histogram_quantile(args: Sequence[Value], _at_ms: int) -> Vector:
    """The quantile of every histogram of a vector; args are q and the vector of buckets."""
    q, vector = cast("tuple[float, Vector]", tuple(args))
    return _of_each(vector, lambda buckets: bucket_quantile(q, buckets))


def histogram_fraction(args: Sequence[Value], _at_ms: int) -> Vector:
    """The share of observations between two bounds; args are the bounds and the vector of buckets."""
    lower, upper, vector = cast("tuple[float, float, Vector]", tuple(args))
    return _of_each(vector, lambda buckets: bucket_fraction(lower, upper, buckets))


def bucket_quantile(q: float, buckets: Sequence[Bucket]) -> float:
    """The q-quantile, interpolated linearly in the bucket where it lies.

    The first bucket starts at 0 if its bound is above 0. In the last one the result is the bound before it.

    Args:
        q: From 0 to 1; below it the result is -Inf, above it +Inf.
        buckets: At least one, in any order; not a number without one up to +Inf and one more.
    """
    if math.isnan(q):
        return math.nan
    if not 0 <= q <= 1:
        return math.copysign(math.inf, q)
    merged = _merged(buckets)
    if merged[-1].upper != math.inf or len(merged) < 2:
        return math.nan
    counts = _monotonic([bucket.observations for bucket in merged])
    if counts[-1] == 0:
        return math.nan
    last, rank = len(merged) - 1, q * counts[-1]
    # By a key, so that not-a-number is below every rank.
    index = bisect_left(range(last), True, key=lambda at: counts[at] >= rank)
    if index == last:
        return merged[last - 1].upper
    upper, count, start = merged[index].upper, counts[index], 0.0
    if index == 0 and upper <= 0:
        return upper
    if index > 0:
        start, rank, count = merged[index - 1].upper, rank - counts[index - 1], count - counts[index - 1]
    return start + (upper - start) * quotient(rank, count)


def bucket_fraction(lower: float, upper: float, buckets: Sequence[Bucket]) -> float:
    """The share of observations between two bounds, interpolated linearly in the buckets where they lie.

    Args:
        lower: The lower bound.
        upper: The upper bound; 0 where it is not above the lower one.
        buckets: At least one, in any order; not a number without one up to +Inf, or without observations.
    """
    merged = _merged(buckets)
    count = merged[-1].observations
    if merged[-1].upper != math.inf or count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    return quotient(_rank(upper, merged) - _rank(lower, merged), count)


def _rank(bound: float, buckets: Sequence[Bucket]) -> float:
    """How many observations are below a bound."""
    start, rank = (-math.inf if buckets[0].upper <= 0 else 0.0), 0.0
    total = buckets[-1].observations
    for bucket in buckets:
        if start >= bound:
            return min(rank, total)
        if bucket.upper > bound:
            if start != -math.inf:  # in a bucket without a start there is nothing to interpolate
                inside = quotient((bucket.observations - rank) * (bound - start), bucket.upper - start)
                return min(rank + inside, total)
            return min(bucket.observations, total)
        start, rank = bucket.upper, bucket.observations
    return total


def _of_each(vector: Vector, result: Callable[[list[Bucket]], float]) -> Vector:
    """A value of every histogram, without the metric's name; what has no bound is passed over."""
    found: dict[Labels, list[Bucket]] = {}
    for labels, count in vector:
        upper = _bound(next((value for name, value in labels if name == BUCKET), ""))
        if upper is not None:
            own = tuple(pair for pair in labels if pair[0] != BUCKET)
            found.setdefault(own, []).append(Bucket(upper, count))
    return refuse_duplicates(
        [
            (tuple(pair for pair in labels if pair[0] not in METRIC_LABELS), result(buckets))
            for labels, buckets in found.items()
        ]
    )


def _bound(text: str) -> float | None:
    """A number as Go reads it; None for any other text, for not-a-number and beyond a float's range."""
    if _INFINITY.fullmatch(text):
        return float(text)
    try:
        if _NUMBER.fullmatch(text):
            bound = float(text)
        elif _HEX_NUMBER.fullmatch(text):
            bound = float.fromhex(text)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return None if math.isinf(bound) else bound


def _merged(buckets: Sequence[Bucket]) -> list[Bucket]:
    """The buckets by their bound; counts of one and the same bound are added."""
    merged: list[Bucket] = []
    for bucket in sorted(buckets, key=lambda bucket: bucket.upper):
        if merged and merged[-1].upper == bucket.upper:
            merged[-1] = Bucket(bucket.upper, merged[-1].observations + bucket.observations)
        else:
            merged.append(bucket)
    return merged


def _monotonic(counts: Sequence[float]) -> list[float]:
    """The counts with every fall, and every difference that is but rounding, taken back."""
    before = counts[0]
    fixed = [before]
    for count in counts[1:]:
        # Not-a-number is neither lower than nor near a number, and no number is to it.
        if count != before and not _near(before, count) and not count < before:
            before = count
        fixed.append(before)
    return fixed


def _near(one: float, other: float) -> bool:
    """Whether two different counts differ by less than the tolerance."""
    if math.isnan(one) and math.isnan(other):
        return True
    sum_, difference = abs(one) + abs(other), abs(one - other)
    if one == 0 or other == 0 or sum_ < sys.float_info.min:
        return difference < _TOLERANCE * sys.float_info.min
    return difference / min(sum_, sys.float_info.max) < _TOLERANCE
