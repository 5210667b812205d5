"""Other detectors of unusual spend: each turns a series into a score per slot from what came before it."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from anomaly_cases import DAY, WEEK, Floats

from spanbudget.rules.anomalies.general.recipe import LightRecipe

Scorer: TypeAlias = Callable[[Floats], Floats]
TINY: Final = 1e-12
MAD: Final = 1.4826
"""Median absolute deviations of a standard deviation, where values are normal."""


def _before(values: pd.Series, window: int, what: str, quantile: float = 0.0) -> Floats:
    """A statistic of the slots before each slot."""
    rolling = values.rolling(window, min_periods=DAY // 2)
    found = rolling.quantile(quantile) if what == "quantile" else getattr(rolling, what)()
    return np.asarray(found.shift(1).bfill().fillna(0.0), dtype=float)


def _logs(cost: Floats) -> Floats:
    """Spend in a scale where ten times is as much anywhere; silence is a tenth of the usual."""
    return np.log(cost + 0.1 * max(float(cost[:WEEK].mean()), TINY))


def _days(values: Floats) -> Floats:
    """A row for each day."""
    return values.reshape(-1, DAY)


def _time_of_day(values: Floats) -> Floats:
    """The mean of the same slot of all days before, with the neighbours of an hour on either side."""
    wide = pd.Series(values).rolling(13, center=True, min_periods=1).mean().to_numpy()
    days = _days(wide)
    count = np.arange(1, len(days))[:, None]
    return np.vstack((days[:1], np.cumsum(days, axis=0)[:-1] / count)).ravel()


def seasonal_mad_z(cost: Floats) -> Floats:
    days = _days(_logs(cost))
    rows = [np.zeros(DAY)]
    for number in range(1, len(days)):
        past = days[:number]
        middle = np.median(past, axis=0)
        spread = MAD * np.median(np.abs(past - middle), axis=0) + 0.1
        rows.append(np.abs(days[number] - middle) / spread)
    return np.concatenate(rows)


def week_over_week(cost: Floats) -> Floats:
    hour = pd.Series(cost).rolling(6, min_periods=1).sum().to_numpy()
    ratio = np.zeros_like(hour)
    ratio[WEEK:] = hour[WEEK:] / np.maximum(hour[:-WEEK], 0.01 * 6 * cost[:WEEK].mean() + TINY)
    return ratio


def mad_z_day(cost: Floats) -> Floats:
    series = pd.Series(cost)
    middle = _before(series, DAY, "median")
    spread = MAD * _before((series - middle).abs(), DAY, "median")
    return np.abs(cost - middle) / (spread + 0.05 * cost[:WEEK].mean() + TINY)


def ewma_residual(cost: Floats) -> Floats:
    logs = pd.Series(_logs(cost))
    rest = (logs - logs.ewm(alpha=0.1).mean().shift(1)).fillna(0.0)
    spread = rest.pow(2).ewm(alpha=0.01).mean().shift(1).fillna(1.0).pow(0.5)
    return np.asarray(rest.abs() / (spread + 0.05))


def cusum_seasonal(cost: Floats) -> Floats:
    rest = _logs(cost) - _time_of_day(_logs(cost))
    return _cusum(rest / (_before(pd.Series(rest), WEEK, "std") + 0.05), both=True)


def cusum_sqrt_up(cost: Floats) -> Floats:
    root = pd.Series(np.sqrt(cost))
    spread = _before(root, WEEK, "std") + TINY
    return _cusum((root.to_numpy() - _before(root, WEEK, "mean")) / spread, both=False)


def _cusum(steps: Floats, *, both: bool, slack: float = 0.5) -> Floats:
    """Sums of what is beyond the slack, up, or up and down."""
    up = down = 0.0
    found = np.empty(len(steps))
    for at, step in enumerate(steps.tolist()):
        up = max(0.0, up + step - slack)
        down = max(0.0, down - step - slack) if both else 0.0
        found[at] = max(up, down)
    return found


def k_sigma(cost: Floats) -> Floats:
    series = pd.Series(cost)
    return (cost - _before(series, WEEK, "mean")) / (_before(series, WEEK, "std") + TINY)


def over_q99(cost: Floats) -> Floats:
    return cost / np.maximum(
        _before(pd.Series(cost), WEEK, "quantile", 0.99), 1e-3 * cost[:WEEK].mean() + TINY
    )


def over_max(cost: Floats) -> Floats:
    return cost / np.maximum(_before(pd.Series(cost), WEEK, "max"), 1e-3 * cost[:WEEK].mean() + TINY)


def hour_over_max(cost: Floats) -> Floats:
    hour = pd.Series(cost).rolling(6, min_periods=1).sum()
    top = np.roll(_before(hour, WEEK, "max"), 5)  # hours that do not overlap this one
    return hour.to_numpy() / np.maximum(top, 1e-3 * cost[:WEEK].mean() + TINY)


def seasonal_blend_up(cost: Floats) -> Floats:
    series = pd.Series(cost)
    recent = series.ewm(halflife=6).mean().shift(1).fillna(0.0).to_numpy()
    return (cost - 0.5 * (_time_of_day(cost) + recent)) / (_before(series, WEEK, "std") + TINY)


def silence(cost: Floats) -> Floats:
    """-log likelihood of the run of empty slots, from the presence at the time of day."""
    presence = np.clip(_time_of_day((cost > 0).astype(float)), 0.02, 0.98)
    run, found = 0.0, np.zeros(len(cost))
    for at, (spent, step) in enumerate(zip(cost.tolist(), (-np.log(1 - presence)).tolist(), strict=True)):
        run = 0.0 if spent > 0 else run + step
        found[at] = run
    return found


def nab_light(cost: Floats) -> Floats:
    """Our own light general recipe, true streaming, without its rest."""
    recipe, found = LightRecipe(), np.zeros(len(cost))
    for at, value in enumerate(cost.tolist()):
        found[at] = recipe.level_one(value, at * 600_000)
        recipe.learn_one(value, at * 600_000)
    return found


def hour_median_over_q98(rate: Floats) -> Floats:
    """For cost per request: slots without calls say nothing."""
    values = pd.Series(np.where(rate > 0, rate, np.nan))
    hour = values.rolling(6, min_periods=1).median()
    top = hour.shift(6).rolling(WEEK, min_periods=DAY // 2).quantile(0.98)
    return np.asarray((hour / top).where(values.notna()).fillna(0.0), dtype=float)


SINGLES: Final[Mapping[str, Scorer]] = {
    "seasonal time-of-day MAD z (log)": seasonal_mad_z,
    "week-over-week 1 h ratio": week_over_week,
    "MAD z, 1 d": mad_z_day,
    "EWMA residual (log)": ewma_residual,
    "CUSUM on seasonal residual (log)": cusum_seasonal,
    "CUSUM on sqrt spend, up only": cusum_sqrt_up,
    "mean + k sigma, 7 d": k_sigma,
    "x / trailing q99 (7 d)": over_q99,
    "x / trailing max (7 d)": over_max,
    "1 h sum / trailing max (7 d)": hour_over_max,
    "linear seasonal blend, up only": seasonal_blend_up,
    "silence alone": silence,
    "NAB light recipe (`LightRecipe`)": nab_light,
}
"""Single methods, by what they are called in the table."""
SHARED: Final = {"x / trailing max (7 d)": 0.4, "1 h sum / trailing max (7 d)": 0.35, "silence alone": 0.25}
"""An ensemble whose members divide the alert budget firmly: name and share."""
