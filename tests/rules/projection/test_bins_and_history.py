"""How time is cut, and what is kept of each budget."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.limits import Pot
from spanbudget.processors.periods import INSTANT_MAX_NS, Period, Window
from spanbudget.rules.projection.bins import Bins, bins_of, is_endless, part_passed
from spanbudget.rules.projection.history import SpendHistory

HOUR = 3_600 * 10**9
DAY = 24 * HOUR
START = 20_000 * DAY
USD = 10**12
POT = Pot("prod", "")


@pytest.mark.parametrize(
    ("kind", "length", "season"),
    [
        ("hourly", HOUR // 12, 12),
        ("daily", HOUR // 2, 48),
        ("weekly", DAY, 7),
        ("monthly", DAY, 7),
        ("yearly", DAY, 7),
        ("total", DAY, 7),
    ],
)
def test_a_period_is_cut_into_bins_with_the_rhythm_of_the_longer_time(kind, length, season):
    bins = bins_of(Period(kind))
    assert bins is not None
    assert (bins.length_ns, bins.season) == (length, season)
    assert bins.kept >= 12 * season or kind == "hourly"


def test_a_rolling_period_has_no_end_and_so_no_bins():
    assert bins_of(Period("rolling", rolling_seconds=3_600)) is None
    assert is_endless(Period("total").window(START))
    assert not is_endless(Period("yearly").window(START))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("kind", ["weekly", "monthly", "yearly"])
def test_edges_of_days_lead_from_the_present_day_to_the_end_of_the_window(zone, kind):
    period = Period(kind, zone)
    bins = bins_of(period)
    assert bins is not None
    now = START + 5 * HOUR
    end = period.window(now).end_ns
    edges = bins.edges(now, end)
    assert edges[0] <= now < edges[1]
    assert edges[-1] == end
    assert edges == sorted(set(edges))
    # A day of 23 or 25 hours, where clocks change, is a whole day.
    assert bins.parts(edges) == [1.0] * (len(edges) - 1)
    assert bins.between(edges[0], edges[-1]) == len(edges) - 1


def test_a_window_that_begins_inside_a_half_hour_has_a_part_of_one():
    """Kathmandu is 5:45 ahead: its midnight is at 18:15 UTC."""
    period = Period("daily", "Asia/Kathmandu")
    bins = bins_of(period)
    assert bins is not None
    edges = bins.edges(START, period.window(START).end_ns)
    assert bins.parts(edges)[-1] == pytest.approx(0.5)
    assert sum(bins.parts(edges)) == pytest.approx(18.25 * 2)


def test_the_part_of_a_bin_that_has_passed():
    edges = [0, 10, 20]
    assert part_passed(edges, 5) == (0, 0.5)
    assert part_passed(edges, 10) == (1, 0.0)
    assert part_passed(edges, 99) == (1, 1.0)
    assert part_passed(edges, -5) == (0, 0.0)


def test_a_total_is_looked_at_a_year_ahead():
    bins = bins_of(Period("total"))
    assert bins is not None
    assert len(bins.edges(START, INSTANT_MAX_NS)) == 367


def history(kept: int = 5) -> SpendHistory:
    return SpendHistory({"prod": Bins(DAY, 7, kept, "UTC")})


def test_spend_is_added_up_by_days_from_the_first_call_on():
    past = history()
    assert past.past(POT, START) is None
    past.add(POT, START + HOUR, 2 * USD)
    past.add(POT, START + 2 * HOUR, USD)
    past.add(POT, START + 2 * DAY, 4 * USD)
    found = past.past(POT, START + 3 * DAY + HOUR)
    assert found == (START, (3.0, 0.0, 4.0), 0.0)
    past.add(POT, START + 3 * DAY + HOUR, USD)
    assert past.current(POT, START + 3 * DAY + 2 * HOUR) == 1
    assert past.current(POT, START + 4 * DAY) == 0
    assert past.current(Pot("other", ""), START) == 0


def test_only_so_many_bins_and_budgets_are_kept():
    past = SpendHistory({"prod": Bins(DAY, 7, 3, "UTC")}, pots_max=1)
    for day in range(10):
        past.add(POT, START + day * DAY, (day + 1) * USD)
    assert past.past(POT, START + 9 * DAY) == (START + 7 * DAY, (8.0, 9.0), 10.0)
    past.add(Pot("prod", "user=ann"), START, USD)
    past.add(Pot("unknown", ""), START, USD)
    assert past.past(Pot("prod", "user=ann"), START) is None
    assert past.left_out == 1


def test_late_spend_is_of_its_day_and_what_is_older_than_all_is_left_out():
    past = history(kept=4)
    past.add(POT, START, USD)
    past.add(POT, START - 2 * DAY, 5 * USD)
    past.add(POT, START - 9 * DAY, 9 * USD)
    past.add(POT, START, -USD)
    assert past.past(POT, START) == (START - 2 * DAY, (5.0, 0.0), 0.0)


def test_a_long_silence_leaves_zeros():
    past = history(kept=4)
    past.add(POT, START, USD)
    assert past.past(POT, START + 1_000 * DAY) == (START + 997 * DAY, (0.0, 0.0, 0.0), 0.0)


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(-5, 9)), max_size=40), st.integers(40, 45))
def test_days_hold_what_was_spent_in_them(calls, today):
    past = SpendHistory({"prod": Bins(DAY, 7, 20, "Europe/Berlin")})
    expected: dict[int, float] = {}
    latest = None
    for day, usd in calls:
        past.add(POT, START + day * DAY + 12 * HOUR, usd * USD)
        # What is older than all that is kept when it comes is left out.
        latest = day if latest is None else max(latest, day)
        if day > latest - 20:
            expected[day] = expected.get(day, 0) + usd
    found = past.past(POT, START + today * DAY + 13 * HOUR)
    if not calls:
        assert found is None
        return
    assert found is not None
    days = [today - len(found.closed) + number for number in range(len(found.closed) + 1)]
    assert [*found.closed, found.current] == [expected.get(day, 0) for day in days]
    assert all(math.isfinite(amount) for amount in found.closed)
    assert bins_start(found.start_ns) == bins_start(START + days[0] * DAY + 12 * HOUR)


def bins_start(at_ns: int) -> Window:
    return Bins(DAY, 7, 20, "Europe/Berlin").around(at_ns)
