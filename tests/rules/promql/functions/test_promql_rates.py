import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.promql.functions.rates import changes, delta, idelta, increase, irate, rate, resets
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples

HOUR = RangeWindow(0, 3_600_000, 3_600_000)
NAN = math.nan


def samples(*pairs: tuple[int, float], drops: bool = True) -> Samples:
    return Samples([int(at * 1000) for at, _ in pairs], [float(value) for _, value in pairs], drops)


def window(start: int, end: int) -> RangeWindow:
    return RangeWindow(start * 1000, end * 1000, end * 1000)


def test_a_range_covered_to_both_ends_is_extrapolated_to_both() -> None:
    """Samples at 10 s to 50 s in (0, 60]: 40 s sampled, 10 s missing at each end, less than 1.1 x 10 s.

    (50 - 10 = 40 grown) x (40 + 10 + 10) / 40 = 60; per second 1.
    """
    seen = samples((10, 10), (20, 20), (30, 30), (40, 40), (50, 50))
    assert increase(seen, window(0, 60), ()) == 60
    assert rate(seen, window(0, 60), ()) == 1
    assert delta(seen, window(0, 60), ()) == 60


@pytest.mark.parametrize(
    ("start_ms", "to_start_seconds"),
    [
        (10_000, 10),
        (9_001, 10.999),
        (9_000, 5),  # 11 s are not below 1.1 x 10 s: half a distance
        (0, 5),
    ],
)
def test_near_is_below_eleven_tenths_of_the_average_distance(start_ms: int, to_start_seconds: float) -> None:
    """Samples every 10 s from 20 s on: 40 grown in 40 s, so 40 x (40 + to_start) / 40."""
    seen = samples((20, 100), (30, 110), (40, 120), (50, 130), (60, 140))
    found = increase(seen, RangeWindow(start_ms, 60_000, 60_000), ())
    assert found == pytest.approx(40 + to_start_seconds, rel=1e-15)


def test_a_series_that_starts_late_and_ends_early_is_extended_by_half_a_distance() -> None:
    """Samples at 100, 110, 120 s in (0, 300]: 20 s sampled, 5 s more on each side.

    20 x (20 + 5 + 5) / 20 = 30.
    """
    seen = samples((100, 100), (110, 110), (120, 120))
    assert increase(seen, window(0, 300), ()) == 30
    assert rate(seen, window(0, 300), ()) == pytest.approx(30 / 300, rel=1e-15)


def test_a_counter_is_not_extrapolated_below_zero() -> None:
    """10 s before the first sample are missing, but at 1/s a counter of 2 was zero 2 s before it.

    20 x (20 + 2 + 0) / 20 = 22; a gauge goes on: 20 x (20 + 10) / 20 = 30.
    """
    seen = samples((10, 2), (20, 12), (30, 22))
    assert increase(seen, window(0, 30), ()) == 22
    assert delta(seen, window(0, 30), ()) == 30


def test_a_counter_that_was_reset_counts_on() -> None:
    """5 to 9, then from 0 to 3: 3 - 5 + 9 = 7 grown in 30 s, none missing at the end.

    The zero is 30 x 5 / 7 s before the first sample, more than the 10 s missing: 7 x 40 / 30.
    """
    seen = samples((10, 5), (20, 9), (30, 0), (40, 3))
    assert increase(seen, window(0, 40), ()) == pytest.approx(7 * 40 / 30, rel=1e-15)
    assert resets(seen, window(0, 40), ()) == 1
    assert delta(seen, window(0, 40), ()) == pytest.approx(-2 * 40 / 30, rel=1e-15)


def test_one_sample_or_none_has_no_growth() -> None:
    for few in (samples(), samples((10, 1))):
        for function in (rate, increase, delta, irate, idelta):
            assert function(few, HOUR, ()) is None
    assert changes(samples(), HOUR, ()) is None
    assert resets(samples(), HOUR, ()) is None
    assert changes(samples((10, 1)), HOUR, ()) == 0
    assert resets(samples((10, 1)), HOUR, ()) == 0


def test_the_last_two_samples_tell_the_instant_rate() -> None:
    """(30 - 10) / 8 s = 2.5; after a reset to 4 it is 4 / 8 s = 0.5."""
    assert irate(samples((0, 0), (1, 10), (9, 30)), HOUR, ()) == 2.5
    assert irate(samples((0, 0), (1, 10), (9, 4)), HOUR, ()) == 0.5
    assert idelta(samples((0, 0), (1, 10), (9, 4)), HOUR, ()) == -6


@pytest.mark.parametrize(
    ("values", "changed", "fell"),
    [
        ([1, 1, 1], 0, 0),
        ([1, 2, 1], 2, 1),
        ([NAN, NAN, 1, NAN], 2, 0),
        ([3, NAN, 2], 2, 0),
        ([math.inf, math.inf, -math.inf], 1, 1),
    ],
)
def test_not_a_number_changes_but_does_not_fall(values: list[float], changed: int, fell: int) -> None:
    seen = samples(*enumerate(values))
    assert changes(seen, HOUR, ()) == changed
    assert resets(seen, HOUR, ()) == fell


def test_infinities_give_what_they_give_and_do_not_raise() -> None:
    assert increase(samples((1, 0), (2, math.inf)), HOUR, ()) == math.inf
    assert math.isnan(increase(samples((1, math.inf), (2, math.inf)), HOUR, ()) or 0)
    assert math.isnan(irate(samples((1, math.inf), (2, math.inf)), HOUR, ()) or 0)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=40), st.integers(1, 60))
def test_a_counter_known_not_to_fall_grows_as_one_that_is_looked_through(steps: list[int], gap: int) -> None:
    values = [float(sum(steps[:index])) for index in range(len(steps))]
    pairs = [(index * gap, value) for index, value in enumerate(values, 1)]
    assert increase(samples(*pairs, drops=False), HOUR, ()) == increase(samples(*pairs), HOUR, ())
    assert resets(samples(*pairs, drops=False), HOUR, ()) == resets(samples(*pairs), HOUR, ()) == 0


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40))
def test_a_rate_is_the_increase_per_second_and_never_negative(values: list[float]) -> None:
    seen = samples(*((index * 60, value) for index, value in enumerate(values, 1)))
    grown, per_second = increase(seen, HOUR, ()), rate(seen, HOUR, ())
    assert grown is not None
    assert per_second == pytest.approx(grown / 3600, rel=1e-12)
    assert grown >= 0


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, NAN, math.inf, -math.inf]), min_size=1, max_size=20))
def test_changes_and_falls_are_those_that_are_counted_one_by_one(values: list[float]) -> None:
    pairs = list(pairwise(values))
    changed = sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs)
    for held in (values, array("d", values)):
        seen = Samples(range(len(values)), held)
        assert changes(seen, HOUR, ()) == changed
        assert resets(seen, HOUR, ()) == sum(b < a for a, b in pairs)
