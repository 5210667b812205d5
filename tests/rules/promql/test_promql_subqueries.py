import pytest

from spanbudget.processors.errors import EvaluationError

COUNTER = "c 0+1x20"


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        # The steps are the multiples of the step in the range, which is open at its beginning.
        ("c[4m:2m]", "c [8.0, 10.0]"),
        ("c[5m:2m]", "c [6.0, 8.0, 10.0]"),
        ("c[4m:3m]", "c [9.0]"),
        ("c[2m:]", "c [9.0, 10.0]"),
        ("c[2m:30s]", "c [8.0, 9.0, 9.0, 10.0]"),
        ("c[4m:2m] offset 1m", "c [6.0, 8.0]"),
        ("c[4m:2m] @ 480", "c [6.0, 8.0]"),
        ("c[4m:2m] @ 480 offset -2m", "c [8.0, 10.0]"),
        ("(c @ start())[2m:1m]", "c [10.0, 10.0]"),
        ("(c @ 60)[2m:1m]", "c [1.0, 1.0]"),
        ("(c offset 1m)[2m:1m]", "c [8.0, 9.0]"),
        ("(c > 9)[5m:1m]", "c [10.0]"),
        ("(c + 1)[2m:1m]", "{} [10.0, 11.0]"),
        ("vector(time())[2m:1m]", "{} [540.0, 600.0]"),
        ("max_over_time(c[4m:2m])", "{} 10"),
        ("last_over_time(c[4m:3m])", "c 9"),
        ("sum_over_time(max_over_time(c[2m:1m])[3m:1m])", "{} 27"),
        ("changes(c[4m:1m])", "{} 3"),
        ("count_over_time(timestamp(c)[2m:1m])", "{} 2"),
        ("sum(sum_over_time(c[2m:1m]))", "{} 19"),
    ],
)
def test_an_expression_is_evaluated_at_each_step(evaluate, expression, line):
    assert evaluate(COUNTER, expression, 10) == [line]


def test_the_step_that_is_not_named_is_the_callers(evaluate):
    assert evaluate(COUNTER, "count_over_time(c[10m:])", 10) == ["{} 10"]
    assert evaluate(COUNTER, "count_over_time(c[10m:])", 10, step_ms=120_000) == ["{} 5"]


def test_steps_before_1970_are_multiples_too(evaluate):
    assert evaluate("", "vector(time())[3m:1m]", 1) == ["{} [-60.0, 0.0, 60.0]"]


def test_a_series_is_there_at_the_steps_at_which_it_has_a_value(evaluate):
    assert evaluate("c 0 1 stale 3 stale", "c[5m:1m]", 5) == ["c [1.0, 3.0]"]


def test_a_range_without_a_step_in_it_is_empty(evaluate):
    assert evaluate(COUNTER, "max_over_time(c[30s:1m])", 9.9) == []


def test_too_many_steps_are_refused_and_as_many_as_allowed_are_not(evaluate):
    assert evaluate(COUNTER, "count_over_time(vector(1)[11000s:1s])", 10) == ["{} 11000"]
    with pytest.raises(EvaluationError, match="has 11001 steps, more than the 11000"):
        evaluate(COUNTER, "count_over_time(vector(1)[11001s:1s])", 10)


def test_subqueries_within_subqueries_are_bounded_together(evaluate, monkeypatch):
    monkeypatch.setattr("spanbudget.rules.promql.context.SUBQUERY_SAMPLES_MAX", 1000)
    with pytest.raises(EvaluationError, match="the subqueries of the expression need more than 1000 samples"):
        evaluate(COUNTER, "max_over_time(sum_over_time(c[30m:1m])[30m:1m])", 10)


def test_an_error_at_one_step_is_an_error_of_the_whole(evaluate):
    with pytest.raises(EvaluationError, match="same labelset"):
        evaluate("a 1\nb 1", 'max_over_time((-{__name__=~"a|b"})[2m:1m])', 2)
