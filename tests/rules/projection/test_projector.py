"""Where windows end: by run-rate without history, by rhythm and level with it, and in between."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spanbudget.processors.budget_state import BudgetState, Thresholds
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Pot
from spanbudget.processors.periods import Period
from spanbudget.rules.projection.model import fit
from spanbudget.rules.projection.outlook import student_95
from spanbudget.rules.projection.projection import Projection, projected
from spanbudget.rules.projection.projector import FITS_AT_ONCE, Projector

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 20_605 * DAY  # Monday, 2026-06-01
USD = 10**12


def state(period: Period, now_ns: int, spent: float, limit: float | None = 100) -> BudgetState:
    return BudgetState(
        budget="prod",
        child="",
        window=period.span(now_ns),
        limit_cost=None if limit is None else int(limit * USD),
        limit_tokens=None if limit is not None else 10,
        limit_requests=None,
        spent=Spend(int(spent * USD), 10, 5),
        reserved=0,
        thresholds=Thresholds(),
        auto_suspend=False,
        is_rolling=period.kind == "rolling",
    )


class Scene:
    """A budget that spends by the hour."""

    def __init__(self, period: Period, step_ns: int = HOUR) -> None:
        self.period = period
        self.projector = Projector({"prod": period}, fit)
        self.step_ns = step_ns
        self.calls: list[tuple[int, float]] = []

    def spend(self, since_ns: int, until_ns: int, usd: Callable[[int], float]) -> None:
        for at_ns in range(since_ns, until_ns, self.step_ns):
            self.calls.append((at_ns, usd(at_ns)))
            self.projector.history.add(Pot("prod", ""), at_ns, int(usd(at_ns) * USD))

    def spend_all(self, since_ns: int, usd: Sequence[float] | NDArray[np.float64]) -> None:
        self.spend(
            since_ns,
            since_ns + len(usd) * self.step_ns,
            lambda at_ns: float(usd[(at_ns - since_ns) // self.step_ns]),
        )

    def state(self, now_ns: int, limit: float | None = 100) -> BudgetState:
        window = self.period.span(now_ns)
        spent = sum(usd for at_ns, usd in self.calls if window.start_ns <= at_ns < window.end_ns)
        return state(self.period, now_ns, spent, limit)

    def projection(self, now_ns: int, limit: float | None = 100) -> Projection:
        one = self.state(now_ns, limit)
        found = self.projector.outlook(one, now_ns)
        assert found is not None
        usd = None if limit is None else limit
        return projected(*found, usd, endless=self.period.kind == "total")


def test_without_history_it_is_run_rate_within_wide_bounds():
    """$25 in 6 of 24 hours: $75 are left at the same rate, 0.6 and 1.8 times as much at the ends."""
    period = Period("daily")
    projector = Projector({"prod": period}, fit)
    found = projector.foresee(state(period, START + 6 * HOUR, 25), START + 6 * HOUR)
    assert found is not None
    assert found.ends is not None
    assert found.ends == pytest.approx((100.0, 70.0, 160.0))
    assert found.exhausted_ns == pytest.approx(START + DAY)


def test_without_history_a_tenth_of_the_window_must_have_passed():
    period = Period("daily")
    projector = Projector({"prod": period}, fit)
    assert projector.foresee(state(period, START + 2 * HOUR, 25), START + 2 * HOUR) is None
    assert projector.foresee(state(period, START + 3 * HOUR, 25), START + 3 * HOUR) is not None


def test_with_history_the_weekend_is_known_on_friday_and_the_end_at_once():
    def usd(at_ns: int) -> float:
        return 0.1 if at_ns // DAY % 7 in {2, 3} else 1.0  # 1970-01-01 was a Thursday

    scene = Scene(Period("weekly"))
    scene.spend(START - 35 * DAY, START + 5 * DAY, usd)
    week = 5 * 24 + 2 * 2.4
    first = Scene(Period("weekly"))
    first.spend(START - 35 * DAY, START + HOUR, usd)
    for one, now_ns in ((scene, START + 5 * DAY), (first, START + HOUR)):
        found = one.projection(now_ns, limit=1_000)
        assert found.ends is not None
        assert found.ends.median == pytest.approx(week, rel=0.03)
        assert (found.method, found.note) == ("profile", "")
        assert found.exhaustion == (None, None, None)


@pytest.mark.parametrize(
    ("period", "step_ns"),
    [
        (Period("hourly"), HOUR // 12),
        (Period("daily", "Asia/Kathmandu"), HOUR // 4),
        (Period("weekly", "Europe/Berlin", week_start="sunday"), HOUR),
        (Period("monthly", "America/New_York", anchor_day=31), HOUR),
        (Period("yearly"), 6 * HOUR),
    ],
)
def test_steady_spend_is_projected_for_every_kind_of_window(period, step_ns):
    now_ns = START + 7 * HOUR + 20 * 60 * SECOND
    window = period.span(now_ns)
    bins = Projector({"prod": period}, fit).history.bins["prod"]
    scene = Scene(period, step_ns)
    since_ns = max(now_ns - bins.kept * bins.length_ns, window.start_ns - 100 * bins.length_ns)
    scene.spend(since_ns - since_ns % step_ns, now_ns, lambda at_ns: 0.5)
    whole = 0.5 * (window.end_ns - window.start_ns) / step_ns
    if period.kind == "yearly":  # the ledger began within the year
        whole = 0.5 * (window.end_ns - since_ns) / step_ns
    found = scene.projection(now_ns, limit=2 * whole)
    assert found.ends is not None
    assert found.ends.median == pytest.approx(whole, rel=0.05)
    assert found.ends.low <= found.ends.median <= found.ends.high
    assert found.path[-1].at_ns == window.end_ns
    assert found.path[-1].ends.median == pytest.approx(found.ends.median)


def test_a_total_has_no_end_but_a_time_at_which_it_runs_out():
    scene = Scene(Period("total"))
    now_ns = START + 40 * DAY
    scene.spend(START, now_ns, lambda at_ns: 1.0)
    found = scene.projection(now_ns, limit=40 * 24 + 10 * 24)
    assert found.ends is None
    assert found.exhaustion is not None
    median, earliest, latest = found.exhaustion
    assert median == pytest.approx(now_ns + 10 * DAY, abs=2 * HOUR)
    assert earliest is not None
    assert latest is not None
    assert now_ns < earliest < now_ns + 10 * DAY < latest
    lasting = scene.projection(now_ns, limit=10_000_000)
    assert lasting.exhaustion == (None, None, None)
    young = Scene(Period("total"))
    young.spend(START, START + DAY + HOUR, lambda at_ns: 1.0)
    told = young.projection(START + DAY + HOUR, limit=24 * 3)
    assert told.exhaustion is not None
    assert told.exhaustion.median == pytest.approx(START + 3 * DAY, abs=3 * HOUR)


def test_a_rolling_budget_and_one_that_nobody_told_of_are_not_projected():
    rolling = Period("rolling", rolling_seconds=86_400)
    projector = Projector({"prod": rolling}, fit)
    assert projector.foresee(state(rolling, START, 5), START) is None
    assert Projector({}, fit).foresee(state(Period("daily"), START, 5), START) is None
    total = Period("total")
    assert Projector({"prod": total}, fit).foresee(state(total, START, 0), START) is None


def test_the_limit_is_reached_where_the_median_crosses_it():
    scene = Scene(Period("weekly"))
    now_ns = START + 2 * DAY
    scene.spend(START - 28 * DAY, now_ns, lambda at_ns: 1.0)
    found = scene.projection(now_ns, limit=72)
    assert found.exhaustion is not None
    assert found.exhaustion.median == pytest.approx(START + 3 * DAY, abs=HOUR)
    over = scene.projection(now_ns, limit=40)
    assert over.exhaustion == (now_ns, now_ns, now_ns)
    assert scene.projection(now_ns, limit=None).exhaustion is None


def test_short_history_is_told_and_the_bounds_narrow_as_it_grows():
    widths, notes = [], []
    for days in (0, 5, 12, 18, 40):
        scene = Scene(Period("monthly"))
        chance = np.random.default_rng(1)
        now_ns = START + 10 * DAY
        usd = chance.lognormal(0, 0.5, 24 * days)
        scene.spend_all(now_ns - days * DAY, usd)
        one = scene.state(now_ns)
        found = scene.projector.outlook(replace(one, spent=Spend(240 * USD, 1, 1)), now_ns)
        assert found is not None
        told = projected(*found, 100)
        assert told.ends is not None
        widths.append(math.log(told.ends.high / told.ends.low))
        notes.append((told.method, told.note.partition(":")[0]))
    assert notes == [
        ("run-rate", "There is no history, of 21 days wanted"),
        ("run-rate", "There are only 5 days of history, of 21 days wanted"),
        ("mixture", "There are only 12 days of history, of 21 days wanted"),
        ("mixture", "There are only 18 days of history, of 21 days wanted"),
        ("profile", ""),
    ]
    assert widths[-1] < widths[-2] < widths[1]


def test_run_rate_counts_from_the_first_call_and_a_first_day_counts_whole():
    scene = Scene(Period("monthly"))
    scene.spend(START + 20 * DAY, START + 23 * DAY, lambda at_ns: 1.0)
    found = scene.projection(START + 23 * DAY, limit=1_000)
    assert found.ends is not None
    assert found.ends.median == pytest.approx(10 * 24, rel=0.05)
    young = Scene(Period("monthly"))
    young.spend(START + 20 * DAY, START + 20 * DAY + HOUR, lambda at_ns: 24.0)
    soon = young.projection(START + 20 * DAY + HOUR, limit=1_000)
    assert soon.ends is not None
    assert soon.ends.median == pytest.approx(24 * 10, rel=0.1)


def test_a_burst_in_a_short_history_is_spent_and_does_not_go_on():
    scene = Scene(Period("weekly"), step_ns=DAY)
    scene.spend(START - 4 * DAY, START + 3 * DAY, lambda at_ns: 500.0 if at_ns == START else 10.0)
    found = scene.projection(START + 3 * DAY)
    assert found.ends is not None
    assert found.ends.median == pytest.approx(500 + 20 + 4 * 10, rel=0.25)


def test_bounds_hold_in_nine_of_ten_cases():
    held, cases, since_ns = 0, 0, START - 54 * DAY
    for seed in range(60):
        chance = np.random.default_rng(seed)
        days = (
            24
            * np.array([1.2, 1.3, 1.2, 1.2, 1.1, 0.5, 0.5])[np.arange(84) % 7]
            * chance.lognormal(0, 0.25, 84)
        )
        scene = Scene(Period("monthly", anchor_day=1), step_ns=DAY)
        for passed in (3, 14):
            now_ns = START + passed * DAY
            fresh = Scene(scene.period, step_ns=DAY)
            fresh.spend_all(since_ns, days[: 54 + passed])
            found = fresh.projection(now_ns)
            assert found.ends is not None
            end = days[54:84].sum()
            held += found.ends.low <= end <= found.ends.high
            cases += 1
    assert 0.84 <= held / cases <= 0.99


def test_growth_is_of_what_is_left():
    scene = Scene(Period("monthly"))
    now_ns = START + 10 * DAY
    scene.spend(START - 30 * DAY, now_ns, lambda at_ns: 1.0)
    found = scene.projector.outlook(scene.state(now_ns), now_ns)
    assert found is not None
    outlook, now = found
    more = replace(outlook, growth=1.1).end(now)
    assert more.median - 240 == pytest.approx(1.1 * (outlook.end(now).median - 240))


def test_models_are_renewed_a_few_at_a_time_and_the_others_go_on():
    fits: list[int] = []

    def counting(closed, season):
        fits.append(len(closed))
        return fit(closed, season)

    period = Period("monthly")
    count = FITS_AT_ONCE + 20
    names = [f"b{number}" for number in range(count)]
    projector = Projector(dict.fromkeys(names, period), counting)
    for name in names:
        for day in range(30):
            projector.history.add(Pot(name, ""), START + (day - 30) * DAY, USD)
    states = [replace(state(period, START + DAY, 24), budget=name) for name in names]

    def look(now_ns: int) -> list[float]:
        ends = [found.ends for one in states if (found := projector.foresee(one, now_ns)) is not None]
        return [end.median for end in ends if end is not None]

    look(START + HOUR)
    assert len(fits) == count
    look(START + 2 * HOUR)
    assert len(fits) == count
    at_night = look(START + DAY + SECOND)
    assert len(fits) == count + FITS_AT_ONCE
    assert len(at_night) == count
    look(START + DAY + 2 * SECOND)
    assert len(fits) == 2 * count
    assert look(START + DAY + 3 * SECOND) == pytest.approx(at_night, rel=0.05)


@given(
    st.lists(st.floats(-5, 50) | st.just(0.0), min_size=1, max_size=70),
    st.sampled_from(["weekly", "monthly", "yearly", "total"]),
    st.floats(0, 100),
    st.integers(0, 23),
)
def test_any_past_gives_ordered_finite_bounds_and_a_path_that_rises(days, kind, spent, hour):
    period = Period(kind)
    now_ns = START + 14 * DAY + hour * HOUR
    projector = Projector({"prod": period}, fit)
    for number, usd in enumerate(reversed(days)):
        projector.history.add(Pot("prod", ""), now_ns - number * DAY, int(usd * USD))
    one = state(period, now_ns, spent)
    found = projector.outlook(one, now_ns)
    if found is None:
        assert spent == 0 or kind == "weekly"
        return
    told = projected(*found, 100, endless=kind == "total")
    assert (told.ends is None) == (kind == "total")
    ends = [point.ends for point in told.path]
    assert all(spent - 1e-6 <= end.low <= end.median <= end.high < math.inf for end in ends)
    assert all(before.median <= after.median + 1e-9 for before, after in pairwise(ends))
    assert told.exhaustion is not None
    moments = [at_ns for at_ns in told.exhaustion if at_ns is not None]
    assert all(now_ns <= at_ns <= told.path[-1].at_ns for at_ns in moments)


def test_students_quantile():
    """Source: the table of the distribution, one-sided 95 %."""
    for freedom, quantile in ((3, 2.353), (5, 2.015), (10, 1.812), (30, 1.697), (1e9, 1.645)):
        assert student_95(freedom) == pytest.approx(quantile, rel=0.004)
