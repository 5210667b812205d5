"""A runaway in a real process, told to a real server; the process is killed, and another one goes on."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from alerted_programs import Told, programs, receiver, until, webhook, written
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.anomalies.records import EpisodeRecord
from spanbudget.exporter.config import load_config
from spanbudget.exporter.wiring import open_pipeline

BUDGET = "{name: all, max_cost: 1000, period: total, alerts: {anomaly: {min_excess_usd: 2, learning: 6h}}}"
NS = 10**9


def with_past(config: Path, hours: int = 30) -> None:
    """A call or two of about 10 cents in every ten minutes until now."""
    pipeline = open_pipeline(load_config(config))
    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")
    now_ns, rnd = time.time_ns(), random.Random(2)
    for minute in range(hours * 60, 0, -6):
        end_ns = now_ns - minute * 60 * NS
        span = tracer.start_span("chat", start_time=end_ns - NS)
        span.set_attribute("gen_ai.system", "openai")
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.response.model", "gpt-4o")
        span.set_attribute("gen_ai.usage.input_tokens", 0)
        span.set_attribute("gen_ai.usage.output_tokens", rnd.randint(8_000, 12_000))
        span.end(end_time=end_ns)
        pipeline.observe(span)  # type: ignore[arg-type]
    pipeline.shutdown()


def told_of(told: Told) -> list[tuple[str, str]]:
    first = {id_: body for _, id_, body in told.letters}
    return [
        (alert["status"], alert["labels"]["alertname"]) for body in first.values() for alert in body["alerts"]
    ]


def totals(folder: Path) -> list[EpisodeRecord]:
    store = open_alert_store(f"sqlite:///{folder}/ledger.db")
    found = [one for one in store.anomalies.episodes() if not one.series.dimension]
    store.close()
    return found


def test_a_runaway_is_told_once_and_its_episode_survives_kill_9(tmp_path):
    with receiver() as told, programs(written(tmp_path, webhook(told.port), budget=BUDGET)) as start:
        with_past(tmp_path / "budgets.yaml")
        first = start()
        first.spend(100)
        until(lambda: told_of(told) == [("firing", "LLMCostAnomaly")])
        (before,) = totals(tmp_path)
        assert (before.signal, before.end_ms) == ("spend", None)
        assert {("model", "gpt-4o"), ("operation", "chat")} <= {one[:2] for one in before.contributors}
        first.kill()
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:  # as after 15 seconds
            connection.execute("UPDATE alert_lease SET expires_ns = 0")
            connection.commit()
        second = start()
        second.spend(100)
        until(second.leads)
        second.spend(100)
        second.end()
        (after,) = totals(tmp_path)
        assert (after.id, after.end_ms) == (before.id, None)
        assert told_of(told) == [("firing", "LLMCostAnomaly")]
