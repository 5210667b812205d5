import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.promql.expression import parse_expression


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "no expression found", None),
        ("# only this", "no expression found", None),
        ("a +", "not a PromQL expression", None),
        ("a b", "not a PromQL expression", None),
        ("sum(a", '"\\(" is never closed', (1, 4)),
        ("sum(a))", '"\\)" closes nothing', (1, 7)),
        ("a[5m)", '"\\)" cannot close "\\["', (1, 5)),
        ('a{i="x}', "a string is never closed", (1, 5)),
        ("a +\n  foo(b)", "unknown function with name 'foo'", (2, 3)),
        ("1 +\n limitk(1, a)", "the aggregation limitk is experimental", (2, 2)),
        ("limit_ratio(0.5, a)", "the aggregation limit_ratio is experimental", (1, 1)),
        ("1 + mad_over_time(a[5m])", "the function mad_over_time is experimental", (1, 5)),
        ("double_exponential_smoothing(a[5m], 0.5, 0.5)", "is experimental", (1, 1)),
        ("sort_by_label(a, 'i')", "the function sort_by_label is experimental", (1, 1)),
        ("info(a)", "the function info is experimental", (1, 1)),
        ("histogram_count(a)", "the function histogram_count is not supported", (1, 1)),
        ("a + fill(0) b", "fill modifiers are experimental", (1, 5)),
        ('a{i="1" or i="2"}', "`or` between the matchers", (1, 9)),
        ("a anchored", "not a PromQL expression", None),
        ("{}", "at least one non-empty matcher", None),
        ('{i=""}', "at least one non-empty matcher", None),
        ('{i=~".*"}', "at least one non-empty matcher", None),
        ('{i!="x"}', "at least one non-empty matcher", None),
        ('a{__name__="b"}', "metric name must not be set twice", (1, 1)),
        ('a{i=~"["}', "illegal regex", None),
        ('a{i=~"(?x)b"}', "is not a regular expression", (1, 3)),
        ('label_replace(a, "j", "$1", "i", "(")', "is not a regular expression", (1, 1)),
        ('count_values("", a)', "count_values needs the name of a label", (1, 1)),
        ("1 > 2", "comparisons between scalars must use BOOL modifier", None),
        ("scalar(a) == 2", "comparisons between scalars must use BOOL modifier", None),
        ("a + bool b", "bool modifier can only be used on comparison operators", None),
        ("a and 1", "set operator 'and' not allowed", (1, 3)),
        ("a and on(i) group_left() b", "no grouping allowed for 'and'", (1, 3)),
        ("a + on(i) group_left(i) b", "must not occur in ON and GROUP clause at once", (1, 8)),
        ("a + on(i) 1", "vector matching only allowed between vectors", None),
        ("a[5m] + 1", "must contain only scalar and instant vector types", None),
        ('-"a"', "unary expression only allowed", None),
        ("rate(a)", "expected type matrix in call to function 'rate'", (1, 1)),
        ("rate + rate(a)", "expected type matrix in call to function 'rate'", (1, 8)),
        ("abs(a, b)", "expected 1 argument\\(s\\) in call to 'abs', got 2", (1, 1)),
        ("sum(a[5m])", "expected type vector in aggregation expression", None),
        ("topk(a)", "wrong number of arguments", None),
        ("(a)[5m]", "ranges only allowed for vector selectors", None),
        ("a[0s]", "duration must be greater than 0", None),
        ("a[5m:0s]", "duration must be greater than 0", None),
        ("1[5m:1m]", "subquery is only allowed on vector", None),
        ("sum(a) offset 5m", "offset modifier must be preceded", None),
        ("a offset 1m offset 1m", "offset may not be set multiple times", None),
        ("a @ 1 @ 2", "may not be set multiple times", None),
        ("a @ -1", "before 1970 is not supported", (1, 5)),
        ("a @ 1e12", "too far in the future", None),
        ("1 + 1e400", "the number 1e400 is too large", (1, 5)),
        ("a + \u00e4", "unexpected character", (1, 5)),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_place(text, message, place):
    with pytest.raises(ExpressionError, match=message) as raised:
        parse_expression(text)
    assert (raised.value.line, raised.value.column) == (place or (None, None))


@pytest.mark.parametrize(
    "text",
    [
        'sum(a) # a comment with ( and "',
        'a{i="(",j=\'[\',k=`{"`}',
        'label_join(a, "x", ")", "i")',
        "SUM by (i) (a) AND b",
        '{"a.b", "i.j"="x"}',
        "a[1h30m] offset -90m",
        "a > 1e3 or on() vector(0)",
        'a{i=~"(?i)x|y"}',
        "((((a))))",
    ],
)
def test_brackets_in_strings_and_comments_are_no_brackets(text):
    assert parse_expression(text).kind in {"vector", "matrix"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1", "scalar"), ("'x'", "string"), ("a", "vector"), ("a[5m]", "matrix"), ("a[5m:1m]", "matrix")],
)
def test_the_kind_of_an_expression_is_known_before_it_is_evaluated(text, kind):
    assert parse_expression(text).kind == kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * 65_537, "has 65537 characters, more than the 65536"),
        ("(" * 30_000 + "a" + ")" * 30_000, "more than 100 brackets within each other"),
        ("-" * 60_000 + "a", "more than 500 operators"),
        ("+".join(["a"] * 30_000), "more than 500 operators"),
        (" or ".join(["a"] * 10_000), "more than 500 operators"),
        ("+".join(["a"] * 400), "more than 200 operators and calls within each other"),
        ('"' + '\\"' * 30_000, "a string is never closed"),
    ],
)
def test_a_bomb_is_refused_before_it_is_parsed(text, message):
    with pytest.raises(ExpressionError, match=message):
        parse_expression(text)


def test_many_matchers_are_not_many_operators():
    matchers = ",".join(f'l{index}!="x"' for index in range(1_000))
    assert parse_expression(f"a{{{matchers}}}").kind == "vector"


def test_a_bad_pattern_writes_nothing_to_standard_error():
    program = (
        "from spanbudget.rules.promql.expression import parse_expression\n"
        "try: parse_expression('a{i=~\"(?x)b\"}')\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ExpressionError\n", "")


NAMES = "a|sum|by|5m|1|and|on|bool|i|offset|rate|topk|group_left"
SIGNS = '(|)|{|}|[|]|:|+|-|>|,|=|"x"|@|\'|\\|#|\n|\u0000|\u00e9'


@given(st.lists(st.sampled_from([*NAMES.split("|"), *SIGNS.split("|")]), max_size=14))
def test_any_text_is_an_expression_or_an_error_of_ours(pieces):
    with suppress(ExpressionError):
        parse_expression(" ".join(pieces))
