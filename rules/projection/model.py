"""What spend does from bin to bin: the rhythm of its season, a trend, a recent level, and how far it strays.

The method, "weekday profile × recent level", beat run-rate, trailing averages, Holt-Winters, statsmodels' ETS
and AutoETS on daily series of 28-day windows at a hundredth of their time; `benchmarks/projection.py` prints
it beside them. All numbers of a series are taken as they are: gaps are spend of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]

SEASONS_MAX: Final = 8
"""Seasons that are looked at, eight weeks of days: older ones tell little of the next month."""
HALF_LIVES: Final = (2 / 7, 5 / 7, 2.0, 40 / 7)
"""Half-lives of the recent levels, in seasons: 2, 5, 14 and 40 days. Each is weighed by how well it did."""
CHOICE: Final = 5
"""Power by which the error of a level lowers its weight; 0 would be their mean, infinity the best one."""
PROFILE_PRIOR: Final = 0.25
"""Seasons that pull a profile towards 1, besides what its noise does: one of two seasons is kept by 0.89."""
MEDIAN_VARIANCE: Final = np.pi / 2
"""Variance of a median over that of a mean, of normal numbers."""
PROFILE_LOW: Final = 0.05
"""Least factor of a profile: a weekday on which nothing was spent so far may still see a call."""
WINSORISED: Final = 0.95
"""What is above this quantile, or below its complement, counts as much as the quantile does."""
WINSORISED_SHORT: Final = 0.85
"""The same with fewer than two seasons, where one burst is a large part of all that is known."""
TREND_DOUBT: Final = (161.4, 18.5, 10.1, 7.7, 6.6, 6.0)
"""A slope is kept by 1 - d/t² (positive-part shrinkage), d by the degrees of freedom from 1 to 6.

Source: squares of the two-sided 95 % quantiles of Student's t, so that what may be chance counts as none."""
TREND_MAX: Final = 0.14
"""Most growth in a season, as a logarithm: 15 %, which is 74 % in four weeks."""
DAMPING: Final = 0.97**7
"""What is left of a trend after a season: it levels off, as growth does."""
ERROR_MAX: Final = 3.0
"""Largest error of a forecast that counts, as a logarithm: 20 times too much or too little."""
HORIZONS: Final = (1 / 7, 2 / 7, 4 / 7, 1.0, 2.0, 4.0)
"""Horizons at which errors are measured, in seasons, besides a single bin."""
_ORIGINS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class SpendModel:
    """What was learned from closed bins.

    Attributes:
        bins: How many of them count: those from the first spend on, eight seasons at most.
        season: Length of the season in bins.
        profile: The factor of each bin of a season, from the first bin after the closed ones on; mean 1.
        level: Spend of an average bin at the end of the closed ones, USD.
        slope: Logarithm of its growth in a bin.
        ceiling: Spend of a bin above which it is a burst, USD.
        errors: (horizon in bins, root of the mean squared log error, origins) of past forecasts, by horizon.
    """

    bins: int
    season: int
    profile: tuple[float, ...]
    level: float
    slope: float
    ceiling: float
    errors: tuple[tuple[int, float, int], ...]

    def ahead(self, first: int, parts: Sequence[float]) -> list[float]:
        """The median spend of coming bins.

        Args:
            first: How many bins after the last closed one the first of them is, 0 for the next.
            parts: How much of each there is, 0 to 1.

        Returns:
            USD of each.
        """
        count = len(parts)
        numbers = first + np.arange(count)
        values = self.level * np.asarray(self.profile)[numbers % self.season] * np.asarray(parts)
        if self.slope:
            damping = DAMPING ** (1 / self.season)
            values *= np.exp(self.slope * damping * (1 - damping ** (numbers + 1.0)) / (1 - damping))
        found: list[float] = values.tolist()
        return found


def fit(closed: Sequence[float], season: int) -> SpendModel:
    """Learns from what was spent in closed bins.

    Args:
        closed: USD of each, the oldest first, at least one. Negative sums (corrections) count as 0, and so do
            numbers that are none; an infinite one counts as the largest finite one.
        season: Length of the season in bins, 2 or more.

    Returns:
        The model; of a series of zeros, one that expects zeros.
    """
    spent = _clean(closed)[-SEASONS_MAX * season :]
    used = np.flatnonzero(spent)
    spent = (
        spent[used[0] :] if len(used) else spent
    )  # what begins within that time has not grown from nothing
    count = len(spent)
    profile = _profile(spent, season)
    factors = profile[(np.arange(count) - count) % season]
    plain = spent / factors
    quantile = WINSORISED if count >= 2 * season else WINSORISED_SHORT
    kept = _winsorised(plain, quantile)
    slope = _slope(kept, season)
    if slope:
        plain = plain * np.exp(slope * np.arange(count - 1.0, -1.0, -1.0))  # as if all were of today
        kept = _winsorised(plain, quantile)
    sums = _Sums.of(kept, factors)
    logs = _levels(sums, season, count)
    return SpendModel(
        bins=count,
        season=season,
        profile=tuple(profile.tolist()),
        level=max(float(np.exp(logs[-1])) - sums.least, 0.0),
        slope=slope,
        ceiling=float(np.quantile(spent, quantile)),
        errors=_errors(_Sums.of(plain, factors), logs, season, count),
    )


def _clean(closed: Sequence[float]) -> Numbers:
    spent = np.asarray(closed, dtype=np.float64)
    finite = spent[np.isfinite(spent)]
    highest = float(finite.max()) if len(finite) else 0.0
    return np.clip(np.nan_to_num(spent, nan=0.0, posinf=highest, neginf=0.0), 0.0, None)


def _profile(spent: Numbers, season: int) -> Numbers:
    """The median over seasons of each bin's part of its season, pulled towards 1 as far as it is noise."""
    seasons = len(spent) // season
    blocks = spent[len(spent) - seasons * season :].reshape(seasons, season)
    means = blocks.mean(axis=1) if seasons else np.zeros(0)
    known = int((means > 0).sum())
    if known < 2:
        return np.ones(season)
    parts = blocks[means > 0] / means[means > 0, None]
    factors = np.median(parts, axis=0)
    noise = MEDIAN_VARIANCE * float(((parts - factors) ** 2).mean()) / (known - 1)
    kept = max(0.0, 1 - noise / max(float(factors.var()), 1e-12)) * known / (known + PROFILE_PRIOR)
    factors = 1 + kept * (factors - 1)
    found: Numbers = np.maximum(factors / factors.mean(), PROFILE_LOW)
    return found


def _winsorised(values: Numbers, quantile: float) -> Numbers:
    low, high = np.quantile(values, (1 - quantile, quantile))
    found: Numbers = np.clip(values, low, high)
    return found


def _slope(values: Numbers, season: int) -> float:
    """Logarithm of the growth in a bin, from a line through the means of whole seasons; 0 where in doubt."""
    seasons = len(values) // season
    highest = float(values.max())
    if seasons < 3 or highest <= 0:
        return 0.0
    logs = np.log(np.maximum(values[len(values) - seasons * season :], 0.01 * highest))
    means = logs.reshape(seasons, season).mean(axis=1)
    at = np.arange(seasons) - (seasons - 1) / 2
    square = float(at @ at)
    slope = float(at @ means) / square
    rest = means - means.mean() - slope * at
    variance = float(rest @ rest) / (seasons - 2) / square
    doubt = TREND_DOUBT[seasons - 3] * variance
    if slope * slope <= doubt:
        return 0.0
    kept = slope * (1 - doubt / (slope * slope))
    return min(max(kept, -TREND_MAX), TREND_MAX) / season


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of bins up to each, so that the mean of any stretch is a difference.

    Attributes:
        spent: Of the spend, as if no bin differed from another, times its factor.
        factors: Of the factors.
        least: USD that make a logarithm of nothing.
    """

    spent: Numbers
    factors: Numbers
    least: float

    @classmethod
    def of(cls, plain: Numbers, factors: Numbers) -> "_Sums":
        """Sums of spend without its rhythm."""
        least = max(1e-4 * float(plain.mean()), 1e-12)
        spent = np.concatenate(([0.0], np.cumsum(plain * factors)))
        return cls(spent, np.concatenate(([0.0], np.cumsum(factors))), least)

    def logs(self, origins: NDArray[np.intp], horizon: int) -> Numbers:
        """Logarithm of the mean of the `horizon` bins after each origin."""
        ends = origins + horizon
        spent = self.spent[ends] - self.spent[origins]
        # A difference of sums may miss 0 by a rounding error.
        found: Numbers = np.log(
            np.maximum(spent, 0.0) / (self.factors[ends] - self.factors[origins]) + self.least
        )
        return found


def _levels(sums: _Sums, season: int, count: int) -> Numbers:
    """Logarithm of the level after each bin: levels of several half-lives, the better the heavier."""
    lives = np.asarray(HALF_LIVES)[:, None] * season
    growing = 0.5 ** (-np.arange(count) / lives)  # at most 2 to the power of 28: 8 seasons of 2/7
    spent, factors = np.diff(sums.spent), np.diff(sums.factors)
    levels = np.log(np.cumsum(spent * growing, axis=1) / np.cumsum(factors * growing, axis=1) + sums.least)
    weights = np.ones(len(HALF_LIVES))
    horizon = max(1, min(season, count // 3))
    origins = _origins(count, horizon, season)
    if len(origins) >= _ORIGINS_MIN:
        strays = (sums.logs(origins, horizon) - levels[:, origins - 1]) ** 2
        errors = strays.mean(axis=1) + 1e-9
        weights = (errors.min() / errors) ** CHOICE
    found: Numbers = weights @ levels / weights.sum()
    return found


def _errors(sums: _Sums, logs: Numbers, season: int, count: int) -> tuple[tuple[int, float, int], ...]:
    found = []
    for horizon in sorted({1, *(max(1, round(part * season)) for part in HORIZONS)}):
        origins = _origins(count, horizon, season)
        if len(origins) < max(_ORIGINS_MIN, horizon // 2):
            break
        strays = np.clip(sums.logs(origins, horizon) - logs[origins - 1], -ERROR_MAX, ERROR_MAX)
        found.append((horizon, float(np.sqrt((strays * strays).mean())), len(origins)))
    return tuple(found)


def _origins(count: int, horizon: int, season: int) -> NDArray[np.intp]:
    """Numbers of bins after which a forecast can be compared with what came.

    The first season only learns, and the first third of a shorter series.
    """
    return np.arange(min(season, max(2, count // 3)), count - horizon + 1)
