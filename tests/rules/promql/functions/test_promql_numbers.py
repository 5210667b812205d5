import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.promql.functions.numbers import NUMBERS, quotient

INF, NAN = math.inf, math.nan


def same(one: float | None, other: float | None) -> bool:
    """Equal, not-a-number with itself, and a zero of the same sign."""
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other and math.copysign(1, one) == math.copysign(1, other)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("abs", [-INF], INF),
        ("ceil", [1.1], 2),
        ("ceil", [-0.5], -0.0),
        ("ceil", [INF], INF),
        ("floor", [-1.1], -2),
        ("floor", [-0.0], -0.0),
        ("floor", [NAN], NAN),
        ("round", [2.5], 3),  # ties go up
        ("round", [-2.5], -2),
        ("round", [1.24, 0.1], 1.2),
        ("round", [7, 5], 5),
        ("round", [7, 0], NAN),  # a multiple of nothing
        ("round", [7, INF], NAN),
        ("round", [INF], INF),
        ("sqrt", [-1], NAN),
        ("sqrt", [16], 4),
        ("exp", [1000], INF),
        ("exp", [-INF], 0),
        ("ln", [0], -INF),
        ("ln", [-1], NAN),
        ("ln", [INF], INF),
        ("log2", [8], 3),
        ("log2", [0], -INF),
        ("log2", [-8], NAN),
        ("log2", [5e-324], -1074),
        ("log10", [1000], math.log(1000) * (1 / math.log(10))),
        ("log10", [0], -INF),
        ("log10", [INF], INF),
        ("sgn", [-3], -1),
        ("sgn", [0], 0),
        ("sgn", [NAN], NAN),
        ("deg", [math.pi], 180),
        ("rad", [180], math.pi),
        ("sin", [INF], NAN),
        ("tan", [-INF], NAN),
        ("acos", [2], NAN),
        ("asin", [1], math.pi / 2),
        ("sinh", [-1000], -INF),
        ("cosh", [-1000], INF),
        ("acosh", [0.5], NAN),
        ("atanh", [1], INF),
        ("atanh", [-1], -INF),
        ("atanh", [2], NAN),
    ],
)
def test_results_are_those_of_go(name: str, args: list[float], expected: float) -> None:
    assert same(NUMBERS[name](*map(float, args)), float(expected))


@pytest.mark.parametrize(
    ("value", "lower", "upper", "expected"),
    [
        (5, 0, 3, 3),
        (-5, 0, 3, 0),
        (2, 0, 3, 2),
        (2, 3, 0, None),  # no value is within
        (NAN, 0, 3, NAN),
        (NAN, -INF, -INF, -INF),
        (2, NAN, 3, NAN),
        (2, INF, NAN, INF),
        (-0.0, 0.0, 1, 0.0),
    ],
)
def test_clamp_keeps_values_within_bounds(
    value: float, lower: float, upper: float, expected: float | None
) -> None:
    assert same(NUMBERS["clamp"](value, lower, upper), expected)


def test_clamping_on_one_side_never_empties() -> None:
    assert NUMBERS["clamp_min"](1.0, 2.0) == 2
    assert NUMBERS["clamp_max"](3.0, 2.0) == 2
    assert same(NUMBERS["clamp_min"](NAN, INF), INF)
    assert same(NUMBERS["clamp_max"](NAN, 1.0), NAN)
    assert same(NUMBERS["clamp_max"](0.0, -0.0), -0.0)


@pytest.mark.parametrize(
    ("dividend", "divisor", "expected"),
    [
        (1, 0.0, INF),
        (-1, 0.0, -INF),
        (1, -0.0, -INF),
        (0, 0.0, NAN),
        (NAN, 0.0, NAN),
        (INF, INF, NAN),
        (1, INF, 0),
        (6, 3, 2),
    ],
)
def test_a_division_never_raises(dividend: float, divisor: float, expected: float) -> None:
    assert same(quotient(float(dividend), float(divisor)), float(expected))


@given(st.sampled_from(sorted(set(NUMBERS) - {"clamp", "clamp_min", "clamp_max"})), st.floats())
def test_every_function_has_a_float_for_every_float(name: str, value: float) -> None:
    assert isinstance(NUMBERS[name](value), float)


@given(st.floats(), st.floats(), st.floats())
def test_functions_with_arguments_have_a_result_for_any(value: float, one: float, other: float) -> None:
    assert isinstance(NUMBERS["clamp"](value, one, other), float | None)
    for name in ("clamp_min", "clamp_max", "round"):
        assert isinstance(NUMBERS[name](value, one), float)
