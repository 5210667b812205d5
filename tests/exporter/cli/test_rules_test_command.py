"""`spanbudget rules test`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main

RULES = """\
groups:
  - name: g
    rules:
      - {alert: Down, expr: up == 0, for: 1m, annotations: {summary: '{{ $labels.job }} is down'}}
"""
TESTS = """\
rule_files: [rules/*.yaml]
tests:
  - name: down
    input_series: [{series: 'up{job="a"}', values: 1 0x3}]
    alert_rule_test:
      - {eval_time: 1m, alertname: Down}
      - eval_time: 2m
        alertname: Down
        exp_alerts: [{exp_labels: {job: a}, exp_annotations: {summary: a is down}}]
  - name: other
    promql_expr_test: [{expr: 1 + 1, exp_samples: [{labels: '{}', value: 2}]}]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["rules", "test", *map(str, arguments)])


@pytest.fixture
def tests_file(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    path = tmp_path / "t.yaml"
    path.write_text(TESTS)
    return path


def test_tests_that_pass_are_a_success(tests_file: Path) -> None:
    result = run(tests_file)
    assert (result.exit_code, result.output) == (0, f"Processing test file: {tests_file}\n  SUCCESS\n\n")


def test_a_test_that_fails_is_told_and_exits_with_1(tests_file: Path) -> None:
    tests_file.write_text(TESTS.replace("a is down", "b is down"))
    result = run(tests_file)
    assert result.exit_code == 1
    assert "    name: down,\n    alertname: Down, time: 2m, \n" in result.stderr
    assert 'Annotations:{summary="a is down"}' in result.stderr


def test_only_tests_of_a_name_are_run(tests_file: Path) -> None:
    tests_file.write_text(TESTS.replace("a is down", "b is down"))
    assert run("--run", "^oth", tests_file).exit_code == 0
    assert run("--run", "down", tests_file).exit_code == 1
    assert run("--run", "(", tests_file).exit_code == 2


def test_a_wrong_file_exits_with_2(tests_file: Path) -> None:
    (tests_file.parent / "rules" / "b.yaml").write_text("groups: [{nme: x}]")
    result = run(tests_file)
    assert result.exit_code == 2
    assert "did you mean name?" in result.stderr
    assert run(tests_file.parent / "none.yaml").exit_code == 2


def test_a_pattern_without_a_rule_file_is_a_warning(tests_file: Path) -> None:
    tests_file.write_text("rule_files: [none/*.yaml]")
    result = run(tests_file)
    assert "WARNING: no file match pattern" in result.stderr
    assert result.exit_code == 0


def test_results_can_be_had_as_json(tests_file: Path) -> None:
    result = run("--json", tests_file)
    told = {"file": str(tests_file), "valid": True, "passed": True, "failures": []}
    assert json.loads(result.stdout) == [told]


def test_a_pack_has_tests_of_its_own(tmp_path: Path) -> None:
    result = run("pack:budget", "--json")
    (told,) = json.loads(result.stdout)
    assert (told["passed"], told["file"].endswith("tests/budget.yaml")) == (True, True)
    result = run("pack:nope", tmp_path)
    assert result.exit_code == 2
    assert "there is no rule pack 'nope'" in result.stderr
    assert f"{tmp_path}: is a folder" in result.stderr
