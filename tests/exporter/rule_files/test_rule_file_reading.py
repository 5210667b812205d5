"""Rule files: what they mean, and every problem with its place."""

from pathlib import Path

import pytest

from spanbudget.exporter.rule_files import load_rule_files, parse_rule_text
from spanbudget.exporter.rule_files.loading import matching_files
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.duplicates import duplicate_rules
from spanbudget.rules.groups import AlertingRule, Place, RecordingRule

FULL = """\
groups:
  - name: spend
    interval: 30s
    query_offset: 1m
    limit: 10
    labels: {team: llm}
    rules:
      - record: job:spend:rate1h
        expr: sum by (job) (rate(spend_total[1h]))
        labels: {b: 2, a: ""}
      - alert: High
        expr: |
          job:spend:rate1h
            > 5
        for: 1h30m
        keep_firing_for: 5m
        labels: {severity: page, budget: "${BUDGET}"}
        annotations:
          summary: '{{ $labels.job }} spends {{ $value | humanize }}'
  - name: empty
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        parse_rule_text(text, "r.yaml")
    return raised.value.problems


def rule(*lines: str) -> str:
    """A file with one rule."""
    body = "".join(f"      {line}\n" for line in lines)
    return f"groups:\n  - name: g\n    rules:\n    -\n{body}"


def test_a_file_is_read_whole() -> None:
    spend, empty = parse_rule_text(FULL, "r.yaml")
    assert (spend.name, spend.file, spend.interval_ms, spend.query_offset_ms, spend.limit) == (
        "spend", "r.yaml", 30_000, 60_000, 10,
    )  # fmt: skip
    assert spend.labels == (("team", "llm"),)
    recording, alerting = spend.rules
    assert isinstance(recording, RecordingRule)
    assert (recording.name, recording.labels) == ("job:spend:rate1h", (("a", ""), ("b", "2")))
    assert recording.place == Place("r.yaml", 8)
    assert isinstance(alerting, AlertingRule)
    assert alerting.expression.text == "job:spend:rate1h\n  > 5\n"
    assert (alerting.for_ms, alerting.keep_firing_for_ms) == (5_400_000, 300_000)
    assert dict(alerting.labels) == {"severity": "page", "budget": "${BUDGET}"}
    assert alerting.annotations == (("summary", "{{ $labels.job }} spends {{ $value | humanize }}"),)
    assert (empty.rules, empty.interval_ms) == ((), None)


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "{}", "# nothing\n"])
def test_a_file_may_have_no_groups(text: str) -> None:
    assert parse_rule_text(text, "r.yaml") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "r.yaml:1:1: must be a mapping, got a list"),
        ("groups: 5", "r.yaml:1:9: groups: must be a list, got 5"),
        ("group: []", "r.yaml:1:1: group: unknown key; did you mean groups?"),
        ("groups: [{}]", "r.yaml:1:10: groups[0]: a group must have a name"),
        ("groups: [{name: a, interval: 5}]", "groups[0].interval: must be a duration such as 30s"),
        ("groups: [{name: a, limit: many}]", "r.yaml:1:27: groups[0].limit: must be a whole number"),
        ("groups: [{name: a}, {name: a}]", "groups[1].name: must be unique in its file"),
        ("groups: [{name: a, labels: {__name__: x}}]", "labels.__name__: is not a valid label name"),
        ("groups: [{name: a, rules: {}}]", "groups[0].rules: must be a list, got a mapping"),
        ("groups: [{name: a, name: b}]", "duplicate key"),
        ("groups: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['x']", "tags such as"),
        (rule("expr: up"), "r.yaml:5:7: groups[0].rules[0]: `record` or `alert` must be set"),
        (rule("expr: up", "record: a", "alert: b"), "alert: only one of `record` and `alert`"),
        (rule("alert: A"), "r.yaml:5:7: groups[0].rules[0]: `expr` must be set"),
        (rule("alert: A", "expr: ''"), "r.yaml:6:13: groups[0].rules[0].expr: `expr` must be set"),
        (rule("alert: A", "expr: {a: b}"), "expr: must be text, got a mapping"),
        (rule("alert: A", "exprs: up"), "unknown key; did you mean expr?"),
        (rule("alert: A", "expr: up", "notify: x"), "r.yaml:7:7: groups[0].rules[0].notify: unknown key"),
        (rule("alert: A", "expr: 'up[5m]'"), "instant vector or a scalar, and this is a range"),
        (rule("alert: A", "expr: '\"x\"'"), "instant vector or a scalar, and this is a string"),
        (rule("record: a", "expr: up", "for: 1m"), "r.yaml:7:12: groups[0].rules[0].for: `for` has no"),
        (rule("record: a", "expr: up", "annotations: {a: b}"), "`annotations` has no meaning in a recording"),
        (rule("record: 'sum(up{})'", "expr: up"), 'must be a metric\'s name, got "sum(up{})"'),
        (rule("alert: A", "expr: up", "labels: {a: [b]}"), "labels.a: must be text, got a list"),
        (rule("alert: A", "expr: up", "labels: {'': b}"), "is not a valid label name"),
        (rule("alert: A", "expr: up", "labels: {a: '{{ x }}'}"), "labels.a: not a template: template:"),
        (rule("alert: A", "expr: up", "for: -1m"), "for: must be a duration such as 30s, 5m or"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place_and_path(text: str, problem: str) -> None:
    found = problems_of(text)
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        (["expr: up ==="], "6:"),
        (["expr: |", "  up", "  and nope(up)"], "8:15:"),
        (["expr: >", "  up", "    and", "  nope(up)"], "9:11:"),
        (["expr: >-", "", "  up and", "  nope(up)"], "9:11:"),
        (["expr: up and", "  nope(up)"], "7:11:"),
        (["expr: 'up and", "  nope(up)'"], "7:11:"),
        (['expr: "nope(up)"'], "6:14:"),
    ],
)
def test_an_expression_s_problem_is_at_its_line_of_the_file(expression: list[str], place: str) -> None:
    lines = [line if line.startswith("expr") else f"  {line}" for line in expression]
    (problem,) = problems_of(rule("alert: A", *lines))
    assert problem.startswith(f"r.yaml:{place}"), problem


def test_a_template_s_problem_is_at_its_line_of_the_file() -> None:
    text = rule("alert: A", "expr: up", "annotations:", "  a: |", "    fine", "    {{ nope }}")
    assert problems_of(text)[0].startswith("r.yaml:10:11: groups[0].rules[0].annotations.a: not a template")


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("alert: A", "expr: up{", "for: x", "labels: {a: '{{'}"))
    (tmp_path / "b.yaml").write_text("group: []")
    with pytest.raises(ConfigurationError) as raised:
        load_rule_files([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "none.yaml"])
    names = [problem.partition(":")[0].rpartition("/")[2] for problem in raised.value.problems]
    assert names == ["a.yaml", "a.yaml", "a.yaml", "b.yaml", "none.yaml"]


def test_labels_of_a_group_are_templates_where_they_come_to_an_alert() -> None:
    group = "groups: [{name: g, labels: {a: '{{ nope }}'}, rules: [%s]}]"
    parse_rule_text(group % "{record: r, expr: up}", "r.yaml")
    (problem,) = problems_of(group % "{alert: A, expr: up}")
    assert "label a of its group is not a template" in problem


def test_a_bomb_of_aliases_is_stopped() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "more than 50000 values" in problems_of(f"a0: &a0 x\n{levels}groups: *a8")[-1]


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("# " + "é" * 2_000_000)
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        load_rule_files([path])


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"groups:\n- \xff")
    with pytest.raises(ConfigurationError, match=r"r\.yaml:2:1: not UTF-8 text"):
        load_rule_files([path])


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(FULL)
    assert len(load_rule_files([path, path])) == 2


def test_patterns_stand_for_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "[x].yaml", "c.txt"):
        (tmp_path / name).write_text("")
    found, missed = matching_files([f"{tmp_path}/[x].yaml", f"{tmp_path}/?.yaml", f"{tmp_path}/no*"])
    assert [path.name for path in found] == ["[x].yaml", "a.yaml", "b.yaml"]
    assert missed == [f"{tmp_path}/no*"]


def test_rules_of_one_name_and_labels_are_duplicates() -> None:
    text = """\
groups:
  - {name: a, labels: {t: x}, rules: [{record: r, expr: up}, {record: r, expr: up * 2}, {alert: r, expr: up}]}
  - {name: b, rules: [{record: r, expr: up}, {record: r, expr: up, labels: {t: x}}]}
"""
    assert duplicate_rules(parse_rule_text(text, "r.yaml")) == [("r", (("t", "x"),))]
