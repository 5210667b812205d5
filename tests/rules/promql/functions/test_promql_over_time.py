import math
import statistics
from array import array
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.promql.functions.quantiles import quantile
from spanbudget.rules.promql.functions.sums import mean, total, variance
from spanbudget.rules.promql.functions.table import RANGE_FUNCTIONS
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.series import Samples

INF, NAN = math.inf, math.nan
WINDOW = RangeWindow(0, 10_000, 10_000)
FINITE = st.floats(-1e9, 1e9)
ANY = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e308, INF, -INF, NAN]), FINITE)


def over_time(name: str, values: Sequence[float], *args: float) -> float | None:
    return RANGE_FUNCTIONS[f"{name}_over_time"](Samples(range(len(values)), values), WINDOW, args)


def same(one: float | None, other: float) -> bool:
    return one is not None and (one == other or (math.isnan(one) and math.isnan(other)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("avg", 3),
        ("count", 4),
        ("first", 1),
        ("last", 3),
        ("max", 6),
        ("min", 1),
        ("present", 1),
        ("sum", 12),
        ("stdvar", 3.5),
        ("stddev", math.sqrt(3.5)),
    ],
)
def test_each_says_what_four_values_come_to(name: str, expected: float) -> None:
    """1, 6, 2, 3: the sum is 12, the mean 3, the variance (4 + 9 + 1 + 0) / 4 = 3.5."""
    assert over_time(name, [1, 6, 2, 3]) == pytest.approx(expected, rel=1e-15)
    assert over_time(name, []) is None


@pytest.mark.parametrize(
    ("values", "lowest", "highest"),
    [
        ([NAN, 1, 2], 1, 2),
        ([1, NAN, 0, NAN, 3], 0, 3),
        ([2, NAN], 2, 2),
        ([NAN, NAN], NAN, NAN),
        ([INF, -INF, NAN], -INF, INF),
    ],
)
def test_not_a_number_is_lowest_or_highest_only_alone(
    values: list[float], lowest: float, highest: float
) -> None:
    assert same(over_time("min", values), lowest)
    assert same(over_time("max", values), highest)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e100, 1, -1e100], 1),  # a plain sum has lost the 1
        ([0.1] * 10, 1),
        ([1e308, 1e308], INF),
        ([1e308, 1e308, -1e308], INF),  # it overflows on the way
        ([INF, 1, 2], INF),
        ([INF, -INF], NAN),
        ([NAN, 1], NAN),
    ],
)
def test_sums_lose_no_digits(values: list[float], expected: float) -> None:
    assert same(total(values), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308, 1.5e308], 1.25e308),  # the sum is beyond a float, the mean is not
        ([-1.7e308, -1.7e308, -1.7e308], -1.7e308),
        ([1.6e308, 1.7e308, -1.7e308, -1.6e308], 0),
        ([INF, 1], INF),
        ([1, -INF, 2], -INF),
        ([INF, -INF], NAN),
        ([NAN, 1], NAN),
    ],
)
def test_a_mean_overflows_only_where_a_value_is_infinite(values: list[float], expected: float) -> None:
    found = mean(values)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e293, nan_ok=True)


def test_a_constant_has_no_deviation_at_all() -> None:
    assert over_time("stddev", [0.1] * 3) == 0
    assert same(over_time("stddev", [INF, INF]), NAN)
    assert same(over_time("stdvar", [1, NAN]), NAN)


def test_the_deviation_of_large_values_keeps_its_digits() -> None:
    """1e9 + (4, 7, 13, 16): mean 10, squares 36 + 9 + 9 + 36 = 90, variance 22.5."""
    assert variance([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]) == pytest.approx(22.5, rel=1e-12)


@pytest.mark.parametrize(
    ("q", "values", "expected"),
    [
        (0.5, [3, 1, 2], 2),
        (0.5, [1, 2], 1.5),
        (0.8, [0, 1, 2], 1.6),  # rank 1.6: 0.4 of 1 and 0.6 of 2
        (0, [5, 4], 4),
        (1, [5, 4], 5),
        (-0.1, [1], -INF),
        (1.1, [1], INF),
        (NAN, [1], NAN),
        (0.5, [], NAN),
        (0, [1, NAN], NAN),  # not-a-number sorts first
        (1, [1, NAN, 2], 2),
        (0.5, [-INF, INF], NAN),
    ],
)
def test_quantiles_lie_between_their_neighbours(q: float, values: list[float], expected: float) -> None:
    assert quantile(q, values) == pytest.approx(expected, nan_ok=True)
    if values:
        assert over_time("quantile", values, q) == pytest.approx(expected, nan_ok=True)


def test_a_quantile_of_no_values_is_no_output_over_time() -> None:
    assert over_time("quantile", [], 0.5) is None


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_sums_means_and_deviations_are_those_of_statistics(values: list[float]) -> None:
    size = max(map(abs, values))
    assert total(values) == math.fsum(values)
    assert mean(values) == pytest.approx(statistics.fmean(values), rel=1e-12, abs=1e-12 * size)
    assert variance(values) == pytest.approx(statistics.pvariance(values), rel=1e-9, abs=1e-12 * size * size)


@given(st.lists(FINITE, min_size=1, max_size=20), st.floats(0, 1))
def test_a_quantile_is_within_the_values(values: list[float], q: float) -> None:
    slack = 1e-12 * max(map(abs, values))
    assert min(values) - slack <= quantile(q, values) <= max(values) + slack


@given(
    st.one_of(
        st.lists(ANY, min_size=1, max_size=20), st.builds(lambda v, n: [v] * n, ANY, st.integers(1, 20))
    )
)
def test_every_function_has_the_same_result_for_an_array_as_for_a_list(values: list[float]) -> None:
    """A series holds arrays, of which those that never change have a way of their own."""
    times = range(0, 1000 * len(values), 1000)
    for name, function in RANGE_FUNCTIONS.items():
        args = [0.5] if name in ("quantile_over_time", "predict_linear") else []
        listed = function(Samples(list(times), values), WINDOW, args)
        found = function(Samples(array("q", times), array("d", values)), WINDOW, args)
        assert found == listed or (found is not None and listed is not None and math.isnan(found + listed)), (
            name
        )


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.floats(-1e9, 1e9))
def test_the_variance_is_exact_to_twelve_digits_of_what_the_values_can_tell(
    values: list[float], offset: float
) -> None:
    moved = [value + offset for value in values]
    exact = [Fraction(value) for value in moved]
    average = sum(exact) / len(exact)
    expected = float(sum((value - average) ** 2 for value in exact) / len(exact))
    size = max(map(abs, moved))
    assert variance(moved) == pytest.approx(
        expected, rel=1e-12, abs=1e-15 * size * math.sqrt(expected) + 1e-290
    )
