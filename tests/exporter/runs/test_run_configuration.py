"""What the processes of a run read: the given configuration, and a hard budget on top."""

import stat
from decimal import Decimal
from pathlib import Path

import pytest

from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.runs.configuration import Cap, RunConfiguration, write_configuration
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.selectors import Selector

CAP = Cap("agent", Decimal("2.50"))


def budget(run: RunConfiguration):
    return next(one for one in run.config.budget_configs if one.name == run.budget)


def matches(run: RunConfiguration, label: str) -> bool:
    return Selector.of(budget(run).match).matches({"spanbudget.run": label})


def test_without_anything_the_ledger_is_temporary_and_the_budget_is_hard(tmp_path: Path) -> None:
    run = write_configuration(tmp_path, CAP)
    own = budget(run)
    assert (run.kept, run.config.ledger.url) == (False, f"sqlite:///{tmp_path}/run.db")
    assert (own.name, own.max_cost, own.period, own.hard_limit) == ("agent", Decimal("2.5"), "total", True)
    assert (own.on_store_error, run.config.metrics.exporter) == ("deny", "none")
    assert load_config(run.path) == run.config
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600


def test_the_cap_holds_for_this_run_and_the_runs_inside_of_it(tmp_path: Path) -> None:
    run = write_configuration(tmp_path, CAP)
    assert matches(run, run.label)
    assert matches(run, f"{run.label}/inner/123")
    assert not matches(run, "agent/000000/other")


def test_a_period_holds_for_all_runs_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_configuration(tmp_path, Cap("agent", Decimal(2), "daily"))
    assert run.config.ledger.url == f"sqlite:///{tmp_path}/spanbudget.db"
    assert matches(run, "agent/000000")
    assert not matches(run, "agents/000000")
    assert (run.kept, run.budget) == (True, "agent")


GIVEN = """
    ledger: {url: "sqlite:///spend.db", retention_days: 30}
    budgets:
      - {name: team, match: {team: "a*"}, max_cost: 0.123456789012, period: {rolling: 24h}}
      - &x {name: agent, max_cost: "${LIMIT:-7}", timezone: Europe/Berlin}
      - {<<: *x, name: "$${x}", week_start: null}
    prices: [{provider: openai, model: gpt-4o, input: 5, from: 2026-01-31}]
    guard: {hosts: {"llm.example.com": {provider: mistral}}}
"""


def test_a_given_configuration_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMIT", raising=False)
    given = tmp_path / "budgets.yaml"
    given.write_text(GIVEN)
    folder = tmp_path / "run"
    folder.mkdir()
    before = load_config(given)
    run = write_configuration(folder, Cap("agent", Decimal(2), hosts={"localhost:1": "openai"}), given=given)
    after = run.config
    assert after.budget_configs[:3] == before.budget_configs
    assert (after.prices, after.ledger.retention_days) == (before.prices, 30)
    assert after.ledger.url == f"sqlite:///{tmp_path}/spend.db"
    assert set(after.guard.hosts) == {"llm.example.com", "localhost:1"}
    assert after.metrics == Config().metrics
    assert run.budget != "agent"
    assert run.budget.startswith("agent-")


def test_what_comes_from_the_environment_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://me:secret@db.example/spend"
    monkeypatch.setenv("URL", url)
    given = tmp_path / "given.yaml"
    given.write_text("ledger: {url: ${URL}}\n")
    run = write_configuration(tmp_path, CAP, given=given)
    assert run.config.ledger.url == url
    assert "secret" not in run.path.read_text()
    for name, value in run.variables.items():
        monkeypatch.setenv(name, value)
    assert load_config(run.path) == run.config


def test_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    given = tmp_path / "given.yaml"
    given.write_text("budgets: [{name: agent, max_cost: 1}]\n")
    with pytest.raises(ConfigurationError, match="choose another name by --name"):
        write_configuration(tmp_path, Cap("agent", Decimal(2), "daily"), given=given)


@pytest.mark.parametrize(
    ("cap", "told"),
    [
        (Cap("agent", Decimal("0.0000000000001")), "--max-cost"),
        (Cap("agent", Decimal(1), hosts={"http://x": "openai"}), "--host"),
    ],
)
def test_a_wrong_option_is_told_by_its_name(tmp_path: Path, cap: Cap, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        write_configuration(tmp_path, cap)


def test_a_wrong_given_configuration_is_told_with_its_lines(tmp_path: Path) -> None:
    given = tmp_path / "given.yaml"
    given.write_text("budgts: []\n")
    with pytest.raises(ConfigurationError, match=f"{given}:1:1"):
        write_configuration(tmp_path, CAP, given=given)
