"""`spanbudget config check`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.config import ledger_place
from spanbudget.exporter.cli.main import main

RIGHT = """\
ledger: {{url: "sqlite:///{folder}/ledger.db"}}
prices:
  - {{provider: openai, model: house-llm, input: 1.25, output: 10, from: 2026-01-01}}
models: {{aliases: {{my-deployment: gpt-4o}}}}
budgets:
  - {{name: production, max_cost: 500, hard_limit: true}}
  - {{name: per-user, per: [user], max_cost: 5, period: daily}}
"""
WRONG = """\
budgets:
  - {name: a, max_cost: -1}
  - {name: a, max_cost: 1, period: dayly}
budgts: []
"""


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["config", "check", *map(str, arguments)])


@pytest.fixture
def right(tmp_path: Path) -> Path:
    path = tmp_path / "right.yaml"
    path.write_text(RIGHT.format(folder=tmp_path))
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


def test_a_right_file_is_summed_up_in_one_line_and_nothing_is_made(right: Path) -> None:
    done = check(right)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == (
        f"{right}: OK: 2 budgets (1 hard, 1 per label), 1 price, 1 alias;"
        f" ledger sqlite:///{right.parent}/ledger.db\n"
    )
    assert list(right.parent.iterdir()) == [right]


def test_every_problem_of_every_file_is_told_with_line_and_path(right: Path, wrong: Path) -> None:
    missing = right.parent / "missing.yaml"
    done = check(wrong, right, missing)
    assert done.exit_code == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.partition(": must")[0] for line in lines[:3]] == [
        f"{wrong}:2:15: budgets[0].max_cost",
        f"{wrong}:3:6: budgets[1].name",
        f"{wrong}:3:28: budgets[1].period",
    ]
    assert lines[3].startswith(f"{wrong}:4:1: budgts: unknown key")
    assert lines[4].startswith(f"{right}: OK")
    assert lines[5:] == [f"{missing}: cannot be read: No such file or directory", "5 problems"]


def test_problems_as_json(wrong: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("budgets: [\n")
    missing = tmp_path / "missing.yaml"
    done = check(wrong, broken, missing, "--format", "json")
    assert done.exit_code == 2
    assert done.stderr == ""
    first, second, third = json.loads(done.stdout)
    assert not first["valid"]
    assert [(one["line"], one["column"], one["path"]) for one in first["problems"]] == [
        (2, 15, "budgets[0].max_cost"),
        (3, 6, "budgets[1].name"),
        (3, 28, "budgets[1].period"),
        (4, 1, "budgts"),
    ]
    assert first["problems"][0]["message"] == "must be greater than 0, got -1"
    assert first["problems"][0]["problem"].startswith(f"{wrong}:2:15: budgets[0].max_cost: must")
    assert second["problems"][0]["path"] is None
    assert second["problems"][0]["message"].startswith("not valid YAML: ")
    assert third["problems"] == [
        {
            "line": None,
            "column": None,
            "path": None,
            "message": "cannot be read: No such file or directory",
            "problem": f"{missing}: cannot be read: No such file or directory",
        }
    ]


def test_a_summary_as_json(right: Path) -> None:
    done = check(right, "--format", "json")
    assert done.exit_code == 0
    (found,) = json.loads(done.stdout)
    assert found["valid"]
    assert found["problems"] == []
    summary = found["summary"]
    assert summary["ledger"] == f"sqlite:///{right.parent}/ledger.db"
    assert [budget["name"] for budget in summary["budgets"]] == ["production", "per-user"]
    assert summary["budgets"][0]["max_cost"] == "500"
    assert summary["prices"] == [
        {"provider": "openai", "model": "house-llm", "input": "1.25", "output": "10", "from": "2026-01-01"}
    ]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:///spend.db", "sqlite:///spend.db"),
        ("postgresql://db.example:5432/spend", "postgresql://db.example:5432/spend"),
        ("postgresql://user:hunter2@db.example/spend", "postgresql://db.example/spend"),
        ("postgresql+psycopg://user:hunter2@db.example/spend", "postgresql://db.example/spend"),
        ("postgresql://db.example/spend?password=hunter2", "postgresql://db.example/spend"),
        # An unescaped delimiter in the password: where it ends cannot be told.
        ("postgresql://user:hunter2/x@db.example/spend", "postgresql://…"),
        ("postgresql://user:hunter2?x@db.example/spend", "postgresql://…"),
        ("postgresql://user:x@hunter2@db.example/spend", "postgresql://…"),
        ("postgresql://db.example/spend?password=x@hunter2", "postgresql://…"),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_of_the_ledger_is_shown(tmp_path: Path, url: str, place: str, form: str) -> None:
    path = tmp_path / "budgets.yaml"
    path.write_text(f"ledger: {{url: '{url}'}}\n")
    done = check(path, "--format", form)
    assert done.exit_code == 0
    assert "hunter2" not in done.output
    assert ledger_place(url) == place
