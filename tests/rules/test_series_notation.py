"""promtool's notation of series."""

import math

import pytest

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import labels_of
from spanbudget.rules.series import is_stale
from spanbudget.rules.series_notation import metric_labels, series_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("1 2  3", [1, 2, 3]),
        ("1x2", [1, 1, 1]),
        ("1+2x3", [1, 3, 5, 7]),
        ("-2+4x2", [-2, 2, 6]),
        ("3-1x2", [3, 2, 1]),
        ("-3-1x1", [-3, -4]),
        ("0x3", [0, 0, 0, 0]),  # no hexadecimal number
        ("_ 1 _x2", [None, 1, None, None]),
        (".5 1.5e3 1e-3", [0.5, 1500, 0.001]),
        ("0.1+0.1x2", [0.1, 0.2, 0.1 + 0.1 + 0.1]),
        ("Inf -Inf +inf", [math.inf, -math.inf, math.inf]),
    ],
)
def test_values_are_written_out(text: str, values: list[float | None]) -> None:
    assert series_values(text) == values


def test_a_series_can_end_and_have_no_number() -> None:
    stale, number = series_values("stale NaN")
    assert is_stale(stale or 0.0)
    assert math.isnan(number or 0.0)
    assert not is_stale(number or 0.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1+2", '"1+2" is no value'),
        ("stalex3", '"stalex3" is no value'),
        ("1x", '"1x" is no value'),
        ("a", '"a" is no value'),
        ("1 {{schema:0 sum:5}}", "native histograms"),
        ("1x99999999999", "more than 1000000 values"),
        ("5m", "is no value such as"),
    ],
)
def test_a_wrong_notation_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem.replace("+", r"\+")):
        series_values(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {"__name__": "up"}),
        ("{}", {}),
        ("", {}),
        ("job:up:sum{a=\"x\", b='y',}", {"__name__": "job:up:sum", "a": "x", "b": "y"}),
        ('{"a.b", "c d"="e", f=`g\\n`}', {"__name__": "a.b", "c d": "e", "f": "g\\n"}),
        (r'up{a="x\"\\\n"}', {"__name__": "up", "a": 'x"\\\n'}),
        ('{__name__="up", a=""}', {"__name__": "up"}),
    ],
)
def test_the_labels_of_a_metric_are_read(text: str, labels: dict[str, str]) -> None:
    assert metric_labels(text) == labels_of(labels)


@pytest.mark.parametrize(
    "text", ["up{", "up{a}", 'up{a="x"', 'up{a="x" b="y"}', "up{a=x}", "up up", r'up{a="\q"}', "1"]
)
def test_a_wrong_metric_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ExpressionError, match="at character") as raised:
        metric_labels(text)
    assert raised.value.column is not None
