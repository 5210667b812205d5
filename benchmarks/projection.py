"""Projections of the end of a window beside their peers: errors, coverage of the interval, time of a fit.

    python benchmarks/projection.py [FILE...] [--ets] [--rows]

It makes months of its own: weekday seasons, trend and noise in several regimes. A FILE is a serving trace
(parquet: t in seconds, model, client, cost), of which weekly budgets of tenants are made, or daily series
(CSV or parquet: `date,value` or `series,date,value`), of which 28-day budgets from each start on are; a
folder is all files in it. Parquet needs `pip install pyarrow`; `--ets` puts statsmodels' ETS beside and needs
`pip install statsmodels`. `--rows` prints each regime and series for itself. `BENCH_QUICK=1` takes a few of
everything.
"""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from measure import Figure, chosen, tell
from numpy.typing import NDArray

from spanbudget.rules.projection.bins import Bins
from spanbudget.rules.projection.model import fit
from spanbudget.rules.projection.outlook import Ends, Now, Outlook

DAY_NS = 86_400 * 10**9
MONTH, WEEK = 28, 7
MONTH_DAYS, WEEK_DAYS = (3, 7, 14, 21), (1, 2, 3, 5)
HISTORY = (28, 56)
"""Days that are known before the window."""
SERIES = chosen(4, 120)
"""Made of each regime."""
ETS_EACH = chosen(8, 6)
"""ETS takes a hundred times as long, so it sees only one of so many windows, and so do all beside it."""
Numbers = NDArray[np.float64]
Method = Callable[[Numbers, int, int], float]
"""(days before the window and in it, days in it, days of it) → what is still to come."""


# What is projected by.


def ours(days: Numbers, inside: int, length: int) -> Ends:
    """The end of the window."""
    seen = days[len(days) - inside :]
    used = np.flatnonzero(days)
    began = int(used[0]) - (len(days) - inside) if len(used) else 0
    edges = [DAY_NS * day for day in range(inside, length + 1)]
    start_ns = DAY_NS * max(0, min(began, inside - 1))
    outlook = Outlook(Bins(DAY_NS, WEEK, 92), start_ns, edges, fit(days.tolist(), WEEK))
    spent = float(seen.sum())
    return outlook.end(Now(inside * DAY_NS, spent, spent, seen.tolist(), 0.0))


def run_rate(days: Numbers, inside: int, length: int) -> float:
    return float(days[len(days) - inside :].mean()) * (length - inside)


def trailing_week(days: Numbers, inside: int, length: int) -> float:
    return float(days[-WEEK:].mean()) * (length - inside)


def seasonal_naive(days: Numbers, inside: int, length: int) -> float:
    ahead = np.arange(length - inside) % WEEK
    return float(days[-WEEK:][ahead].sum()) if len(days) >= WEEK else run_rate(days, inside, length)


def weekday_mean(days: Numbers, inside: int, length: int) -> float:
    weeks = min(4, len(days) // WEEK)
    if not weeks:
        return run_rate(days, inside, length)
    profile = days[len(days) - WEEK * weeks :].reshape(weeks, WEEK).mean(axis=0)
    return float(profile[np.arange(length - inside) % WEEK].sum())


def ets(days: Numbers, inside: int, length: int) -> float:
    ets_model = import_module("statsmodels.tsa.exponential_smoothing.ets").ETSModel  # an optional peer
    if len(days) < 2 * WEEK:
        return run_rate(days, inside, length)
    model = ets_model(days, error="add", seasonal="add", seasonal_periods=WEEK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge
        ahead = model.fit(disp=False, maxiter=100).forecast(length - inside)
    return float(np.maximum(ahead, 0).sum())


PEERS: Mapping[str, Method] = {
    "run-rate": run_rate,
    "trailing 7 days": trailing_week,
    "seasonal naive": seasonal_naive,
    "weekday mean": weekday_mean,
}


# What is projected.


class Window(NamedTuple):
    """A window of a series.

    Attributes:
        before: Days before it.
        inside: Its days.
    """

    before: Numbers
    inside: Numbers


PROFILES = (
    np.array([1.2, 1.25, 1.2, 1.2, 1.1, 0.5, 0.45]),
    np.array([0.85, 0.85, 0.9, 0.95, 1.05, 1.25, 1.15]),
    np.array([1.3, 1.4, 1.35, 1.35, 1.3, 0.15, 0.1]),
)


def noise(chance: np.random.Generator, count: int, size: float, kept: float = 0.0) -> Numbers:
    """Factors of mean 1 whose logarithms remember a part of the one before."""
    steps = chance.normal(0, size * math.sqrt(1 - kept * kept), count)
    logs = np.empty(count)
    logs[0] = chance.normal(0, size)
    for day in range(1, count):
        logs[day] = kept * logs[day - 1] + steps[day]
    return np.exp(logs - size * size / 2)


def season(chance: np.random.Generator, count: int) -> Numbers:
    return np.roll(PROFILES[chance.integers(len(PROFILES))], chance.integers(WEEK))[np.arange(count) % WEEK]


def growing(chance: np.random.Generator, count: int, low: float, high: float) -> Numbers:
    """Growth by a part of the beginning or of the day before, in 28 days."""
    rate, days = chance.uniform(low, high), np.arange(count) / MONTH
    return np.exp(rate * days) if chance.random() < 0.5 else np.maximum(1 + rate * days, 0.05)


def steps(chance: np.random.Generator, count: int) -> Numbers:
    """A new level about every month."""
    level, day = np.ones(count), 0
    while (day := day + max(3, int(chance.exponential(30)))) < count:
        level[day:] *= math.exp(chance.normal(0, 0.4))
    return level


REGIMES: Mapping[str, Callable[[np.random.Generator, int], Numbers]] = {
    "calm": lambda chance, count: season(chance, count) * noise(chance, count, 0.1),
    "trend": lambda chance, count: (
        season(chance, count) * growing(chance, count, -0.3, 0.5) * noise(chance, count, 0.2)
    ),
    "noise": lambda chance, count: season(chance, count) * noise(chance, count, 0.4),
    "no season": lambda chance, count: noise(chance, count, 0.35),
    "slow noise": lambda chance, count: (
        season(chance, count) * growing(chance, count, -0.1, 0.3) * noise(chance, count, 0.3, 0.7)
    ),
    "bursts": lambda chance, count: (
        season(chance, count)
        * noise(chance, count, 0.2)
        * np.where(chance.random(count) < 0.04, chance.uniform(2, 6, count), 1)
    ),
    "heavy tail": lambda chance, count: noise(chance, count, 0.7, 0.3),
    "new levels": lambda chance, count: (
        season(chance, count) * steps(chance, count) * noise(chance, count, 0.15)
    ),
    "wandering": lambda chance, count: (
        season(chance, count) * noise(chance, count, 0.15) * np.exp(np.cumsum(chance.normal(0, 0.04, count)))
    ),
    "sparse": lambda chance, count: (
        season(chance, count) * noise(chance, count, 0.5) * (chance.random(count) < 0.6)
    ),
}
PROMISED = ("calm", "trend", "noise")
"""Weekday seasons, trend and noise, as the promise has them; the others are what else happens."""


def made(regime: str, seed: int = 20) -> Iterator[Window]:
    for number in range(SERIES):
        for history in HISTORY:
            chance = np.random.default_rng([seed, list(REGIMES).index(regime), history, number])
            days = 100 * REGIMES[regime](chance, history + MONTH)
            yield Window(days[:history], days[history:])


def daily_series(path: Path) -> Iterator[tuple[str, Numbers]]:
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    frame["date"] = pd.to_datetime(frame["date"]).dt.normalize()
    if "series" not in frame:
        frame["series"] = path.stem
    for name, rows in frame.groupby("series"):
        daily = rows.groupby("date")["value"].sum().asfreq("D", fill_value=0.0)
        yield str(name), np.nan_to_num(daily.to_numpy(np.float64))


def months_of(days: Numbers) -> Iterator[Window]:
    """28-day windows from each start on, after 28 known days or more."""
    for start in range(MONTH, len(days) - MONTH + 1):
        yield Window(days[max(0, start - 92) : start], days[start : start + MONTH])


def weeks_of(trace: "pd.DataFrame") -> Iterator[tuple[str, Window]]:
    """The second week of every tenant that spends on twelve of the fourteen days, and of each model's sum."""
    trace = trace.assign(day=trace["t"] // 86_400, all="all")
    count = int(trace["day"].max()) + 1
    for by, least in (("client", 12), ("model", 0), ("all", 0)):
        for name, rows in trace.groupby(by):
            days = (
                rows.groupby("day")["cost"].sum().reindex(range(count), fill_value=0.0).to_numpy(np.float64)
            )
            if (days > 0).sum() >= least and days[WEEK : 2 * WEEK].sum() > 0:
                yield f"{by} {name}", Window(days[:WEEK], days[WEEK : 2 * WEEK])


# How it did.


class Score(NamedTuple):
    """How projections did at one day of many windows.

    Attributes:
        errors: Mean absolute percentage error of the window's sum by method, as parts.
        held: Part of the windows whose end was within the interval.
        width: Median width of the interval over the window's sum.
        windows: How many there were.
    """

    errors: Mapping[str, float]
    held: float
    width: float
    windows: int


def scored(windows: Sequence[Window], inside: int, peers: Mapping[str, Method]) -> Score:
    errors: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
    held, widths = [], []
    for before, window in windows:
        end = float(window.sum())
        if end <= 0:
            continue
        days, spent = np.concatenate((before, window[:inside])), float(window[:inside].sum())
        ends = ours(days, inside, len(window))
        errors["ours"].append(abs(ends.median - end) / end)
        held.append(ends.low <= end <= ends.high)
        widths.append((ends.high - ends.low) / end)
        for name, method in peers.items():
            errors[name].append(abs(spent + method(days, inside, len(window)) - end) / end)
    means = {name: float(np.mean(found)) for name, found in errors.items()}
    return Score(means, float(np.mean(held)), float(np.median(widths)), len(held))


def figures(
    what: str, windows: Sequence[Window], at: Sequence[int], peers: Mapping[str, Method], *, promised: bool
) -> Iterator[Figure]:
    for inside in at:
        score = scored(windows, inside, peers)
        rest = ", ".join(f"{name} {error:.3f}" for name, error in score.errors.items() if name != "ours")
        least = min(
            error for name, error in score.errors.items() if name in {"run-rate", "seasonal naive", "ETS"}
        )
        bound = f"≤ {least if promised else score.errors['run-rate']:.3f}; {rest}"
        yield Figure(
            f"{what}: error at day {inside} ({score.windows} windows)", bound, score.errors["ours"], "", 3
        )
        held = "0.86 to 0.96" if len(windows[0].inside) == MONTH else ""
        bound = "; ".join(text for text in (held, f"width {score.width:.2f}") if text)
        yield Figure(f"{what}: 90 % interval held at day {inside}", bound, score.held, "", 3)


def fit_us() -> Figure:
    chance = np.random.default_rng(1)
    series = [chance.gamma(3, 1, 92).tolist() for _ in range(50)]
    rounds = chosen(1, 20)
    for days in series:
        fit(days, WEEK)
    before = time.thread_time_ns()
    for _ in range(rounds):
        for days in series:
            fit(days, WEEK)
    return Figure(
        "one fit of a quarter of days", "≤ 1,000", (time.thread_time_ns() - before) / rounds / 50_000, "µs"
    )


def of_file(path: Path, peers: Mapping[str, Method], *, rows: bool) -> Iterator[Figure]:
    if path.is_dir():
        for file in sorted((*path.glob("*.parquet"), *path.glob("*.csv"))):
            yield from of_file(file, peers, rows=rows)
        return
    columns = set(pd.read_parquet(path).columns if path.suffix == ".parquet" else pd.read_csv(path, nrows=1))
    if {"t", "client", "model", "cost"} <= columns:
        named = list(weeks_of(pd.read_parquet(path)))
        yield from figures(
            "weekly budgets of tenants", [one for _, one in named], WEEK_DAYS, peers, promised=False
        )
        for name, one in named if rows else ():
            yield from figures(name, [one], WEEK_DAYS, peers, promised=False)
    elif {"date", "value"} <= columns:
        series = {name: list(months_of(days)) for name, days in daily_series(path)}
        everything = [one for windows in series.values() for one in windows]
        if everything:
            yield from figures(f"{path.stem}", everything, MONTH_DAYS, peers, promised=False)
        for name, windows in series.items() if rows else ():
            if windows:
                yield from figures(name, windows, MONTH_DAYS, peers, promised=False)
    else:
        print(f"{path}: left out, it has neither t, model, client, cost nor date, value", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="traces or daily series, or folders of them"
    )
    parser.add_argument("--ets", action="store_true", help="statsmodels' ETS beside, on fewer windows")
    parser.add_argument("--rows", action="store_true", help="each regime and series for itself")
    given = parser.parse_args()
    peers: dict[str, Any] = dict(PEERS)
    if given.ets:
        peers["ETS"] = ets
    tell([fit_us()])
    for path in given.files:
        tell(of_file(path, peers, rows=given.rows))
    windows = {regime: list(made(regime))[:: ETS_EACH if given.ets else 1] for regime in REGIMES}
    promised = [one for regime in PROMISED for one in windows[regime]]
    tell(figures("made months: season, trend, noise", promised, MONTH_DAYS, peers, promised=True))
    every = [one for found in windows.values() for one in found]
    tell(figures("made months: all regimes", every, MONTH_DAYS, peers, promised=True))
    for regime, found in windows.items() if given.rows else ():
        tell(figures(regime, found, MONTH_DAYS, peers, promised=True))


if __name__ == "__main__":
    main()
