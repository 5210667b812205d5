"""promtool's unit tests, without files."""

import pytest

from spanbudget.rules.groups import AlertingRule, RecordingRule, RuleGroup
from spanbudget.rules.labels import labels_of
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series_notation import series_values
from spanbudget.rules.unit_tests import (
    AlertTest,
    ExpressionTest,
    InputSeries,
    RuleTest,
    expected_alert,
    in_order,
    run_test,
)

MINUTE = 60_000
DOWN = AlertingRule(
    "Down", parse_expression("up == 0"), for_ms=2 * MINUTE, annotations=(("v", "{{ $value }}"),)
)
GROUP = RuleGroup(
    "g", "f", (DOWN, RecordingRule("total", parse_expression("sum(up)"))), interval_ms=5 * MINUTE
)


def up(values: str, job: str = "a") -> InputSeries:
    return InputSeries(labels_of({"__name__": "up", "job": job}), series_values(values))


def of(*tests: AlertTest | ExpressionTest, inputs: tuple[InputSeries, ...] = (), **more) -> RuleTest:
    return RuleTest(
        more.pop("name", ""),
        MINUTE,
        inputs,
        tuple(test for test in tests if isinstance(test, AlertTest)),
        tuple(test for test in tests if isinstance(test, ExpressionTest)),
        **more,
    )


def down(minute: float, *jobs: str) -> AlertTest:
    expected = tuple(expected_alert("Down", {"job": job}, {"v": "0"}) for job in jobs)
    return AlertTest(int(minute * MINUTE), "Down", expected)


def test_alerts_that_fire_are_expected_exactly() -> None:
    """At every minute, whatever the group's own interval is."""
    tests = (down(1), down(2, "a"), down(3, "a"), down(4))
    assert run_test(of(*tests, inputs=(up("0x3 1x3"), up("1x9", "b"))), [GROUP]) == []


def test_a_time_between_two_evaluations_is_that_of_the_earlier_one() -> None:
    assert run_test(of(down(1.9), down(2.9, "a"), inputs=(up("0x9"),)), [GROUP]) == []


def test_a_pending_alert_is_none() -> None:
    assert run_test(of(down(1), inputs=(up("0x9"),)), [GROUP]) == []


def test_a_failure_is_told_in_promtools_words() -> None:
    expected = expected_alert("Down", {"job": "b"}, {})
    test = of(AlertTest(2 * MINUTE, "Down", (expected,)), inputs=(up("0x9"),), name="one")
    (failure,) = run_test(test, [GROUP])
    assert failure == (
        "    name: one,\n"
        "    alertname: Down, time: 2m, \n"
        "        exp:[\n"
        "            0:\n"
        '              Labels:{alertname="Down", job="b"}\n'
        "              Annotations:{}\n"
        "            ], \n"
        "        got:[\n"
        "            0:\n"
        '              Labels:{alertname="Down", job="a"}\n'
        '              Annotations:{v="0"}\n'
        "            ]"
    )


def test_expressions_see_what_was_recorded() -> None:
    expected = [(labels_of({"__name__": "total"}), 3.0)]
    test = of(ExpressionTest("total", 2 * MINUTE, expected), inputs=(up("1 2 3"),))
    assert run_test(test, [GROUP]) == []


def test_a_wrong_value_is_told_in_promtools_words() -> None:
    test = of(ExpressionTest("up", MINUTE, [((), 1.0)]), inputs=(up("1.5 150"),))
    assert run_test(test, []) == [
        '    expr: "up", time: 1m,\n        exp: {} 1E+00\n        got: {__name__="up", job="a"} 1.5E+02'
    ]


@pytest.mark.parametrize(("fuzzy", "passes"), [(True, True), (False, False)])
def test_a_difference_in_the_last_bit_counts_unless_it_is_fuzzy(*, fuzzy: bool, passes: bool) -> None:
    test = of(ExpressionTest("vector(0.1 + 0.2)", 0, [((), 0.3)]))
    assert (run_test(test, [], fuzzy=fuzzy) == []) is passes


def test_not_a_number_is_never_what_was_expected() -> None:
    test = of(ExpressionTest("vector(NaN)", 0, [((), float("nan"))]))
    assert run_test(test, []) != []


def test_an_expression_that_cannot_be_read_fails_and_the_others_go_on() -> None:
    tests = (ExpressionTest("up{", 0, []), ExpressionTest("1", 0, [((), 1.0)]), ExpressionTest("'x'", 0, []))
    first, last = run_test(of(*tests), [])
    assert first.startswith('    expr: "up{", time: 0s, err: ')
    assert last == "    expr: \"'x'\", time: 0s, err: rule result is not a vector or scalar"


def test_samples_after_the_last_evaluation_are_not_there() -> None:
    test = of(ExpressionTest("up", 90_000, [(up("").labels, 2.0)]), inputs=(up("1 2 3"),))
    assert run_test(test, [], evaluation_interval_ms=MINUTE) == []
    test = of(ExpressionTest("up", 150_000, [(up("").labels, 1.0)]), inputs=(up("1 2 3"),))
    assert run_test(test, [], evaluation_interval_ms=5 * MINUTE) == []


def test_subqueries_step_by_the_evaluation_interval() -> None:
    test = of(
        ExpressionTest("count_over_time(up[4m:])", 4 * MINUTE, [(labels_of({"job": "a"}), 8.0)]),
        inputs=(up("1x9"),),
    )
    assert run_test(test, [], evaluation_interval_ms=30_000) == []


def test_a_rule_that_fails_ends_the_test() -> None:
    group = RuleGroup("g", "f", (RecordingRule("r", parse_expression("up"), (("job", ""),)),))
    inputs = (up("_ 1x9"), up("1x9", "b"))
    test = of(down(5, "a"), ExpressionTest("1", 9 * MINUTE, []), inputs=inputs)
    (failure,) = run_test(test, [group])
    assert failure.startswith("    rule: r, time: 1m0s, err: vector contains metrics with the same labelset")


def test_a_test_starts_when_it_says() -> None:
    test = of(ExpressionTest("vector(time())", MINUTE, [((), 1_700_000_060.0)]), start_ms=1_700_000_000_000)
    assert run_test(test, []) == []


def test_a_test_without_end_is_refused() -> None:
    test = of(ExpressionTest("1", 10**12, []))
    assert run_test(test, [], evaluation_interval_ms=1) == [
        "    more than 1000000 evaluations up to 11574d1h46m40s"
    ]


def test_groups_are_evaluated_in_the_order_that_is_asked_for() -> None:
    groups = [RuleGroup(name, "f", ()) for name in ("b", "other", "c", "a")]
    assert [group.name for group in in_order(groups, ["a", "b", "c"])] == ["other", "a", "b", "c"]
    assert [group.name for group in in_order(groups, [])] == ["b", "other", "c", "a"]
