import pytest

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.promql.aggregations import shown_value

COSTS = """
    cost{team="a",model="x"} 1
    cost{team="a",model="y"} 2
    cost{team="b",model="x"} 6
    cost{team="b",model="y"} 3
"""


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("sum(cost)", ["{} 12"]),
        ("sum by () (cost)", ["{} 12"]),
        ("sum by (team) (cost)", ['{team="a"} 3', '{team="b"} 9']),
        ("sum without (model) (cost)", ['{team="a"} 3', '{team="b"} 9']),
        ("sum without () (cost{team='a'})", ['{model="x", team="a"} 1', '{model="y", team="a"} 2']),
        ("sum by (absent, team) (cost{team='a'})", ['{team="a"} 3']),
        ("sum by (__name__) (cost)", ["cost 12"]),
        ("avg(cost)", ["{} 3"]),
        ("min by (model) (cost)", ['{model="x"} 1', '{model="y"} 2']),
        ("max(cost)", ["{} 6"]),
        ("count by (team) (cost > 2)", ['{team="b"} 2']),
        ("group(cost)", ["{} 1"]),
        ("stdvar(cost)", ["{} 3.5"]),
        ("stddev by (team) (cost)", ['{team="a"} 0.5', '{team="b"} 1.5']),
        ("quantile(0.5, cost)", ["{} 2.5"]),
        ("quantile by (team) (1, cost)", ['{team="a"} 2', '{team="b"} 6']),
        ("quantile(-1, cost)", ["{} -Inf"]),
        ("quantile(2, cost)", ["{} +Inf"]),
        ("quantile(NaN, cost)", ["{} NaN"]),
        ("sum(nothing)", []),
        ("count(nothing)", []),
        ("quantile(0.5, nothing)", []),
        ("topk(2, cost)", ['cost{model="x", team="b"} 6', 'cost{model="y", team="b"} 3']),
        ("bottomk(2, cost)", ['cost{model="x", team="a"} 1', 'cost{model="y", team="a"} 2']),
        ("topk by (team) (1, cost)", ['cost{model="y", team="a"} 2', 'cost{model="x", team="b"} 6']),
        ("topk(9.9, cost{team='a'})", ['cost{model="y", team="a"} 2', 'cost{model="x", team="a"} 1']),
        ("topk(0.9, cost)", []),
        ("topk(-1e300, cost)", []),
        ("topk(scalar(vector(1)), cost)", ['cost{model="x", team="b"} 6']),
    ],
)
def test_groups_become_one_element_each(evaluate, expression, lines):
    assert evaluate(COSTS, expression) == lines


@pytest.mark.parametrize(
    ("values", "expression", "result"),
    [
        ("NaN 1 2", "max(v)", "2"),
        ("NaN 1 2", "min(v)", "1"),
        ("1 NaN 2", "min(v)", "1"),
        ("NaN NaN", "max(v)", "NaN"),
        ("NaN 1", "sum(v)", "NaN"),
        ("NaN 1", "stddev(v)", "NaN"),
        ("inf 1", "stdvar(v)", "NaN"),
        ("inf -inf", "sum(v)", "NaN"),
        ("inf 1", "avg(v)", "+Inf"),
        ("1e100 1 -1e100", "sum(v)", "1"),
        ("1e308 1e308", "sum(v)", "+Inf"),
        ("1e308 1e308", "avg(v)", shown_value(1e308)),
        ("NaN 1 3", "quantile(0.5, v)", "1"),
        ("1 3", "quantile(0.75, v)", "2.5"),
    ],
)
def test_values_that_are_not_finite_or_lose_digits(evaluate, values, expression, result):
    series = "\n".join(f'v{{i="{index}"}} {value}' for index, value in enumerate(values.split()))
    assert evaluate(series, expression) == [f"{{}} {result}"]


@pytest.mark.parametrize(
    ("expression", "order"),
    [("topk(5, v)", "5 3 1 NaN NaN"), ("bottomk(5, v)", "1 3 5 NaN NaN"), ("topk(2, v)", "5 3")],
)
def test_not_a_number_ranks_last(evaluate, expression, order):
    series = 'v{i="0"} NaN\nv{i="1"} 3\nv{i="2"} NaN\nv{i="3"} 5\nv{i="4"} 1'
    assert [line.rsplit(maxsplit=1)[-1] for line in evaluate(series, expression)] == order.split()


def test_of_equal_values_the_first_ones_stay(evaluate):
    series = "\n".join(f'v{{i="{index}"}} 1' for index in range(6))
    assert evaluate(series, "topk(2, v)") == ['v{i="0"} 1', 'v{i="1"} 1']


@pytest.mark.parametrize(
    ("parameter", "message"), [("NaN", "Parameter value is NaN"), ("1e19", "overflows int64")]
)
def test_a_rank_that_is_no_number_of_elements_is_an_error(evaluate, parameter, message):
    with pytest.raises(EvaluationError, match=message):
        evaluate(COSTS, f"topk({parameter}, cost)")


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ('count_values("version", v)', ['{version="1"} 2', '{version="2.5"} 1']),
        ('count_values by (job) ("version", v)', ['{job="a", version="1"} 2', '{job="b", version="2.5"} 1']),
        (
            'count_values without (i) ("version", v)',
            ['{job="a", version="1"} 2', '{job="b", version="2.5"} 1'],
        ),
        ('count_values by (job) ("job", v)', ['{job="1"} 2', '{job="2.5"} 1']),
        ('count_values without (i, version) ("version", v)', ['{job="a"} 2', '{job="b"} 1']),
    ],
)
def test_values_are_counted_by_a_label(evaluate, expression, lines):
    series = 'v{job="a",i="1"} 1\nv{job="a",i="2"} 1\nv{job="b",i="1"} 2.5'
    assert evaluate(series, expression) == lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (123456789.125, "123456789.125"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_value_is_written_with_the_fewest_digits_and_no_exponent(value, text):
    assert shown_value(value) == text
