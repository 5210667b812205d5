"""`rules eval`, `rules backtest` and `alerts` on a ledger that a process has written."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import Change, OutboxRow, RuleKey
from spanbudget.exporter.cli.main import main
from spanbudget.exporter.config import load_config
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of

NS = 10**9


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """$5 of a budget of $10, in 50 calls."""
    path = tmp_path / "budgets.yaml"
    budget = {"name": "prod", "max_cost": 10, "period": "yearly", "alerts": {"thresholds": [40, 80]}}
    ledger = {"url": f"sqlite:///{tmp_path}/ledger.db"}
    path.write_text(yaml.safe_dump({"ledger": ledger, "budgets": [budget]}), encoding="utf-8")
    pipeline = open_pipeline(load_config(path))
    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")
    for _ in range(50):
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("gen_ai.system", "openai")
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.response.model", "gpt-4o")
            span.set_attribute("gen_ai.usage.input_tokens", 0)
            span.set_attribute("gen_ai.usage.output_tokens", 10_000)
        pipeline.observe(span)  # type: ignore[arg-type]
    pipeline.shutdown()
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: object) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_expression_is_evaluated_on_the_ledger(config):
    done = run("rules", "eval", "--config", config, "llm_budget_utilization_ratio > 0.4")
    assert (done.exit_code, done.stdout) == (0, 'llm_budget_utilization_ratio{llm_budget_name="prod"} 0.5\n')
    assert output("rules", "eval", "--config", config, "sum(llm_requests_total)") == [
        {"metric": {}, "value": 50}
    ]
    assert output("rules", "eval", "--config", config, "1 / 0") == "Inf"


def test_an_empty_result_is_told_by_the_exit_code(config):
    done = run("rules", "eval", "--config", config, "llm_budget_utilization_ratio > 0.6")
    assert (done.exit_code, done.stdout) == (1, "(empty)\n")
    assert run("rules", "eval", "--config", config, "--at", "1d", "sum(llm_requests_total)").exit_code == 1


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("sum(", "is never closed"),
        ("nothing(x)", "nothing"),
        ("llm_requests_total[5m]", "range of samples"),
    ],
)
def test_a_wrong_expression_is_bad_input(config, expression, told):
    done = run("rules", "eval", "--config", config, expression)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_ledger_that_is_not_there_is_not_made(tmp_path):
    done = run("rules", "eval", "--db", tmp_path / "none.db", "1")
    assert done.exit_code == 2
    assert "there is no such file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backtest_tells_what_would_have_fired(config):
    found = output("rules", "backtest", "--config", config, "--since", "1h")
    assert [one["labels"]["llm_budget_threshold"] for one in found["alerts"]] == ["40"]
    assert found["alerts"][0]["resolved_at"] is None
    assert (found["requests"], found["failures"]) == (50, [])
    shown = run("rules", "backtest", "--config", config, "--since", "1h").stdout
    assert "LLMBudgetThreshold" in shown
    assert "50 calls, 1 alerts" in shown


def test_a_backtest_of_a_file_takes_only_its_rules(config, tmp_path):
    rules = tmp_path / "rules.yaml"
    rule = {"alert": "Any", "expr": "sum(llm_requests_total) > 10"}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}), encoding="utf-8")
    found = output("rules", "backtest", "--config", config, "--since", "1h", rules)
    assert [one["labels"] for one in found["alerts"]] == [{"alertname": "Any"}]


def test_a_backtest_without_rules_says_what_to_do(tmp_path, config):
    done = run("rules", "backtest", "--db", tmp_path / "ledger.db")
    assert done.exit_code == 2
    assert "there are no rules" in done.stderr


@pytest.fixture
def kept(config: Path) -> Path:
    """An alert that fires, one that has ended, and three notifications."""
    store = open_alert_store(load_config(config).ledger.url)
    now_ns = 1_790_000_000 * NS
    fence = store.lead(b"x" * 16, now_ns, now_ns + NS)
    assert fence is not None
    alerts = []
    for name, state in (("Fires", "firing"), ("Ended", "inactive")):
        labels = labels_of({"alertname": name, "severity": "page"})
        ended = 1_790_000_000_000 if state == "inactive" else None
        alert = Alert(
            labels, (("summary", f"{name} now"),), 1.5, state, 1_789_999_000_000, 1_789_999_000_000, ended
        )
        alerts.append((RuleKey("f;g", name), alert))
    told = {"alerts": [{"labels": {"alertname": "Fires"}, "state": "firing"}]}
    rows = [
        OutboxRow(f"msg_{number}/team/log", "team/log", f"g{number}", told, now_ns, now_ns)
        for number in range(3)
    ]
    store.commit(fence, Change(alerts=alerts, outbox=rows))
    store.sent("msg_0/team/log", now_ns)
    store.failed("msg_1/team/log", "team.example: refused", None, now_ns)
    store.close()
    return config


def test_alerts_are_listed(kept):
    shown = run("alerts", "list", "--config", kept)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[1].split() == ["firing", "2026-09-21", "13:56", "Fires", "Fires", "now"]
    assert [one["rule"] for one in output("alerts", "list", "--config", kept)] == ["Fires"]
    every = output("alerts", "list", "--config", kept, "--all")
    assert [(one["rule"], one["state"]) for one in every] == [("Fires", "firing"), ("Ended", "resolved")]
    assert every[0]["labels"] == {"alertname": "Fires", "severity": "page"}


def test_notifications_are_listed_and_dead_ones_are_sent_again(kept):
    states = {one["id"][:5]: one["state"] for one in output("alerts", "outbox", "--config", kept)}
    assert states == {"msg_0": "sent", "msg_1": "dead", "msg_2": "waiting"}
    shown = run("alerts", "outbox", "--config", kept, "--state", "dead").stdout
    assert "team.example: refused" in shown
    assert "Fires firing" in shown
    done = run("alerts", "retry", "--config", kept, "--all")
    assert (done.exit_code, done.stdout[:2]) == (0, "1 ")
    states = {one["id"][:5]: one["state"] for one in output("alerts", "outbox", "--config", kept)}
    assert states["msg_1"] == "waiting"


def test_what_was_not_given_up_is_not_sent_again(kept):
    done = run("alerts", "retry", "--config", kept, "msg_0/team/log")
    assert done.exit_code == 2
    assert "not given up" in done.stderr
    assert run("alerts", "retry", "--config", kept).exit_code == 2


def test_a_ledger_without_alerts_says_so(config):
    assert run("alerts", "list", "--config", config).stdout == "No alert fires or is pending.\n"
    assert run("alerts", "outbox", "--config", config).stdout == "There are none.\n"
