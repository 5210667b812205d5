import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.promql.functions.regressions import deriv, predict_linear
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples

WINDOW = RangeWindow(0, 60_000, 60_000)


def samples(times_seconds: list[float], values: list[float]) -> Samples:
    return Samples([int(at * 1000) for at in times_seconds], values)


def test_a_line_has_its_slope_and_goes_on() -> None:
    """y = 2x + 1 at 10, 20, 30 s: slope 2; at the evaluation (60 s) 121, and 40 s later 201."""
    seen = samples([10, 20, 30], [21.0, 41.0, 61.0])
    assert deriv(seen, WINDOW, ()) == pytest.approx(2, rel=1e-12)
    assert predict_linear(seen, WINDOW, [0]) == pytest.approx(121, rel=1e-12)
    assert predict_linear(seen, WINDOW, [40]) == pytest.approx(201, rel=1e-12)


def test_the_prediction_starts_at_the_evaluation_however_the_range_is_shifted() -> None:
    """The range is an hour back; y = x, so at the evaluation (3660 s) it is 3660."""
    seen = samples([10, 20, 30], [10.0, 20.0, 30.0])
    shifted = RangeWindow(0, 60_000, 3_660_000)
    assert predict_linear(seen, shifted, [0]) == pytest.approx(3660, rel=1e-9)


def test_the_best_line_is_that_of_the_least_squares() -> None:
    """x = 0, 1, 2 and y = 0, 2, 1: covariance (0 + 2 + 2) - 3 x 3 / 3 = 1, variance 5 - 9 / 3 = 2."""
    assert deriv(samples([0, 1, 2], [0.0, 2.0, 1.0]), WINDOW, ()) == pytest.approx(0.5, rel=1e-12)


def test_a_constant_is_flat_to_the_last_digit() -> None:
    seen = samples([1, 2, 4], [0.1, 0.1, 0.1])
    assert deriv(seen, WINDOW, ()) == 0
    assert predict_linear(seen, WINDOW, [1e9]) == 0.1


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_constant_that_is_no_finite_number_has_no_line(value: float) -> None:
    """The same object three times, as a list may hold it."""
    assert math.isnan(deriv(samples([1, 2, 3], [value] * 3), WINDOW, ()) or 0)
    assert math.isnan(predict_linear(samples([1, 2, 3], [value] * 3), WINDOW, [1]) or 0)


def test_a_mix_of_infinities_and_an_overflow_do_not_raise() -> None:
    assert math.isnan(deriv(samples([1, 2], [math.inf, -math.inf]), WINDOW, ()) or 0)
    assert deriv(samples([1, 2, 3], [1.7e308, 1.7e308, -1.7e308]), WINDOW, ()) is not None


def test_below_two_samples_there_is_no_line() -> None:
    for few in (samples([], []), samples([1], [1.0])):
        assert deriv(few, WINDOW, ()) is None
        assert predict_linear(few, WINDOW, [1]) is None


@given(
    st.floats(-1e3, 1e3),
    st.floats(-1e6, 1e6),
    st.lists(st.integers(0, 60_000), min_size=2, max_size=30, unique=True),
)
def test_the_line_through_points_of_a_line_is_that_line(slope: float, start: float, times: list[int]) -> None:
    times.sort()
    seen = Samples(times, [start + slope * at / 1000 for at in times])
    off = 1e-9 * (abs(start) + abs(slope) * 60 + 1)
    assert predict_linear(seen, WINDOW, [0]) == pytest.approx(
        start + slope * 60, abs=off * 60_000 / (times[-1] - times[0])
    )


def test_series_of_the_same_times_and_other_values_have_lines_of_their_own() -> None:
    """y = x and y = 3x at the same moments: 60 and 180 at the evaluation."""
    times = array("q", [10_000, 20_000, 40_000])
    for slope in (1, 3, 1):
        values = array("d", [slope * at / 1000 for at in times])
        assert deriv(Samples(times, values), WINDOW, ()) == pytest.approx(slope, rel=1e-12)
        assert predict_linear(Samples(times, values), WINDOW, [0]) == pytest.approx(60 * slope, rel=1e-12)
