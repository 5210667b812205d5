"""The look from a moment to the end of a budget's window: what will be spent, within which bounds, and when.

With a long history the rest of the window is what a `SpendModel` expects. With a short one it is run-rate,
with bursts cut off, and in between a mixture: less than one season of history knows no rhythm.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from spanbudget.rules.projection.bins import Bins, part_passed

if TYPE_CHECKING:
    from spanbudget.rules.projection.model import SpendModel

Z_95: Final = 1.6448536269514722
"""The 95 % quantile of the normal distribution."""
REMAINDER_LOW: Final = 0.6
REMAINDER_HIGH: Final = 1.8
"""Without history, 90 % of what is left to spend lies between these parts of the run-rate's.

Source: measured on 28-day budgets and on the weekly budgets of tenants of a serving trace."""
MODEL_ERROR: Final = 0.03
"""Error of a forecast, as a logarithm, that past errors do not show: they helped to make the profile."""
BLOCKS_PRIOR: Final = 3
"""Degrees of freedom of an interval besides those of independent past errors."""
HORIZON_GROWTH: Final = 0.35
"""Errors of means over longer times than were measured grow by this power of the time."""
TREND_ERROR: Final = 0.5
"""The part of a trend that may be wrong, as one standard error."""
TREND_SEASONS: Final = 3
"""Seasons after which a damped trend has nearly ended."""
SPREAD_HIGH: Final = math.log(50)
"""Largest factor between the median of what is left and its bounds, as a logarithm."""


class Ends(NamedTuple):
    """Spend at some moment, USD.

    Attributes:
        median: It is as likely more as less.
        low: It is more with 95 %.
        high: It is less with 95 %.
    """

    median: float
    low: float
    high: float


class Now(NamedTuple):
    """What is known of a window at a moment.

    Attributes:
        at_ns: Nanoseconds since the epoch.
        spent: Spent in the window so far, USD.
        rated: What run-rate goes by: spent since `Outlook.start_ns`, USD.
        seen: Spent in its closed bins, USD of each; fewer where the first ones are not known any more.
        current: Spent in the bin around now, USD.
    """

    at_ns: int
    spent: float
    rated: float
    seen: Sequence[float]
    current: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left of a window at its present bin; made anew for each bin, asked at any moment in it.

    Attributes:
        bins: How the window is cut.
        start_ns: Since when run-rate counts, nanoseconds since the epoch: start of the window, or of what is
            known where that is later.
        edges: Start of the present bin, and the ends of it and of all later ones of the window.
        model: What was learned from the past; None where nothing closed is known.
        growth: Factor of what is left to spend, for what-if; 1 for none.
        first: How many bins before the present one the model was made.
    """

    bins: Bins
    start_ns: int
    edges: Sequence[int]
    model: "SpendModel | None"
    growth: float = 1.0
    first: int = 0
    _parts: tuple[float, ...] = field(init=False)
    _sums: tuple[float, ...] = field(init=False)
    trust: float = field(init=False)
    """How much of the expectation is the model's, 0 (run-rate) to 1: from one season of history to three."""
    _spreads: tuple[tuple[float, float], tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        model, parts = self.model, self.bins.parts(self.edges)
        ahead = model.ahead(self.first, parts) if model is not None else [0.0] * len(parts)
        seasons = model.bins / model.season if model is not None else 0.0
        object.__setattr__(self, "_parts", (0.0, *accumulate(parts)))
        object.__setattr__(self, "_sums", (0.0, *accumulate(ahead)))
        object.__setattr__(self, "trust", min(max((seasons - 1) / 2, 0.0), 1.0) ** 2)
        whole = self._parts[-1]
        object.__setattr__(self, "_spreads", (self._spread(whole), self._spread(whole - parts[0])))

    def end(self, now: Now) -> Ends:
        """Spend at the end of the window."""
        at = self._stands(now)
        left, rest = self._sums[-1] - at.sums, self._parts[-1] - at.parts
        (low, high), (low_later, high_later), part = *self._spreads, at.part
        return _ends(
            now.spent,
            left * at.factor if at.factor > 0 else rest * at.rate,
            (low + part * (low_later - low), high + part * (high_later - high)),
        )

    def path(self, now: Now) -> Iterator[tuple[int, Ends]]:
        """Spend at the end of the present bin and of each later one: pairs of a moment and the spend then."""
        at = self._stands(now)
        for number in range(at.number + 1, len(self.edges)):
            left, rest = self._sums[number] - at.sums, self._parts[number] - at.parts
            amount = left * at.factor if at.factor > 0 else rest * at.rate
            yield self.edges[number], _ends(now.spent, amount, self._spread(rest))

    def exhausted_ns(self, now: Now, limit: float) -> int | None:
        """When the median of spend reaches a limit, USD; None where the window ends before."""
        if now.spent >= limit:
            return now.at_ns
        at = self._stands(now)
        sums, unit, passed = (
            (self._sums, at.factor, at.sums) if at.factor > 0 else (self._parts, at.rate, at.parts)
        )
        if unit <= 0 or (sums[-1] - passed) * unit < limit - now.spent:
            return None
        return max(now.at_ns, self._when(sums, passed + (limit - now.spent) / unit))

    def _when(self, sums: Sequence[float], target: float) -> int:
        """The moment at which sums over the bins ahead reach a target that they do reach."""
        number = min(max(bisect_left(sums, target), 1), len(sums) - 1)
        step = sums[number] - sums[number - 1]
        part = (target - sums[number - 1]) / step if step > 0 else 0.0
        start_ns, end_ns = self.edges[number - 1], self.edges[number]
        return start_ns + round((end_ns - start_ns) * min(max(part, 0.0), 1.0))

    def _stands(self, now: Now) -> "_Standing":
        number, part = part_passed(self.edges, now.at_ns)
        sums, parts = self._sums, self._parts
        passed = sums[number] + part * (sums[number + 1] - sums[number])
        passed_parts = parts[number] + part * (parts[number + 1] - parts[number])
        left, rest, trust = sums[-1] - passed, parts[-1] - passed_parts, self.trust
        if trust >= 1 and left > 0:
            return _Standing(number, part, passed, passed_parts, self.growth, 0.0)
        rate = self._run_rate(now)
        if trust <= 0 or left <= 0 or rate <= 0 or rest <= 0:
            known = left / rest if rest > 0 else 0.0
            mixed = self.growth * ((1 - trust) * rate + trust * known)
            return _Standing(number, part, passed, passed_parts, 0.0, mixed)
        factor = self.growth * (rate * rest / left) ** (1 - trust)
        return _Standing(number, part, passed, passed_parts, factor, 0.0)

    def _run_rate(self, now: Now) -> float:
        """USD of an average bin of the window so far, without what was above the ceiling of bursts."""
        elapsed = (now.at_ns - self.start_ns) / self.bins.length_ns
        if elapsed <= 0:
            return 0.0
        model = self.model
        ceiling = model.ceiling if model is not None and model.bins >= _BURSTS_FROM else math.inf
        bursts = sum(amount - ceiling for amount in (*now.seen, now.current) if amount > ceiling)
        return max(now.rated - bursts, 0.0) / elapsed

    def _spread(self, rest: float) -> tuple[float, float]:
        """Logarithms of median over low and of high over median, of what `rest` bins bring."""
        known = self._error(rest) if self.model is not None else None
        doubt = 1 - self.trust
        low, high = -doubt * math.log(REMAINDER_LOW), doubt * math.log(REMAINDER_HIGH)
        if known is not None:
            low, high = math.hypot(low, known), math.hypot(high, known)
        return min(low, SPREAD_HIGH), min(high, SPREAD_HIGH)

    def _error(self, rest: float) -> float | None:
        """Half the width of a 90 % interval for the mean of `rest` bins, as a logarithm.

        The root of the mean squared errors of past forecasts for that horizon, with Student's t of as many
        degrees of freedom as there are separate stretches of that length: errors of overlapping ones are one.
        """
        model = self.model
        if model is None or not model.errors:
            return None
        horizon = max(rest, 1.0)
        size, count = _interpolated(model.errors, horizon)
        trend = TREND_ERROR * model.slope * min(horizon, TREND_SEASONS * model.season)
        return student_95(count / horizon + BLOCKS_PRIOR) * math.hypot(size, MODEL_ERROR, trend)


_BURSTS_FROM: Final = 5
"""Fewer closed bins do not tell a burst from the usual."""


class _Standing(NamedTuple):
    """Where a moment is in an outlook.

    Attributes:
        number: The bin that it is in, 0 for the first.
        part: The part of it that has passed.
        sums: What the model expected up to now, USD.
        parts: Bins up to now.
        factor: Of what the model expects from now on; 0 where it does not count.
        rate: USD of an average bin from now on, where the model does not count; else 0.
    """

    number: int
    part: float
    sums: float
    parts: float
    factor: float
    rate: float


def _ends(spent: float, left: float, spread: tuple[float, float]) -> Ends:
    left = max(left, 0.0)
    return Ends(spent + left, spent + left * math.exp(-spread[0]), spent + left * math.exp(spread[1]))


def _interpolated(errors: Sequence[tuple[int, float, int]], horizon: float) -> tuple[float, float]:
    """(error at a horizon, origins it is known from); beyond the longest one it grows."""
    before = errors[0]
    for one in errors:
        if one[0] >= horizon:
            if one[0] == before[0]:
                return one[1], one[2]
            part = math.log(horizon / before[0]) / math.log(one[0] / before[0])
            return before[1] + part * (one[1] - before[1]), before[2] + part * (one[2] - before[2])
        before = one
    longest, size, origins = before
    return size * (horizon / longest) ** HORIZON_GROWTH, origins * horizon / longest


def student_95(freedom: float) -> float:
    """The 95 % quantile of Student's t, within 0.5 % from 3 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, n = Z_95, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / n**power for power, term in enumerate(terms, 1))
