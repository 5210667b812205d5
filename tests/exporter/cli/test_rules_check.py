"""`spanbudget rules check`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main

RIGHT = "groups: [{name: g, rules: [{record: r, expr: sum(up)}, {alert: A, expr: r > 1}]}]\n"
WRONG = "groups: [{name: g, rules: [{alert: A, expr: 'up{'}, {alert: B, expr: up, fro: 1m}]}]\n"
TWICE = "groups: [{name: g, rules: [{record: r, expr: up}, {record: r, expr: up * 2}]}]\n"


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["rules", "check", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("right", RIGHT), ("wrong", WRONG), ("twice", TWICE)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_right_file_is_a_success(folder: Path) -> None:
    result = check(folder / "right.yaml")
    assert (result.exit_code, result.stdout) == (
        0,
        f"Checking {folder}/right.yaml\n  SUCCESS: 2 rules found\n\n",
    )


def test_every_problem_of_a_wrong_file_is_told(folder: Path) -> None:
    result = check(folder / "wrong.yaml")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[0] == "  FAILED:"
    assert lines[1].startswith(f"{folder}/wrong.yaml:1:")
    assert "rules[1].fro: unknown key; did you mean for?" in lines[2]


def test_the_other_files_are_checked_too(folder: Path) -> None:
    result = check(f"{folder}/*.yaml")
    assert result.exit_code == 2
    assert result.stdout.count("Checking ") == 3
    assert "right.yaml\n  SUCCESS: 2 rules found" in result.stdout


def test_duplicates_are_a_warning(folder: Path) -> None:
    result = check(folder / "twice.yaml")
    assert result.exit_code == 0
    assert "WARNING" in result.stderr
    assert "more than one rule r" in result.stderr


def test_a_file_that_is_not_there_is_an_error(folder: Path) -> None:
    result = check(folder / "none.yaml")
    assert result.exit_code == 2
    assert f"{folder}/none.yaml: there is no such file" in result.stderr


def test_a_pack_is_checked_and_a_folder_is_not(folder: Path) -> None:
    result = check("pack:budget", "pack:nope", folder)
    assert result.exit_code == 2
    assert result.stdout.count("SUCCESS") == 1
    assert "there is no rule pack 'nope'; known are budget" in result.stderr
    assert f"{folder}: is a folder; name its files, such as '{folder}/*.yaml'" in result.stderr


def test_a_file_of_nearly_a_mebibyte_is_checked(folder: Path) -> None:
    condition = " or ".join(f'up{{job="job-number-{number}"}} == 0' for number in range(100))
    rules = "".join(f"  - {{alert: A{number}, expr: '{condition}'}}\n" for number in range(300))
    large = folder / "large.yaml"
    large.write_text(f"groups:\n- name: g\n  rules:\n{rules}")
    assert 900_000 < large.stat().st_size < 1 << 20
    result = check(large)
    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, "  SUCCESS: 300 rules found")
    large.write_text(large.read_text() + "#" * (1 << 20))
    assert "larger than 1 MiB" in check(large).stderr


def test_what_is_found_can_be_had_as_json(folder: Path) -> None:
    result = check("--json", folder / "right.yaml", folder / "wrong.yaml")
    right, wrong = json.loads(result.stdout)
    assert (right["valid"], right["rules"], right["problems"]) == (True, 2, [])
    assert (wrong["valid"], wrong["rules"], len(wrong["problems"])) == (False, None, 2)


def test_the_group_lists_its_commands() -> None:
    result = CliRunner().invoke(main, ["rules", "--help"])
    assert "Check rule files." in result.stdout
    assert CliRunner().invoke(main, ["rules", "nope"]).exit_code == 2
