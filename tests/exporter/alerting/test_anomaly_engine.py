"""Anomalies in the engine: from spans to an alert, its episode, what metrics show, restarts and marks."""

import random
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from scene import HOUR, MINUTE, SECOND, Scene, news

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alerting.engine import CLOCK_BACK_SECONDS
from spanbudget.exporter.anomalies.events import AnomalyEvents
from spanbudget.exporter.anomalies.records import EpisodeRecord, ExpectedMark, MarkKind
from spanbudget.exporter.anomalies.watch import GRACE_MS, Watch
from spanbudget.exporter.anomalies.watcher import Watcher
from spanbudget.processors import names_out as names
from spanbudget.processors.errors import LedgerError

WATCHED = """
anomalies: {learning: 1d, signals: [spend, cost_per_request]}
budgets:
  - {name: prod, max_cost: 1000, period: monthly, alerts: {anomaly: {min_excess_usd: 1}}}
"""
SLOT = 10 * MINUTE


def past(one: Scene, slots: int = 220) -> None:
    """Two calls in every ten minutes, about 17 cents, and a rest in which the watch learns of them."""
    usual(one, slots)
    settle(one)


def usual(one: Scene, slots: int, *, steps: bool = False) -> None:
    rnd = random.Random(slots)
    for _ in range(slots):
        one.clock.now_ns += SLOT
        for _ in range(2):
            one.spend(rnd.randint(5, 12))
        if steps:
            one.step()


def settle(one: Scene) -> None:
    one.step(GRACE_MS * 10**6)
    one.step(SECOND)
    while watch_of(one).is_behind:
        one.step(SECOND)
    news()


def watcher_of(one: Scene) -> Watcher:
    lead = one.engine._lead
    assert lead is not None
    assert lead.watcher is not None
    return lead.watcher


def watch_of(one: Scene) -> Watch:
    return watcher_of(one).watch


def runaway(one: Scene, times: int = 20, model: str = "gpt-4o") -> None:
    for _ in range(times):
        one.spend(10, model)


def kept(one: Scene, *, total: bool = True) -> list[EpisodeRecord]:
    store = open_alert_store(one.config.ledger.url)
    found = [episode for episode in store.anomalies.episodes() if not episode.series.dimension or not total]
    store.close()
    return found


def mark(one: Scene, kind: MarkKind, since_ns: int, until_ns: int) -> None:
    store = open_alert_store(one.config.ledger.url)
    told = ExpectedMark(
        f"{kind}-1", kind, {"budget": "prod"}, "", "", since_ns // 10**6, until_ns // 10**6, 0
    )
    store.anomalies.mark(told)
    store.close()


def test_a_runaway_alerts_once_within_seconds_and_says_who_made_it(start):
    one = start(WATCHED)
    past(one)
    runaway(one)
    one.step()
    assert news() == [("firing", "LLMCostAnomaly", "")]
    (episode,) = kept(one)
    assert (episode.signal, episode.end_ms) == ("spend", None)
    assert {"model", "service", "operation"} == {who.dimension for who in episode.contributors}
    assert episode.excess_usd == pytest.approx(
        sum(who.excess_usd for who in episode.contributors) / 3, rel=0.1
    )
    for _ in range(20):
        runaway(one)
        one.step(3 * MINUTE)
    assert news() == []
    usual(one, 50, steps=True)
    assert news() == [("resolved", "LLMCostAnomaly", "")]
    (ended,) = kept(one)
    assert ended.id == episode.id
    assert ended.end_ms is not None
    assert (ended.excess_usd or 0) > 30


def test_without_rules_the_watch_works_and_metrics_show_it(start):
    one = start(
        "anomalies: {enabled: true, learning: 1d}\nbudgets: [{name: prod, max_cost: 9, period: daily}]\n"
    )
    past(one)
    runaway(one)
    one.step()
    points = {}
    for metric, attributes, value in one.engine.derived():
        if metric in names.ANOMALY_METRICS and not attributes.get(names.ANOMALY_DIMENSION):
            at = attributes.get(names.ANOMALY_BOUND) or attributes.get(names.ANOMALY_STATUS) or ""
            points[metric, at] = value
            assert attributes[names.BUDGET] == "prod"
            assert attributes[names.ANOMALY_SIGNAL] == "spend"
    assert points[names.ANOMALY_SCORE, ""] > 1
    assert points[names.ANOMALY_EXCESS_USD, ""] > 1
    assert points[names.ANOMALY_STATE, "anomalous"] == 1
    low, expected, high = (points[names.ANOMALY_EXPECTED_USD, bound] for bound in ("low", "expected", "high"))
    assert 0 < expected < high
    assert 0 <= low < high
    health = one.engine.health()
    assert health[names.ANOMALIES_SERIES.name, ""] == 3
    assert health[names.ANOMALIES_OPEN.name, "spend"] == 3
    assert health[names.ANOMALIES_LEFT_OUT.name, ""] == health[names.ANOMALIES_BEHIND.name, ""] == 0


def test_nothing_is_watched_where_nobody_asked(start):
    one = start("budgets: [{name: prod, max_cost: 1, period: daily, alerts: {thresholds: [50]}}]\n")
    one.step()
    lead = one.engine._lead
    assert lead is not None
    assert lead.watcher is None


def test_begin_and_end_are_log_events_told_once(start):
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    one = start(WATCHED)
    past(one)
    watcher_of(one).events = AnomalyEvents(provider.get_logger("spanbudget"))
    runaway(one)
    one.step()
    one.step()
    usual(one, 50, steps=True)
    records = [log.log_record for log in exporter.get_finished_logs()]
    all_told: list[Any] = [record.attributes for record in records]
    told = [attributes for attributes in all_told if names.ANOMALY_DIMENSION not in attributes]
    assert [one["spanbudget.anomaly.change"] for one in told] == ["started", "ended"]
    assert {record.event_name for record in records} == {"spanbudget.anomaly"}
    assert told[0]["spanbudget.anomaly.id"] == told[1]["spanbudget.anomaly.id"] == kept(one)[0].id
    assert any("model gpt-4o +$" in text for text in told[0]["spanbudget.anomaly.contributors"])
    assert told[0]["spanbudget.anomaly.excess.usd"] > 1
    provider.shutdown()


def test_after_a_kill_the_episode_goes_on_and_nobody_is_told_again(start):
    first = start(WATCHED)
    past(first)
    runaway(first)
    first.step()
    assert len(news()) == 1
    (before,) = kept(first)
    first.vanish()
    first.clock.now_ns += 25 * MINUTE
    second = start(clock=first.clock)
    settle(second)
    runaway(second)
    second.step()
    assert news() == []
    (after,) = kept(second)
    assert (after.id, after.start_ms, after.end_ms) == (before.id, before.start_ms, None)


def test_what_was_learnt_survives_the_end_and_the_past_is_not_read_again(start):
    first = start(WATCHED)
    past(first)
    first.stop()
    second = start(clock=first.clock)
    second.step(20 * SECOND)
    assert not watch_of(second).is_behind
    runaway(second)
    second.step()
    assert news() == [("firing", "LLMCostAnomaly", "")]


def test_a_time_that_is_expected_while_it_alerts_ends_the_alert(start):
    one = start(WATCHED)
    past(one)
    runaway(one)
    one.step()
    assert len(news()) == 1
    mark(one, "expected", one.clock.now_ns - HOUR, one.clock.now_ns + 3 * HOUR)
    one.step(2 * SECOND)
    for _ in range(20):
        runaway(one)
        one.step(2 * MINUTE)
    assert news() == [("resolved", "LLMCostAnomaly", "")]


def test_a_time_ahead_that_is_expected_alerts_nobody(start):
    one = start(WATCHED)
    past(one)
    mark(one, "expected", one.clock.now_ns + HOUR, one.clock.now_ns + 3 * HOUR)
    one.clock.now_ns += 2 * HOUR
    settle(one)
    runaway(one)
    one.step()
    assert news() == []


def test_another_process_goes_on_where_the_leader_was(start):
    leader = start(WATCHED)
    past(leader)
    other = start(clock=leader.clock)
    leader.vanish()
    other.clock.now_ns += 20 * SECOND
    settle(other)
    runaway(other)
    other.step()
    assert news() == [("firing", "LLMCostAnomaly", "")]


def test_a_ledger_that_fails_costs_no_episode_and_no_second_alert(start, monkeypatch):
    one = start(WATCHED)
    past(one)
    runaway(one)
    one.step()
    assert len(news()) == 1
    reader = watch_of(one)._reader

    def fails(*_: object, **__: object) -> None:
        raise LedgerError("ledger x: the disk is gone; look at the system's log")

    monkeypatch.setattr(reader, "tallies_after", fails)
    runaway(one, 2)
    one.clock.now_ns += SECOND
    one.engine._tick_safely()
    assert one.engine._lead is None
    settle(one)
    runaway(one, 2)
    one.step()
    assert news() == []
    assert [episode.end_ms for episode in kept(one)] == [None]


def test_a_clock_that_was_set_back_does_no_harm(start):
    one = start(WATCHED)
    past(one)
    one.clock.now_ns -= int(CLOCK_BACK_SECONDS + 3 * 3_600) * SECOND
    settle(one)
    one.step(MINUTE, times=5)
    assert news() == []
    one.clock.now_ns += 3 * HOUR + 10 * MINUTE
    settle(one)
    runaway(one)
    one.step()
    assert news() == [("firing", "LLMCostAnomaly", "")]
