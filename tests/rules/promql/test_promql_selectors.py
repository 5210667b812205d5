import pytest

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series import SeriesStore

REQUESTS = """
    requests{path="/a",code="200"} 1
    requests{path="/b",code="200"} 2
    requests{path="/b",code="500"} 3
    requests{code="404"}           4
"""


@pytest.mark.parametrize(
    ("selector", "values"),
    [
        ("requests", "1 2 3 4"),
        ('requests{path="/b"}', "2 3"),
        ('requests{path!="/b"}', "1 4"),
        ('requests{path=""}', "4"),
        ('requests{path!=""}', "1 2 3"),
        ('requests{path=~"/(a|b)",code!~"5.."}', "1 2"),
        ('requests{path=~"/"}', ""),
        ('requests{path=~"(/a)?"}', "1 4"),
        ('{code="500"}', "3"),
        ('{__name__=~"req.*",code="404"}', "4"),
        ("other", ""),
    ],
)
def test_matchers_compare_whole_values_and_take_an_absent_label_as_empty(evaluate, selector, values):
    assert [line.rsplit(maxsplit=1)[-1] for line in evaluate(REQUESTS, selector)] == values.split()


@pytest.mark.parametrize(
    ("minutes", "lines"),
    [(0, ["up 1"]), (4.99, ["up 1"]), (5, []), (-1, [])],
)
def test_a_value_holds_for_less_than_the_look_back(evaluate, minutes, lines):
    assert evaluate("up 1", "up", minutes) == lines


def test_the_look_back_is_the_callers(evaluate):
    assert evaluate("up 1", "up", 1, look_back_ms=60_000) == []
    assert evaluate("up 1", "up", 1, look_back_ms=60_001) == ["up 1"]


def test_a_stale_mark_ends_a_series_at_once_and_a_range_passes_over_it(evaluate):
    series = "up 1 stale _ 3"
    assert [evaluate(series, "up", minutes) for minutes in (0.9, 1, 2.9, 3)] == [["up 1"], [], [], ["up 3"]]
    assert evaluate(series, "count_over_time(up[5m])", 3) == ["{} 2"]


def test_not_a_number_is_a_value_and_no_stale_mark(evaluate):
    assert evaluate("up NaN", "up") == ["up NaN"]


def test_a_range_is_open_at_its_beginning(evaluate):
    assert evaluate("up 0+1x5", "up[2m]", 5) == ["up [4.0, 5.0]"]
    assert evaluate("up 0+1x5", "up[2m]", 4.5) == ["up [3.0, 4.0]"]


@pytest.mark.parametrize(
    ("selector", "line"),
    [
        ("up offset 2m", "up 3"),
        ("up offset -2m", "up 7"),
        ("up @ 60", "up 1"),
        ("up @ 60 offset -1m", "up 2"),
        ("up @ start()", "up 5"),
        ("up @ end() offset 1m", "up 4"),
        ("up[2m] offset 1m", "up [3.0, 4.0]"),
        ("up[2m] @ 180", "up [2.0, 3.0]"),
    ],
)
def test_offset_and_at_shift_the_time_of_a_selector(evaluate, selector, line):
    assert evaluate("up 0+1x10", selector, 5) == [line]


def test_ranges_of_all_series_come_in_the_order_of_their_labels(evaluate):
    assert evaluate('b 1\na{i="2"} 1\na{i="1"} 1', '{__name__=~"a|b"}[1m]') == [
        'a{i="1"} [1.0]',
        'a{i="2"} [1.0]',
        "b [1.0]",
    ]


def test_more_series_than_allowed_are_an_error_and_not_a_part_of_them(evaluate):
    assert len(evaluate(REQUESTS, "requests", series_max=4)) == 4
    for expression in ("requests", "requests[1m]", "timestamp(requests)", "max_over_time(requests[1m:1m])"):
        with pytest.raises(EvaluationError, match="4 series, more than the 3 that are allowed"):
            evaluate(REQUESTS, expression, series_max=3)
    with pytest.raises(EvaluationError, match="4 series"):
        evaluate(REQUESTS, 'requests{path!=""} or requests', series_max=3)


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("expression", "back_ms"),
    [
        ("up", 300_000),
        ("up offset 1h", 3_900_000),
        ("up offset -1h", 300_000),
        ("up[1m]", 300_000),
        ("up[1h] offset 10m", 4_200_000),
        ("up @ end() offset 1m", 360_000),
        ("max_over_time(up[1h:1m])", 3_900_000),
        ("max_over_time(rate(up[10m])[1h:1m] offset 1h)", 7_800_000),
        ("max_over_time(max_over_time(up[1h:1m])[1d:1h])", DAY_MS + 3_900_000),
        ("max_over_time((up @ start())[1h:1m])", 300_000),
        ("up @ 0", 400 * DAY_MS + 300_000),
        ("max_over_time(up[1h:1m] @ 0)", 400 * DAY_MS + 3_900_000),
    ],
)
def test_an_expression_says_how_far_back_it_looks(expression, back_ms):
    (need,) = parse_expression(expression).needs
    assert need.back_ms == back_ms
    assert [(matcher.name, matcher.operator, matcher.value) for matcher in need.matchers] == [
        ("__name__", "=", "up")
    ]


def test_equal_needs_are_told_once_and_literals_need_nothing():
    assert len(parse_expression('a + a + a{i="1"}').needs) == 2
    assert parse_expression("1 + time()").needs == ()


def test_an_expression_is_what_its_text_is():
    first, second = parse_expression("sum(a)"), parse_expression("sum(a)")
    assert first == second
    assert hash(first) == hash(second)
    assert first.kind == "vector"
    assert first.evaluate(SeriesStore(), 0) == []
