"""What the parser's library lets through, drops or stumbles over is refused as Prometheus refuses it."""

import pytest

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.promql.expression import parse_expression


@pytest.mark.parametrize("text", ['+"a"', "rate(+m[5m])", "+m[5m]", "abs(+1)"])
def test_a_plus_stands_before_numbers_and_vectors_only(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize(
    "text", ["+m", "1 + +2", "sum(+m)", 'm{a="+"} + 1', "m offset +5m", "1e+3 + 2", "m @ +5"]
)
def test_other_pluses_are_read(text: str) -> None:
    assert parse_expression(text).text == text


@pytest.mark.parametrize("text", ["ln(-1)", "ceil(log2(-0.5))", "log10(0)", "exp(NaN)"])
def test_a_function_of_a_vector_takes_no_number(text: str) -> None:
    with pytest.raises(ExpressionError, match="needs an instant vector, not a scalar"):
        parse_expression(text)


@pytest.mark.parametrize("text", ["m[0]", "m[5m:0]"])
def test_a_range_without_length_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="longer than 0"):
        parse_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "m[1e300]",
        "m[1.8e19]",
        "m[1e12]",
        "m offset Inf",
        "m offset -1e300",
        "m[30017091612111024]",
        "m offset 1e12",
    ],
)
def test_a_number_that_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="292 years"):
        parse_expression(text)


@pytest.mark.parametrize("text", ["m[17091612111h30m]", "m[5m:17091612111h]", "m offset 293y", "m[293y]"])
def test_a_duration_that_the_parser_would_cut_is_refused_at_its_place(text: str) -> None:
    with pytest.raises(ExpressionError, match="longer than 292 years") as refused:
        parse_expression(text)
    assert refused.value.column is not None


def test_292_years_are_a_duration() -> None:
    assert parse_expression("m[292y]").kind == "matrix"
