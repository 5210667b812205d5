"""promtool's unit-test files: what they mean, and every problem with its place."""

from pathlib import Path

import pytest

from spanbudget.exporter.rule_files.unit_tests import TestFile as UnitTestFile
from spanbudget.exporter.rule_files.unit_tests import load_test_file
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.labels import labels_of
from spanbudget.rules.templates import Externals

FULL = """\
rule_files: [rules.yaml, "more/*.yaml"]
evaluation_interval: 30s
group_eval_order: [b, a]
fuzzy_compare: true
tests:
  - name: first
    interval: 2m
    input_series:
      - {series: 'up{job="a"}', values: 1+1x2 _ stale}
    alert_rule_test:
      - eval_time: 5m
        alertname: Down
        exp_alerts:
          - {exp_labels: {job: a, code: 5}, exp_annotations: {summary: ""}}
      - {eval_time: 6m, alertname: Down}
    promql_expr_test:
      - expr: up
        eval_time: 1m
        exp_samples: [{labels: 'up{job="a"}', value: .inf}, {labels: '{}', value: 1e3}]
    external_labels: {site: x}
    external_url: https://example.com
    start_timestamp: 2026-01-02T03:04:05Z
  - {start_timestamp: 1700000000.5}
"""


def load(tmp_path: Path, text: str) -> UnitTestFile:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    return load_test_file(path)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    assert found.rule_patterns == (str(tmp_path / "rules.yaml"), str(tmp_path / "more/*.yaml"))
    assert (found.evaluation_interval_ms, found.group_order, found.fuzzy) == (30_000, ("b", "a"), True)
    first, second = found.tests
    assert (first.name, first.interval_ms, first.start_ms) == ("first", 120_000, 1_767_323_045_000)
    assert first.inputs[0].labels == labels_of({"__name__": "up", "job": "a"})
    assert list(first.inputs[0].values)[:4] == [1, 2, 3, None]
    down, none = first.alert_tests
    assert down.expected[0].labels == (("alertname", "Down"), ("code", "5"), ("job", "a"))
    assert down.expected[0].annotations == (("summary", ""),)
    assert (none.eval_ms, none.expected) == (360_000, ())
    assert [value for _, value in first.expression_tests[0].expected] == [float("inf"), 1000.0]
    assert first.externals == Externals((("site", "x"),), "https://example.com", function_url=None)
    assert (second.interval_ms, second.start_ms) == (30_000, 1_700_000_000_500)


def test_an_interval_is_a_minute_where_nothing_is_said(tmp_path: Path) -> None:
    found = load(tmp_path, "tests: [{}]")
    assert (found.evaluation_interval_ms, found.tests[0].interval_ms) == (60_000, 60_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("test: []", "unknown key; did you mean tests?"),
        ("rule_files: r.yaml", "rule_files: must be a list, got r.yaml"),
        ("rule_files: [[]]", "rule_files[0]: must be text, got a list"),
        ("group_eval_order: [a, a]", '1:23: group_eval_order[1]: group "a" is named twice'),
        ("fuzzy_compare: maybe", "fuzzy_compare: must be true or false, got maybe"),
        ("tests: [{input_series: [{series: 'up{', values: 1}]}]", "tests[0].input_series[0].series: "),
        ("tests: [{input_series: [{values: 1}]}]", "`series` must be set"),
        ("tests: [{input_series: [{series: up, values: 1y2}]}]", 'values: "1y2" is no value'),
        ("tests: [{input_series: [{series: up, values: '{{sum:1}}'}]}]", "native histograms such as"),
        ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "`alertname` must be set"),
        ("tests: [{alert_rule_test: [{alertname: A, eval_time: 1x}]}]", "eval_time: must be a duration"),
        ("tests: [{alert_rule_test: [{alertname: A, exp_alerts: [{labels: {}}]}]}]", "mean exp_labels?"),
        ("tests: [{promql_expr_test: [{exp_samples: [{value: x}]}]}]", "value: must be a number, .inf"),
        ("tests: [{promql_expr_test: [{exp_samples: [{histogram: '{{}}'}]}]}]", "native histograms are"),
        ("tests: [{start_timestamp: tomorrow}]", "must be seconds since 1970 or like 2026"),
        ("tests: [{start_timestamp: 2026-01-01}]", "must be seconds since 1970 or like 2026"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place_and_path(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, text)
    assert any(problem in line for line in raised.value.problems), raised.value.problems
    assert all(line.startswith(f"{tmp_path}/t.yaml:1:") for line in raised.value.problems)
