"""`spanbudget run`: its options, and programs that cannot be started."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPANBUDGET_CONFIG", "SPANBUDGET_RUN", "SPANBUDGET_RUN_LABEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", *arguments])


@pytest.mark.parametrize("amount", ["0", "-1", "nan", "inf", "two", ""])
def test_a_cap_is_an_amount_above_0(amount: str) -> None:
    done = run("--max-cost", amount, "--", "true")
    assert done.exit_code == 2
    assert "is not an amount of USD above 0" in done.stderr


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--host", "localhost:1"), "is not HOST=PROVIDER"),
        (("--host", "http://localhost=openai"), "must be a host"),
        (("--name", "a/b"), "1 to 64 letters"),
        (("--name", "*"), "1 to 64 letters"),
        (("--period", "fortnightly"), "is not one of"),
        (("--config", "absent.yaml"), "cannot be read"),
    ],
)
def test_a_wrong_option_starts_nothing(tmp_path: Path, option: tuple[str, str], told: str) -> None:
    done = run("--max-cost", "1", *option, "--", "touch", "started")
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_program_is_needed() -> None:
    assert run("--max-cost", "1").exit_code == 2


def test_an_unknown_program_ends_with_127() -> None:
    done = run("--max-cost", "1", "--", "no-such-program")
    assert done.exit_code == 127
    assert done.stderr == "spanbudget: no-such-program: there is no such program\n"


def test_a_program_that_is_none_ends_with_126(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    done = run("--max-cost", "1", "--", "./text")
    assert done.exit_code == 126
    assert done.stderr == "spanbudget: ./text: cannot be run: Permission denied\n"


def test_options_of_the_program_are_its_own() -> None:
    done = run("--max-cost", "$1", "--json", "out.json", "sh", "-c", "exit $0", "--max-cost")
    assert done.exit_code == 2  # `exit --max-cost` is wrong: sh has got it
    assert json.loads(Path("out.json").read_text())["command"][-1] == "--max-cost"


def test_a_program_of_another_kind_keeps_its_exit_code_and_is_told_to_be_uncapped() -> None:
    done = run("--max-cost", "1", "--", "sh", "-c", "exit 5")
    assert done.exit_code == 5
    assert "Nothing was capped" in done.stderr


def test_the_cap_of_an_outer_run_cannot_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text("{}")
    monkeypatch.setenv("SPANBUDGET_RUN", str(tmp_path))
    monkeypatch.setenv("SPANBUDGET_CONFIG", str(tmp_path / "outer.yaml"))
    done = run("--max-cost", "1", "--config", "own.yaml", "--", sys.executable, "-c", "1")
    assert done.exit_code == 2
    assert "the cap of the outer one would be lost" in done.stderr
