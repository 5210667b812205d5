"""What is learned from closed bins: rhythm, trend, level, and how far past forecasts strayed."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.projection.model import HORIZONS, SEASONS_MAX, fit

WEEK = [10.0, 12.0, 11.0, 12.0, 10.0, 3.0, 2.0]
ODD = [0.0, -3.0, math.nan, math.inf, -math.inf, 1e300, 1e-300, 5.0]


def test_a_week_that_repeats_is_known():
    model = fit(WEEK * 6, 7)
    assert model.ahead(0, [1.0] * 7) == pytest.approx(WEEK, abs=0.4)
    assert sum(model.ahead(0, [1.0] * 7)) == pytest.approx(sum(WEEK), rel=0.01)
    assert model.slope == 0


def test_the_profile_begins_with_the_bin_after_the_closed_ones():
    model = fit((WEEK * 6)[:-3], 7)
    ahead = model.ahead(0, [1.0] * 10)
    assert ahead[:3] == pytest.approx(WEEK[4:], abs=0.4)
    assert model.ahead(2, [1.0]) == pytest.approx(ahead[2:3])


def test_a_part_of_a_bin_is_a_part_of_its_spend():
    model = fit([4.0] * 30, 7)
    assert model.ahead(0, [0.25, 1.0]) == pytest.approx([1.0, 4.0])


def test_growth_that_is_beyond_doubt_goes_on_and_levels_off():
    grows = fit([100 * 1.01**day for day in range(56)], 7)
    ahead = grows.ahead(0, [1.0] * 60)
    assert ahead[0] == pytest.approx(100 * 1.01**56, rel=0.04)
    assert ahead[13] / ahead[0] > 1.08
    assert ahead[59] / ahead[52] < 1.03


def test_noise_is_no_trend():
    chance = np.random.default_rng(5)
    slopes = [fit((100 * chance.lognormal(0, 0.3, 42)).tolist(), 7).slope for _ in range(50)]
    assert sum(slope == 0 for slope in slopes) >= 35


def test_one_burst_hardly_moves_the_level():
    calm = fit([10.0] * 40, 7)
    burst = fit([*[10.0] * 38, 500.0, 10.0], 7)
    assert burst.level == pytest.approx(calm.level, rel=0.02)
    assert burst.ceiling == pytest.approx(10)


def test_a_new_level_is_taken_over_within_two_weeks():
    after_days, after_weeks = (fit([10.0] * 40 + [30.0] * days, 7).level for days in (6, 14))
    assert after_days > 16
    assert after_weeks > 26


def test_errors_of_the_past_grow_with_the_noise_and_shrink_with_the_horizon():
    chance = np.random.default_rng(7)
    noise = chance.normal(0, 1, 56)
    low, high = (fit((100 * np.exp(size * noise)).tolist(), 7).errors for size in (0.05, 0.4))
    assert [horizon for horizon, _, _ in high] == [1, 2, 4, 7, 14, 28]
    assert all(large[1] > small[1] for small, large in zip(low, high, strict=True))
    assert high[3][1] < high[0][1]
    assert fit([5.0] * 56, 7).errors[0][1] == pytest.approx(0, abs=1e-9)


def test_only_the_last_eight_seasons_count():
    recent = [3.0, 4.0] * 28
    assert fit([1_000.0] * 100 + recent, 7) == fit(recent, 7)
    assert fit(recent, 7).bins == SEASONS_MAX * 7


@given(
    st.lists(st.one_of(st.sampled_from(ODD), st.floats(-10, 1e6)), min_size=1, max_size=120),
    st.sampled_from([7, 12, 48]),
)
def test_any_series_gives_finite_numbers_and_no_warning(closed, season):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(closed, season)
    numbers = [model.level, model.slope, model.ceiling, *model.profile, *model.ahead(0, [1.0] * 30)]
    numbers += [error for _, error, _ in model.errors]
    assert all(math.isfinite(number) for number in numbers)
    assert min(model.level, model.ceiling, *model.profile) >= 0
    assert len(model.errors) <= len(HORIZONS) + 1
    assert sum(model.profile) / season == pytest.approx(1, abs=0.05 * season)


def test_what_began_a_while_ago_has_not_grown_from_nothing():
    assert fit([0.0] * 20 + [5.0] * 30, 7) == fit([5.0] * 30, 7)
    assert fit([1.0] + [0.0] * 50 + [5.0] * 30, 7).ahead(0, [1.0] * 30)[-1] == pytest.approx(5, rel=0.01)


def test_zeros_expect_zeros_and_corrections_count_as_none():
    assert fit([0.0] * 30, 7).ahead(0, [1.0] * 3) == pytest.approx([0, 0, 0], abs=1e-12)
    assert fit([5.0, -100.0] * 20, 7).level >= 0
    assert fit([math.nan] * 9, 7).level == pytest.approx(0, abs=1e-12)
