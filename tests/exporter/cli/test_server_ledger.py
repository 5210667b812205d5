"""Commands on a ledger that a server keeps."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry, entry_id

pytestmark = pytest.mark.postgres

CAPTURES = Path(__file__).parents[2] / "captures" / "data"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], env={"SPANBUDGET_CONFIG": None})


def unpriced_call() -> Entry:
    now_ns = time.time_ns()
    call = LLMCall(
        *(1, 1, 0, "scope", "acme", "house-llm", "house-llm", "house-llm", "chat", False, None),
        *(Usage(input=100, output=10), "exact", (), now_ns - 1, now_ns, False, None, ()),
    )
    return Entry(entry_id(call), "call", PricedCall(call, None, 0, 0, 0, 0, None, "unpriced", ()))


def test_a_replay_into_a_server_tells_what_one_into_a_file_tells(postgres_url: str, tmp_path: Path) -> None:
    spans = sorted(CAPTURES.rglob("*.jsonl*"))[:6]
    into_file = run("replay", *spans, "--calls", "--db", tmp_path / "ledger.db")
    into_server = run("replay", *spans, "--calls", "--db", postgres_url)
    assert into_file.stdout.count("\n") > 1
    assert into_server.stdout == into_file.stdout
    again = run("replay", *spans, "--calls", "--db", postgres_url)
    assert again.stdout == into_file.stdout


def test_the_prices_of_a_servers_models_are_checked(postgres_url: str, tmp_path: Path) -> None:
    ledger = open_ledger(postgres_url)
    ledger.append([unpriced_call()])
    ledger.close()
    config = tmp_path / "budgets.yaml"
    config.write_text(f"ledger: {{url: '{postgres_url}'}}\n")
    for where in (("--db", postgres_url), ("--config", config)):
        done = run("prices", "--check", *where, "--format", "json")
        assert done.exit_code == 1, done.output
        (found,) = json.loads(done.stdout)["unpriced"]
        assert (found["model"], found["calls"], found["tokens"]) == ("house-llm", 1, 110)


def test_looking_at_a_server_without_a_ledger_makes_none(postgres) -> None:
    with postgres.database() as empty:
        done = run("prices", "--check", "--db", postgres.url(empty))
        assert done.exit_code == 2
        assert "there is no ledger in this database" in done.stderr
        assert ":***@" in done.stderr
