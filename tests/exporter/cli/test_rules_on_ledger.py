"""`rules eval`, `rules backtest` and `alerts` on a ledger that a process has written."""

import json
import time
from datetime import datetime, timedelta
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
    assert output("rules", "eval", "--config", config, "1 / 0") == "+Inf"


def test_an_empty_result_is_told_by_the_exit_code(config):
    done = run("rules", "eval", "--config", config, "llm_budget_utilization_ratio > 0.6")
    assert (done.exit_code, done.stdout) == (1, "(empty)\n")
    assert run("rules", "eval", "--config", config, "--at", "1d", "sum(llm_requests_total)").exit_code == 1


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("sum(\n  up(", "is never closed (line 2, column 5)\n    up(\n      ^\n"),
        ("1 + nothing(x)", "(line 1, column 5)\n  1 + nothing(x)\n      ^\n"),
        ("1 +", "not a PromQL expression"),
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


def test_a_name_that_nothing_has_is_told(config):
    done = run("rules", "eval", "--config", config, "llm_cost_us_total")
    assert (done.exit_code, done.stdout) == (1, "(empty)\n")
    assert "did you mean llm_cost_usd_total" in done.stderr


def test_where_nothing_names_a_ledger_the_ways_to_do_so_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["rules", "eval", "1"], ["alerts", "list"], ["alerts", "outbox"]):
        done = run(*command)
        assert done.exit_code == 2
        assert "--config FILE, or the variable SPANBUDGET_CONFIG" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_expression_is_evaluated_in_the_future(config):
    done = run("rules", "eval", "--config", config, "--at", "9999-01-01", "1")
    assert done.exit_code == 2
    assert "is in the future" in done.stderr


def test_a_backtest_tells_what_would_have_fired(config):
    found = output("rules", "backtest", "--config", config, "--since", "1h")
    assert [one["labels"]["llm_budget_threshold"] for one in found["alerts"]] == ["40"]
    assert found["alerts"][0]["resolved_at"] is None
    assert (found["requests"], found["failures"]) == (50, [])
    shown = run("rules", "backtest", "--config", config, "--since", "1h").stdout
    assert "LLMBudgetThreshold" in shown
    assert "50 calls, 1 alert\n" in shown


def test_a_backtest_of_a_file_takes_only_its_rules(config, tmp_path):
    rules = tmp_path / "rules.yaml"
    rule = {"alert": "Any", "expr": "sum(llm_requests_total) > 10"}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}), encoding="utf-8")
    found = output("rules", "backtest", "--config", config, "--since", "1h", rules)
    assert [one["labels"] for one in found["alerts"]] == [{"alertname": "Any"}]


def test_a_backtest_takes_packs_and_patterns(config, tmp_path):
    found = output("rules", "backtest", "--config", config, "--since", "1h", "pack:budget")
    assert {one["labels"]["alertname"] for one in found["alerts"]} <= {
        "LLMBudgetThreshold",
        "LLMBudgetBurnRate",
        "LLMBudgetProjectedOverrun",
    }
    done = run("rules", "backtest", "--config", config, "pack:nope", tmp_path / "no*.yaml", tmp_path)
    assert done.exit_code == 2
    assert "there is no rule pack 'nope'; known are budget" in done.stderr
    assert "no*.yaml: there is no such file" in done.stderr
    assert f"{tmp_path}: is a folder; name its files, such as '{tmp_path}/*.yaml'" in done.stderr


def test_rates_of_a_young_ledger_count_from_its_first_call(config):
    shown = run("rules", "backtest", "--config", config, "--since", "5d").stdout.splitlines()
    assert shown[0].startswith("2 rules, every 1m, ")
    assert shown[1] == "50 calls, 1 alert"
    assert shown[2].startswith("The first call was at about ")


def test_a_backtest_tells_what_fired_from_the_start_on(tmp_path):
    config, rules = tmp_path / "budgets.yaml", tmp_path / "rules.yaml"
    config.write_text(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}\n", encoding="utf-8")
    open_pipeline(load_config(config)).shutdown()
    rule = {"alert": "Always", "expr": "vector(1)"}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}), encoding="utf-8")
    asked = ("rules", "backtest", "--config", config, "--since", "14d", "--step", "1h", rules)
    shown = [line.split() for line in run(*asked).stdout.splitlines()]
    assert " ".join(shown[1]) == "0 calls, 1 alert, 0.5 a week"
    assert " ".join(shown[2]) == "There is no call in this time."
    assert " ".join(shown[3]) == "1 alert fired from the start on, and may have begun before it."
    assert (shown[5][:4], shown[6][:3], shown[6][-1]) == (
        ["ALERT", "FIRED", "A", "WEEK"],
        ["Always", "1", "0.5"],
        "firing",
    )
    assert output(*asked)["first_call_hour"] is None


def test_a_short_backtest_knows_what_was_spent_before_it(tmp_path):
    config, rules = tmp_path / "budgets.yaml", tmp_path / "rules.yaml"
    budget = {"name": "prod", "max_cost": 10, "period": "yearly"}
    ledger = {"url": f"sqlite:///{tmp_path}/ledger.db"}
    config.write_text(yaml.safe_dump({"ledger": ledger, "budgets": [budget]}), encoding="utf-8")
    now_ns = time.time_ns()
    pipeline = open_pipeline(load_config(config), clock_ns=lambda: now_ns)
    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")
    for at_ns in (now_ns - 30 * 3_600 * NS, now_ns - 1_800 * NS):
        span = tracer.start_span("chat", start_time=at_ns - NS)
        span.set_attribute("gen_ai.system", "openai")
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.response.model", "gpt-4o")
        span.set_attribute("gen_ai.usage.input_tokens", 0)
        span.set_attribute("gen_ai.usage.output_tokens", 100_000)
        span.end(end_time=at_ns)
        pipeline.observe(span)  # type: ignore[arg-type]
    pipeline.shutdown()
    burns = {"alert": "Burns", "expr": 'llm_budget_burn_rate{llm_budget_burn_window="3d"} > 1'}
    grows = {"alert": "Grows", "expr": "sum(increase(llm_requests_total[10m])) > 0"}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [burns, grows]}]}), encoding="utf-8")
    found = output("rules", "backtest", "--config", config, "--since", "1h", rules)
    assert (found["requests"], found["alerts"][0]["labels"]["alertname"]) == (1, "Burns")
    assert [one["labels"]["alertname"] for one in found["alerts"]] == ["Burns", "Grows"]
    begun, fired = (datetime.fromisoformat(at) for at in (found["since"], found["alerts"][0]["fired_at"]))
    assert fired - begun <= timedelta(minutes=1)


def test_json_has_the_keys_that_programs_rely_on(kept):
    (alert,) = output("alerts", "list", "--config", kept)
    assert alert.keys() == {
        *("group", "rule", "state", "labels", "annotations", "value"),
        *("active_at", "fired_at", "resolved_at"),
    }
    assert (alert["value"], alert["fired_at"]) == ("1.5", "2026-09-21T13:56:40.000Z")
    letter = output("alerts", "outbox", "--config", kept)[0]
    assert letter.keys() == {
        *("id", "channel", "group_key", "state", "failed_attempts", "last_error"),
        *("created_at", "due_at", "ended_at", "payload"),
    }
    found = output("rules", "backtest", "--config", kept, "--since", "1h")
    assert found.keys() == {
        *("since", "until", "step_seconds", "requests", "first_call_hour", "truncated", "alerts", "failures"),
    }
    assert found["alerts"][0].keys() == {"labels", "annotations", "value", "fired_at", "resolved_at"}


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
    told = ["firing", "2026-09-21", "13:56", "Fires", "Fires", "now", 'severity="page"']
    assert shown.stdout.splitlines()[1].split() == told
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
    told = {one["id"][:5]: one for one in output("alerts", "outbox", "--config", kept)}
    assert [told[f"msg_{n}"]["failed_attempts"] for n in range(3)] == [0, 1, 0]
    assert [told[f"msg_{n}"]["due_at"] is None for n in range(3)] == [True, True, False]
    done = run("alerts", "retry", "--config", kept, "--all")
    assert (done.exit_code, done.stdout[:29]) == (0, "1 notification will be sent a")
    again = run("alerts", "retry", "--config", kept, "--all")
    assert (again.exit_code, again.stdout) == (0, "No notification was given up.\n")
    states = {one["id"][:5]: one["state"] for one in output("alerts", "outbox", "--config", kept)}
    assert states["msg_1"] == "waiting"


def test_what_was_not_given_up_is_not_sent_again(kept):
    done = run("alerts", "retry", "--config", kept, "msg_0/team/log")
    assert done.exit_code == 2
    assert "not given up" in done.stderr
    assert run("alerts", "retry", "--config", kept).exit_code == 2


def test_a_ledger_without_alerts_says_so(config):
    assert run("alerts", "list", "--config", config).stdout == "No alert fires or is pending.\n"
    assert run("alerts", "outbox", "--config", config).stdout == "There are no notifications.\n"
