"""`spanbudget doctor`: what it finds on a machine, and its exit codes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.config_sections import BudgetConfig
from spanbudget.exporter.manager import BudgetManager


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPANBUDGET_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def doctor(text: str, *options: str) -> Result:
    Path("budgets.yaml").write_text(text)
    return CliRunner().invoke(main, ["doctor", "budgets.yaml", *options])


def found(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(area, subject) → the last finding."""
    told = json.loads(doctor(text, "--json").stdout)
    return {(one["area"], one["subject"]): one for one in told["findings"]}


BUDGETS = """
    budgets:
      - {name: team, match: {team: [a], provider: openai}, max_cost: 500, period: monthly, hard_limit: true}
      - {name: each, per: [user], max_tokens: 12345, max_requests: 100000, period: daily, hard_limit: true,
         on_exceed: clamp, wait_ms: 60000, rates: {requests_per_minute: 1}, auto_suspend: true,
         rollover: 3}
      - {name: soft, max_cost: 5, period: {rolling: 36h}}
"""


def test_every_hard_limit_is_seen_to_hold(tmp_path: Path) -> None:
    done = doctor(BUDGETS, "--json")
    assert done.exit_code == 0, done.output
    findings = json.loads(done.stdout)["findings"]
    limits = [one for one in findings if one["area"] == "limits"]
    assert [(one["subject"], one["verdict"], one["numbers"].get("measure")) for one in limits] == [
        ("team", "pass", "cost"), ("each", "pass", "tokens"), ("each", "pass", "requests"),
        ("soft", "info", None),
    ]  # fmt: skip
    team = limits[0]["numbers"]
    assert (team["admitted"], team["spent"], team["limit"], team["refused"]) == (50, "500", "500", "limit")
    tokens = limits[1]["numbers"]
    assert (tokens["per_call"], tokens["admitted"], tokens["spent"]) == (246, 50, 12300)
    assert [path.name for path in tmp_path.iterdir()] == ["budgets.yaml"]


def test_a_person_gets_sections_and_a_verdict() -> None:
    done = doctor(BUDGETS)
    assert done.exit_code == 0
    assert "Limits: a copy of each hard budget" in done.stdout
    assert "50 of 50 calls of $10.00 admitted, the next one refused (limit)" in done.stdout
    assert "0 failed" in done.stdout.splitlines()[-1]


def test_budgets_that_the_ledger_keeps_are_checked_too() -> None:
    with BudgetManager("spend.db") as manager:
        manager.create_budget(BudgetConfig(name="kept", max_cost=3, hard_limit=True))
    assert found("ledger: {url: sqlite:///spend.db}")["limits", "kept"]["verdict"] == "pass"


def test_no_budget_is_worth_a_warning() -> None:
    assert found("{}")["limits", "budgets"]["verdict"] == "warn"


def test_spans_are_seen_that_sampling_drops() -> None:
    told = found("{}")
    assert {told["spans", one]["verdict"] for one in ("head sampling", "sampler", "processor")} == {"pass"}
    assert told["spans", "head sampling"]["numbers"]["counted"] == 1
    assert found("sampling: {record_unsampled: false}")["spans", "head sampling"]["verdict"] == "warn"


def test_windows_are_shown_in_the_zone_of_the_budget() -> None:
    budget = "{name: b, max_cost: 1, period: yearly, timezone: Asia/Kolkata}"
    told = found(f"budgets: [{budget}]")["clock", "b"]
    assert "-01-01 00:00 IST (Asia/Kolkata)" in told["told"]
    assert told["numbers"]["ends"].endswith("-12-31T18:30:00+00:00")


def test_a_ledger_that_others_can_read_is_worth_a_warning() -> None:
    text = "ledger: {url: sqlite:///spend.db}"
    path = str(Path("spend.db").absolute())
    assert found(text)["ledger", path]["verdict"] == "info"
    BudgetManager("spend.db").states()
    assert found(text)["ledger", path]["verdict"] == "pass"
    os.chmod("spend.db", 0o644)  # noqa: PTH101
    told = found(text)["ledger", path]
    assert (told["verdict"], told["numbers"]["mode"]) == ("warn", "0644")
    assert "chmod 600" in told["told"]


def test_the_speed_of_the_ledgers_disk_is_measured_beside_it(tmp_path: Path) -> None:
    told = found("ledger: {url: sqlite:///spend.db}")["ledger", "speed"]
    assert told["verdict"] == "pass"
    assert 0 < told["numbers"]["reserve_p50_ms"] <= told["numbers"]["reserve_p99_ms"]
    assert [path.name for path in tmp_path.iterdir()] == ["budgets.yaml"]


def test_a_folder_that_is_not_there_fails() -> None:
    text = "ledger: {url: sqlite:///absent/spend.db}"
    assert doctor(text).exit_code == 1
    told = [one["told"] for (area, _), one in found(text).items() if area == "ledger"]
    assert any("does not exist; create it" in one for one in told)


def test_a_downgrade_to_a_model_without_a_price_fails() -> None:
    text = "budgets: [{name: b, max_cost: 1, hard_limit: true, on_exceed: {downgrade: {gpt-4o: %s}}}]"
    assert found(text % "gpt-4o-mini").get(("prices", "b")) is None
    assert doctor(text % "house-llm", "--json").exit_code == 1
    assert found(text % "house-llm")["prices", "b"]["verdict"] == "fail"


def test_models_in_use_without_a_price_are_named() -> None:
    with BudgetManager("spend.db") as manager:
        for model in ("gpt-4o", "house-llm"):
            manager.reserve(cost=1, provider="openai", model=model).settle(cost=1)
    told = found("ledger: {url: sqlite:///spend.db}")["prices", "models in use"]
    assert told["verdict"] == "warn"
    assert [one["model"] for one in told["numbers"]["unpriced"]] == ["house-llm"]


def test_the_sdks_that_are_guarded_are_told() -> None:
    told = {
        subject.partition(" ")[0]: one for (area, subject), one in found(BUDGETS).items() if area == "guard"
    }
    for name in ("httpx", "httpx2", "openai", "anthropic"):
        assert told[name]["numbers"]["guarded"] is True
    assert told["guard"]["numbers"] == {"enabled": True}
    assert "openinference-instrumentation-anthropic" in told["instrumentations"]["told"]


def test_a_wrong_configuration_ends_with_2() -> None:
    done = doctor("budgts: []")
    assert done.exit_code == 2
    assert done.stdout == ""


@pytest.mark.postgres
def test_the_clock_of_a_server_is_compared(postgres_url: str) -> None:
    told = found(f"ledger: {{url: '{postgres_url}'}}")
    ledger = {
        subject: one
        for (area, subject), one in told.items()
        if area in ("clock", "ledger") and "***" in subject
    }
    (shown,) = set(ledger)
    assert "w%40rd" not in shown
    assert told["ledger", shown]["verdict"] == "pass"
    assert abs(told["clock", shown]["numbers"]["ahead_seconds"]) < 1
