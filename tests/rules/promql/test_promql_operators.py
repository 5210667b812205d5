import inspect
import math
import sys

import pytest

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.promql.arithmetic import power, remainder
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.promql.projections import Grafts, dropping, keeping
from spanbudget.rules.series import SeriesStore


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", "6.5"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "-4"),
        ("-(2)", "-2"),
        ("--2", "2"),
        ("1 / 0", "+Inf"),
        ("-1 / 0", "-Inf"),
        ("1 / -0", "-Inf"),
        ("0 / 0", "NaN"),
        ("NaN / 0", "NaN"),
        ("1e308 * 10", "+Inf"),
        ("5 % 3", "2"),
        ("-5 % 3", "-2"),
        ("5 % -3", "2"),
        ("5 % 0", "NaN"),
        ("Inf % 3", "NaN"),
        ("5 % Inf", "5"),
        ("10 ^ 400", "+Inf"),
        ("-(10) ^ 401", "-Inf"),
        ("(-10) ^ 401", "-Inf"),
        ("(-8) ^ 0.5", "NaN"),
        ("0 ^ -1", "+Inf"),
        ("(-0) ^ -3", "-Inf"),
        ("(-0) ^ -2", "+Inf"),
        ("(-1) ^ Inf", "1"),
        ("0 atan2 -1", "3.141592653589793"),
        ("1 == bool 1", "1"),
        ("NaN == bool NaN", "0"),
        ("NaN != bool NaN", "1"),
        ("2 > bool 1", "1"),
        ("2 <= bool 1", "0"),
        ("5m + 0x1F", "331"),
        ("time() - 60", "60"),
        ('"text"', "text"),
    ],
)
def test_numbers_follow_ieee_754_and_go(evaluate, expression, value):
    assert evaluate("", expression, 2) == [value]


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (power, (2.0, 0.5), math.sqrt(2)),
        (power, (1.0, math.nan), 1.0),
        (power, (math.nan, 0.0), 1.0),
        (power, (0.0, -math.inf), math.inf),
        (remainder, (-0.5, math.inf), -0.5),
    ],
)
def test_edges_of_powers_and_remainders(function, arguments, result):
    assert function(*arguments) == result


COSTS = """
    cost{team="a",model="x"} 10
    cost{team="a",model="y"} 20
    cost{team="b",model="x"} 40
    limit{team="a"} 25
    limit{team="b"} 30
    limit{team="c"} 35
    other{team="a"} 1
"""


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        # With a number: filters keep the metric and its value, everything else drops the name.
        ("limit > 25", ['limit{team="b"} 30', 'limit{team="c"} 35']),
        ("30 >= limit", ['limit{team="a"} 25', 'limit{team="b"} 30']),
        ("limit != 30", ['limit{team="a"} 25', 'limit{team="c"} 35']),
        ("limit == bool 30", ['{team="a"} 0', '{team="b"} 1', '{team="c"} 0']),
        ("30 < bool limit", ['{team="a"} 0', '{team="b"} 0', '{team="c"} 1']),
        ('limit{team="a"} / 2', ['{team="a"} 12.5']),
        ('100 / limit{team="a"}', ['{team="a"} 4']),
        ('-limit{team="a"}', ['{team="a"} -25']),
        ('+limit{team="a"}', ['limit{team="a"} 25']),
        # One to one.
        ('limit - limit{team!="c"}', ['{team="a"} 0', '{team="b"} 0']),
        ("limit > on(team) other", ['{team="a"} 25']),
        ("limit > ignoring(region) other", ['limit{team="a"} 25']),
        ("limit < ignoring(region) other", []),
        ("limit < bool ignoring(region) other", ['{team="a"} 0']),
        ('limit{team="a"} * ignoring(team) limit{team="b"}', ["{} 750"]),
        ('cost{model="x"} > ignoring(model) limit', ['cost{team="b"} 40']),
        ("other * on() group_left limit{team='c'}", ['{team="a"} 35']),
        # Many to one.
        (
            "cost / on(team) group_left() limit",
            [
                '{model="x", team="a"} 0.4',
                '{model="y", team="a"} 0.8',
                '{model="x", team="b"} 1.3333333333333333',
            ],
        ),
        ("cost > on(team) group_left() limit", ['cost{model="x", team="b"} 40']),
        ("limit < on(team) group_right() cost", ['cost{model="x", team="b"} 30']),
        ("limit < bool on(team) group_right() cost{team='b'}", ['{model="x", team="b"} 1']),
        # Set operators.
        ("limit and on(team) other", ['limit{team="a"} 25']),
        ("limit unless on(team) cost", ['limit{team="c"} 35']),
        ("other or limit", ['other{team="a"} 1', 'limit{team="b"} 30', 'limit{team="c"} 35']),
        ("other or on(team, model) cost", None),
        ("other or ignoring(model) cost{team='b'}", ['other{team="a"} 1', 'cost{model="x", team="b"} 40']),
        ("limit and vector(1)", []),
        ("limit{team='a'} and on() vector(1)", ['limit{team="a"} 25']),
        ("nothing or limit{team='a'}", ['limit{team="a"} 25']),
        ("limit{team='a'} unless nothing", ['limit{team="a"} 25']),
        ("limit and nothing", []),
        ("limit + nothing", []),
    ],
)
def test_elements_are_matched_by_their_labels(evaluate, expression, lines):
    if lines is None:  # all costs, as none has the same labels as `other`
        assert len(evaluate(COSTS, expression)) == 4
    else:
        assert evaluate(COSTS, expression) == lines


def test_group_left_takes_labels_of_the_one_side_and_removes_those_it_lacks(evaluate):
    series = """
        cost{team="a",owner="old",region="eu"} 2
        cost{team="b",owner="old",region="us"} 3
        info{team="a",owner="ann"} 1
        info{team="b"} 1
    """
    assert evaluate(series, "cost * on(team) group_left(owner) info") == [
        '{owner="ann", region="eu", team="a"} 2',
        '{region="us", team="b"} 3',
    ]


DUPLICATES = """
    many{team="a",model="x"} 1
    many{team="a",model="y"} 2
    one{team="a",model="x"} 3
    one{team="a",model="y"} 4
    single{team="a"} 5
"""


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "single * on(team) one",
            r'duplicate series for the match group \{team="a"\} on the right hand-side of the operation: \[o',
        ),
        (
            "single * on(team) one",
            r";many-to-many matching not allowed: matching labels must be unique on one",
        ),
        ("many * on(team) group_left() one", "on the right hand-side"),
        ("one * on(team) group_right() many", "on the left hand-side"),
        ("many * on(team) single", r"many-to-one matching must be explicit \(group_left/group_right\)"),
        ("many > on(team) single", r"many-to-one matching must be explicit"),
        (
            "many * ignoring(model) group_left(model) single",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
        ('{__name__=~"many|one"} + 1', "vector cannot contain metrics with the same labelset"),
        ('-{__name__=~"many|one"}', "vector cannot contain metrics with the same labelset"),
        ('abs({__name__=~"many|one"})', "vector cannot contain metrics with the same labelset"),
        ('rate({__name__=~"many|one"}[5m]) or max_over_time({__name__=~"many|one"}[5m])', "same labelset"),
        ('timestamp({__name__=~"many|one"})', "vector cannot contain metrics with the same labelset"),
        (
            '{team="a"} == bool on(__name__, model) {team="a"}',
            "vector cannot contain metrics with the same labelset",
        ),
    ],
)
def test_what_matches_more_than_once_is_an_error(evaluate, expression, message):
    with pytest.raises(EvaluationError, match=message):
        evaluate(DUPLICATES, expression)


def test_the_labels_of_type_and_unit_go_with_the_name(evaluate):
    assert evaluate('a{__type__="gauge",__unit__="s",i="1"} 2', "a * 2") == ['{i="1"} 4']


def test_a_caller_deep_in_the_stack_gets_an_error_of_ours_and_no_recursion_error():
    expression = parse_expression("+".join(["1"] * 190))

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            expression.evaluate(SeriesStore(), 0)

    with pytest.raises(EvaluationError, match="too deep"):
        deep(sys.getrecursionlimit() - len(inspect.stack(0)) - 150)


def test_what_is_remembered_of_label_sets_is_bounded(monkeypatch):
    monkeypatch.setattr("spanbudget.rules.promql.projections._REMEMBERED_MAX", 10)
    nameless, grafts = dropping(("i",)), Grafts(keeping(("i",)), ("j",))
    for index in range(25):
        labels = (("__name__", "a"), ("i", str(index)), ("k", "x"))
        assert nameless[labels] == (("k", "x"),)
        assert grafts[labels, (("j", "y"),)] == (("i", str(index)), ("j", "y"))
    assert len(nameless) == len(grafts) == 5
