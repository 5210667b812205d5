"""One budget of $1 a day; each call costs 10 cents. All on a clock that the test sets."""

from pathlib import Path

import pytest
from scene import DAY, HOUR, MINUTE, SECOND, START, Clock, news

from spanbudget.processors.errors import AlertStoreError

THRESHOLDS = """
budgets:
  - {name: prod, max_cost: 1, period: daily, alerts: {thresholds: [50, 80]}}
"""
FLAPPING = """
rules: [rules.yaml]
"""


def test_a_threshold_fires_once_in_a_window_and_resolves_when_the_window_is_over(start):
    one = start(THRESHOLDS)
    seen = []
    for _ in range(9):
        one.spend(10)
        one.step()
        seen.append(news())
    assert [len(found) for found in seen] == [0, 0, 0, 0, 1, 0, 0, 1, 0]
    assert seen[4] == [("firing", "LLMBudgetThreshold", "50")]
    assert seen[7][0][2] == "80"
    one.step(15 * SECOND, times=20)
    assert news() == []
    one.clock.now_ns = START - START % DAY + DAY
    one.step()
    assert [found[0] for found in news()] == ["resolved"] * 2
    for _ in range(5):
        one.spend(10)
    one.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]


def test_a_restart_sends_nothing_again_and_goes_on_where_it_was(start):
    first = start(THRESHOLDS)
    first.spend(60)
    first.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
    first.vanish()
    second = start(clock=first.clock)
    second.step(20 * SECOND)  # the lease of the first has run out
    second.step(15 * SECOND, times=8)
    assert news() == []
    second.spend(30)
    second.step()
    assert news() == [("firing", "LLMBudgetThreshold", "80")]


def test_one_process_evaluates_and_another_one_takes_over_when_it_is_gone(start):
    leader = start(THRESHOLDS)
    other = start(clock=leader.clock)
    leader.step()
    other.step()
    other.spend(60)  # spend of one process is seen by the other
    other.step()
    assert news() == []
    leader.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
    leader.vanish()
    other.step(14 * SECOND)
    other.spend(30)
    other.step(5 * SECOND)
    assert news() == [("firing", "LLMBudgetThreshold", "80")]


def test_a_process_that_lost_the_lead_keeps_nothing(start):
    """The first one stops for longer than its lease, as a laptop that sleeps does."""
    first = start(THRESHOLDS)
    first.step()
    second = start(clock=Clock(first.clock.now_ns + 20 * SECOND))
    second.spend(60)
    second.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
    first.clock.now_ns = second.clock.now_ns
    first.step()
    first.step()
    assert news() == []
    assert first.engine.health()["spanbudget.rules.leading", ""] == 0


def test_a_correction_does_not_make_a_threshold_fire_again_even_after_a_restart(start):
    one = start(THRESHOLDS)
    one.spend(51)
    one.step()
    assert len(news()) == 1
    lead = one.engine._lead
    assert lead is not None
    peak = next(iter(lead.stage.feed.gauges.peaks.values()))
    assert peak.cost == 510_000_000_000
    peak.cost = 900_000_000_000  # as if 39 cents had been corrected since
    one.spend(1)
    one.step()
    assert news() == [("firing", "LLMBudgetThreshold", "80")]
    one.vanish()
    again = start(clock=one.clock)
    again.step(20 * SECOND)
    again.step(6 * MINUTE)
    assert news() == []


def test_an_hour_of_flapping_is_one_notification_and_one_end(start, tmp_path):
    """The result holds in every other minute for an hour: 30 times. Then it is gone."""
    Path(tmp_path / "rules.yaml").write_text(
        "groups: [{name: g, rules: [{alert: Flaps, expr: 'vector(1) and on() (vector(time() % 120) < 60)"
        f" and on() (vector(time()) < {(START + HOUR) // SECOND})'}}]}}]",
        encoding="utf-8",
    )
    one = start(FLAPPING)
    one.step(15 * SECOND, times=2 * 240)
    assert [(status, name) for status, name, _ in news()] == [("firing", "Flaps"), ("resolved", "Flaps")]


def test_the_alert_of_a_rule_that_was_deleted_ends(start, tmp_path):
    one = start(THRESHOLDS)
    one.spend(60)
    one.step()
    news()
    one.vanish()
    start("budgets: [{name: prod, max_cost: 1, period: daily}]\n", clock=one.clock).step(20 * SECOND)
    assert news() == [("resolved", "LLMBudgetThreshold", "50")]


def test_a_rule_that_fails_is_counted_and_the_others_go_on(start, tmp_path):
    Path(tmp_path / "rules.yaml").write_text(
        "groups: [{name: g, rules: [{alert: Fails, expr: 'llm_requests_total * on(x) llm_requests_total'},"
        " {alert: Holds, expr: 'sum(llm_requests_total) > 1'}]}]",
        encoding="utf-8",
    )
    one = start(FLAPPING)
    one.spend(10)
    one.spend(10, model="gpt-4o-mini")
    one.step()
    assert news() == [("firing", "Holds", "")]
    health = one.engine.health()
    assert health["spanbudget.rules.failures", "g"] == 1
    assert [(told, value) for metric, told, value in one.engine.derived() if "alerts" in metric.name] == [
        ({"alertname": "Holds", "alertstate": "firing"}, 1)
    ]


def test_a_rule_that_would_have_too_many_series_is_refused_when_it_is_evaluated(start, tmp_path):
    Path(tmp_path / "rules.yaml").write_text(
        "groups: [{name: g, limit: 1, rules: [{record: 'by:model', expr: 'sum by (gen_ai_response_model)"
        " (llm_requests_total)'}, {alert: Holds, expr: 'absent({__name__=\"by:model\"})'}]}]",
        encoding="utf-8",
    )
    one = start(FLAPPING)
    one.spend(10)
    one.spend(10, model="gpt-4o-mini")
    one.step()
    assert news() == [("firing", "Holds", "")]


def test_groups_keep_their_own_interval_and_others_see_new_spend_at_once(start, tmp_path):
    Path(tmp_path / "rules.yaml").write_text(
        "groups: [{name: slow, interval: 1h, rules: [{alert: Slow, expr: 'sum(llm_requests_total) > 0'}]},"
        " {name: quick, rules: [{alert: Quick, expr: 'sum(llm_requests_total) > 0'}]}]",
        encoding="utf-8",
    )
    one = start(FLAPPING)
    one.step()
    one.spend(10)
    one.step()
    assert [name for _, name, _ in news()] == ["Quick"]
    one.step(HOUR)
    assert [name for _, name, _ in news()] == ["Slow"]


def test_silence_is_told_of_a_budget_that_never_had_a_call_and_of_one_that_stopped(start):
    one = start("budgets: [{name: prod, max_cost: 9, period: daily, alerts: {silence: 30m}}]\n")
    one.step(MINUTE, times=45)
    assert [(status, name) for status, name, _ in news()] == [("firing", "LLMBudgetSilent")]
    for _ in range(20):
        one.spend(1)
        one.step(MINUTE)
    assert [status for status, _, _ in news()] == ["resolved"]
    one.step(MINUTE, times=60)
    assert [status for status, _, _ in news()] == ["firing"]


def test_a_clock_that_is_set_back_by_an_hour_does_not_stop_the_rules(start, caplog):
    one = start(THRESHOLDS)
    one.spend(60)
    one.step()
    assert len(news()) == 1
    one.clock.now_ns -= HOUR
    one.step()
    one.spend(30)
    one.step(15 * SECOND)
    assert news() == [("firing", "LLMBudgetThreshold", "80")]
    assert "clock was set back" in caplog.text


def test_a_locked_ledger_stops_the_rules_for_that_time_only(start):
    one = start(THRESHOLDS)
    one.step()
    one.spend(60)
    store = one.engine._store
    assert store is not None
    store.close()  # as a lost connection does

    def broken(*_: object) -> None:
        raise one_error

    one_error = AlertStoreError("ledger: it is locked")
    one.engine._store = type("Broken", (), {"lead": broken, "commit": broken, "close": lambda self: None})()
    one.clock.now_ns += SECOND
    assert one.engine._tick_safely() == pytest.approx(1)
    assert one.engine.health()["spanbudget.rules.errors", "AlertStoreError"] == 1
    one.engine._store = None
    one.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
