"""The group: lazy commands, and errors as messages with exit codes."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from spanbudget.exporter.cli.main import COMMANDS, Command, main

HEAVY = ("pandas", "scipy", "sqlalchemy", "alembic", "genai_prices", "pydantic", "rich", "opentelemetry.sdk")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_import_no_command(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('imported', *[name for name in {HEAVY!r} if name in sys.modules]))\n"
        "from spanbudget.exporter.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "imported"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"Usage: main {name}" in done.output


def test_help_lists_every_command() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    assert all(name in listed and command.summary in listed for name, command in COMMANDS.items())


def test_an_unknown_command_is_wrong_usage() -> None:
    done = CliRunner().invoke(main, ["pirces"])
    assert done.exit_code == 2
    assert "pirces" in done.stderr


def test_each_problem_of_a_configuration_is_a_line_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("budgts: []\nmetrics: {exporter: pigeon}\n")
    done = CliRunner().invoke(main, ["prices", "gpt-4o", "--config", str(path)])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [f"{path}:1:1", f"{path}:2:11"]


def test_an_error_of_the_ledger_is_one_line_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("not a ledger, but long enough to be looked at by SQLite" * 10)
    done = CliRunner().invoke(main, ["prices", "--check", "--db", str(path)])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"spanbudget: ledger {path}: it is not a SQLite file")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interruption_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    @click.command()
    def wait() -> None:
        raise interruption

    module = ModuleType("waiting")
    module.wait = wait  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "waiting", module)
    monkeypatch.setitem(COMMANDS, "wait", Command("waiting", "wait", "Wait."))  # type: ignore[arg-type]
    done = CliRunner().invoke(main, ["wait"])
    assert done.exit_code == 130
    assert done.stderr == "spanbudget: interrupted\n"


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_leaves_is_no_error_worth_a_word(form: str) -> None:
    command = [str(Path(sys.executable).with_name("spanbudget")), "prices", "gpt-4o", "--format", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
