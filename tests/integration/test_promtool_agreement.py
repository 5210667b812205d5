"""The same files of rule tests have the same results here and in a real promtool 3, word for word."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from generated_rules import generated_rule_tests
from refused_rule_files import REFUSED_EARLIER, RULE_FILES, SERIES_NAMES, SERIES_VALUES
from rule_test_runs import (
    EVERYTHING,
    Run,
    asking_for_all,
    expecting,
    run_here,
    run_promtool,
    without_numbers_that_are_none,
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]

SCENARIOS = Path(__file__).parent / "rule_scenarios"
PACKS = Path(__file__).parents[2] / "rules" / "packs"
STEP_SECONDS = 70  # at evaluations and between them
SEEDS = range(12)


def loaded(path: Path) -> Any:
    """What a file says; all of it as text, so that it is written again as it was."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - makes texts only


def written(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def agreed(folder: Path, path: Path) -> Run:
    """Runs a file in both, which must say the same of it, and returns what."""
    ours, theirs = run_here(path), run_promtool(folder, path)
    assert ours.failures == theirs.failures, f"{path}:\n{ours.told[:3000]}\n{theirs.told[:3000]}"
    assert ours.passed == theirs.passed, f"{path}:\n{ours.told[:3000]}\n{theirs.told[:3000]}"
    return theirs


def agreed_in_detail(folder: Path, tests: Any, rules: Any, path: Path, until_seconds: int) -> None:
    """All that rules do is the same: expecting nothing of it, all of it, and all but one thing."""
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    times = range(0, until_seconds + 1, STEP_SECONDS)
    for test in tests["tests"]:
        asking = asking_for_all(test, names, times)
        failures = agreed(folder, written(path, {**tests, "tests": [asking]})).failures
        complete = expecting(asking, failures)
        left = agreed(folder, written(path, {**tests, "tests": [complete]})).failures
        assert not [item for item in without_numbers_that_are_none(left) if "err" not in item], left
        spoil(complete)
        assert not agreed(folder, written(path, {**tests, "tests": [complete]})).passed


def spoil(test: Any) -> None:
    """Lets a test expect a label that is not there, and another value."""
    rng = random.Random(1)
    if filled := [asked for asked in test["alert_rule_test"] if asked["exp_alerts"]]:
        rng.choice(filled)["exp_alerts"][0]["exp_labels"]["wrong"] = "yes"
    if filled := [asked for asked in test["promql_expr_test"] if asked["exp_samples"]]:
        rng.choice(filled)["exp_samples"][0]["value"] += 1.0


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.test.yaml")), ids=lambda path: path.name)
def test_scenarios_go_as_in_promtool(prometheus_3_folder: Path, tmp_path: Path, path: Path) -> None:
    for file in SCENARIOS.glob("*.rules.yaml"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    tests = loaded(path)
    rules = loaded(SCENARIOS / tests["rule_files"][0].replace("rule*", "rules"))
    agreed_in_detail(prometheus_3_folder, tests, rules, tmp_path / "test.yaml", 40 * 60)


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_rules_go_as_in_promtool(prometheus_3_folder: Path, tmp_path: Path, seed: int) -> None:
    rules, tests = generated_rule_tests(seed)
    written(tmp_path / "generated.rules.yaml", rules)
    agreed_in_detail(prometheus_3_folder, tests, rules, tmp_path / "test.yaml", 25 * 60)


@pytest.mark.parametrize("path", sorted((PACKS / "tests").glob("*.yaml")), ids=lambda path: path.name)
def test_the_tests_of_rule_packs_pass_in_both(prometheus_3_folder: Path, path: Path) -> None:
    assert agreed(prometheus_3_folder, path).passed


def test_every_rule_pack_has_a_test_and_promtool_finds_nothing_wrong(prometheus_3_folder: Path) -> None:
    packs = sorted(PACKS.glob("*.yaml"))
    assert packs
    tested = {
        Path(name).name for path in (PACKS / "tests").glob("*.yaml") for name in loaded(path)["rule_files"]
    }
    assert {path.name for path in packs} <= tested
    command = [prometheus_3_folder / "promtool", "check", "rules", "--lint=all", "--lint-fatal", *packs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("reason", RULE_FILES)
def test_wrong_rule_files_fail_in_both(prometheus_3_folder: Path, tmp_path: Path, reason: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULE_FILES[reason], encoding="utf-8")
    tests = {
        "rule_files": ["rules.yaml"],
        "tests": [{"interval": "1m", "input_series": [{"series": "x", "values": "1 1"}]}],
    }
    agreed(prometheus_3_folder, written(tmp_path / "test.yaml", tests))


def notation_test(series: str, values: str) -> dict[str, Any]:
    asked = [{"expr": EVERYTHING, "eval_time": f"{minutes}m"} for minutes in range(8)]
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "promql_expr_test": asked,
    }
    return {"rule_files": [], "tests": [test]}


@pytest.mark.parametrize("reason", REFUSED_EARLIER)
def test_rules_that_can_only_fail_are_refused_when_they_are_loaded(
    prometheus_3_folder: Path, tmp_path: Path, reason: str
) -> None:
    (tmp_path / "rules.yaml").write_text(REFUSED_EARLIER[reason], encoding="utf-8")
    path = written(tmp_path / "test.yaml", {"rule_files": ["rules.yaml"], "tests": [{"interval": "1m"}]})
    assert (run_here(path).passed, run_promtool(prometheus_3_folder, path).passed) == (False, False)


@pytest.mark.parametrize("values", SERIES_VALUES)
def test_values_of_series_are_read_as_in_promtool(
    prometheus_3_folder: Path, tmp_path: Path, values: str
) -> None:
    agreed(prometheus_3_folder, written(tmp_path / "test.yaml", notation_test("x", values)))


@pytest.mark.parametrize("series", SERIES_NAMES)
def test_names_of_series_are_read_as_in_promtool(
    prometheus_3_folder: Path, tmp_path: Path, series: str
) -> None:
    agreed(prometheus_3_folder, written(tmp_path / "test.yaml", notation_test(series, "1 2")))


def test_the_command_ends_as_promtool_does(prometheus_3_folder: Path, tmp_path: Path) -> None:
    passing = written(tmp_path / "passing.yaml", {"rule_files": [], "tests": []})
    failing = written(tmp_path / "failing.yaml", notation_test("x", "1"))
    for path in (passing, failing):
        command = [Path(sys.executable).with_name("spanbudget"), "rules", "test", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        theirs = subprocess.run(
            [prometheus_3_folder / "promtool", "test", "rules", path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (
            theirs.returncode,
            theirs.stdout,
            theirs.stderr,
        )
