import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import labels_of
from spanbudget.rules.promql.functions.histograms import (
    Bucket,
    bucket_fraction,
    bucket_quantile,
    histogram_fraction,
    histogram_quantile,
)

INF, NAN = math.inf, math.nan


def buckets() -> list[Bucket]:
    """10 observations up to 1, 20 more up to 2, 10 more up to 5, none above."""
    return [Bucket(1, 10), Bucket(2, 30), Bucket(5, 40), Bucket(INF, 40)]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (0, 0.0),  # rank 0 in the first bucket, which starts at 0
        (0.125, 0.5),  # rank 5 of the 10 in (0, 1]
        (0.25, 1.0),
        (0.5, 1.5),  # rank 20: 10 of the 20 in (1, 2]
        (0.875, 3.5),  # rank 35: 5 of the 10 in (2, 5]
        (1, 5.0),
        (-0.1, -INF),
        (1.1, INF),
        (NAN, NAN),
    ],
)
def test_quantiles_are_interpolated_in_their_bucket(q: float, expected: float) -> None:
    assert bucket_quantile(q, buckets()) == pytest.approx(expected, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    ("found", "q", "expected"),
    [
        ([Bucket(1, 10), Bucket(2, 30)], 0.5, NAN),  # no bucket up to +Inf
        ([Bucket(INF, 30)], 0.5, NAN),  # nor any other
        ([Bucket(1, 0), Bucket(INF, 0)], 0.5, NAN),  # nothing observed
        ([Bucket(1, 10), Bucket(INF, 40)], 0.9, 1),  # in the last one: the bound before it
        ([Bucket(-1, 10), Bucket(INF, 10)], 0.5, -1),  # the first one does not start at 0
        ([Bucket(0, 10), Bucket(INF, 10)], 0.5, 0),
        ([Bucket(-2, 10), Bucket(0, 20), Bucket(INF, 20)], 0.75, -1),
        ([Bucket(INF, 4), Bucket(2, 4), Bucket(1, 2)], 0.5, 1),  # in any order
        ([Bucket(1, 2), Bucket(1, 2), Bucket(INF, 4), Bucket(INF, 4)], 0.5, 1),  # equal bounds are added
        ([Bucket(1, 10), Bucket(2, 5), Bucket(3, 20), Bucket(INF, 20)], 0.5, 1),  # a fall is taken back
        ([Bucket(1, 0), Bucket(2, 0), Bucket(INF, 4)], 0, NAN),  # 0 / 0 in an empty first bucket
        ([Bucket(1, NAN), Bucket(INF, 10)], 0.5, 1),
    ],
)
def test_the_edges_of_a_histogram(found: list[Bucket], q: float, expected: float) -> None:
    assert bucket_quantile(q, found) == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_a_difference_that_is_but_rounding_is_none() -> None:
    """10 and 10 + 1e-12 differ by 5e-14 of their sum, 10 and 10 + 1e-10 by 5e-12; 1e-12 is the bound."""
    assert bucket_quantile(1, [Bucket(1, 10), Bucket(2, 10 + 1e-12), Bucket(INF, 10 + 1e-12)]) == 1
    assert bucket_quantile(1, [Bucket(1, 10), Bucket(2, 10 + 1e-10), Bucket(INF, 10 + 1e-10)]) > 1


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (0, 1, 0.25),
        (-INF, INF, 1),
        (1.5, 2, 0.25),  # half of the 20 in (1, 2], of 40
        (0.5, 3.5, 0.75),  # 5 + 20 + 5
        (2, 1, 0),
        (5, INF, 0),
        (NAN, 1, NAN),
        (-3, -1, 0),
    ],
)
def test_shares_are_interpolated_in_their_buckets(lower: float, upper: float, expected: float) -> None:
    assert bucket_fraction(lower, upper, buckets()) == pytest.approx(expected, nan_ok=True)


def test_a_share_needs_a_last_bucket_and_observations() -> None:
    assert math.isnan(bucket_fraction(0, 1, [Bucket(1, 10)]))
    assert math.isnan(bucket_fraction(0, 1, [Bucket(1, 0), Bucket(INF, 0)]))
    assert bucket_fraction(-5, -2, [Bucket(-1, 10), Bucket(INF, 20)]) == 0.0  # all 10 below -5 and below -2


def series(le: str, count: float, **others: str) -> Any:
    return labels_of({"__name__": "latency_bucket", "le": le, **others}), count


def test_each_histogram_of_a_vector_has_its_quantile_without_name_and_bound() -> None:
    vector = [
        series("1", 10, model="a"),
        series("1", 5, model="b"),
        series("+Inf", 10, model="a"),
        series("+Inf", 10, model="b"),
        series("2", 10, model="b"),
    ]
    args: Any = [0.75, vector]
    assert histogram_quantile(args, 0) == [((("model", "a"),), 0.75), ((("model", "b"),), 1.5)]
    args = [0.0, 1.0, vector]
    assert histogram_fraction(args, 0) == [((("model", "a"),), 1.0), ((("model", "b"),), 0.5)]


@pytest.mark.parametrize("le", ["", "x", "nan", " 1", "1 ", "1e999", "infinit", "0x1", "1__0", "\uff11"])
def test_what_has_no_bound_is_passed_over(le: str) -> None:
    args: Any = [0.5, [series(le, 99), series("2", 10), series("Inf", 10)]]
    assert histogram_quantile(args, 0) == [((), 1.0)]


@pytest.mark.parametrize("le", ["1", "1.0", "+1", "1e0", "0x1p0", "10_0e-2", "1."])
def test_bounds_are_numbers_as_go_reads_them(le: str) -> None:
    args: Any = [1.0, [series(le, 10), series("infinity", 10)]]
    assert histogram_quantile(args, 0) == [((), 1.0)]


def test_nothing_comes_of_nothing() -> None:
    args: Any = [0.5, []]
    assert histogram_quantile(args, 0) == []


def test_two_metrics_with_the_same_labels_are_an_error() -> None:
    vector = [series("+Inf", 1), (labels_of({"__name__": "size_bucket", "le": "+Inf"}), 1.0)]
    args: Any = [0.5, vector]
    with pytest.raises(EvaluationError, match="vector cannot contain metrics with the same labelset"):
        histogram_quantile(args, 0)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=10), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_quantile_is_not_lower(counts: list[int], one: float, other: float) -> None:
    bounds = [*map(float, range(1, len(counts))), INF]
    found = [Bucket(bound, sum(counts[: index + 1])) for index, bound in enumerate(bounds)]
    low, high = sorted((one, other))
    if sum(counts) and counts[0]:
        assert bucket_quantile(low, found) <= bucket_quantile(high, found) + 1e-12
