"""The observable instruments, read through the real SDK, the Prometheus exporter and decoded OTLP."""

import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.instruments import (
    BUDGET_STATES_MAX,
    BUDGET_TOTALS,
    DERIVED,
    DURATIONS,
    EXEMPLAR_AGE_SECONDS_MAX,
    REASONS_MAX,
    BudgetInstruments,
    Point,
)
from spanbudget.exporter.prometheus import PrometheusEndpoint
from spanbudget.exporter.series import Exemplar, SeriesKey, SeriesTotal
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState, Thresholds
from spanbudget.processors.ledger import Spend
from spanbudget.processors.periods import Window

USD = names.PICO
NOW_NS = 1_800_000_000 * names.NANO
KEY = SeriesKey(
    "openai", "gpt-4o", "chat", "unknown", "ok", "exact", (("service", "shop"), ("environment", "production"))
)
ATTRIBUTES = {
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.operation.name": "chat",
    "llm.service_tier": "unknown",
    "llm.outcome": "ok",
    "llm.cost.confidence": "exact",
    "service.name": "shop",
    "deployment.environment.name": "production",
}


def state_of(
    name: str = "production", *, child: str = "", spent: int = 125, **limits: int | None
) -> BudgetState:
    return BudgetState(
        budget=name,
        child=child,
        window=Window(0, 1),
        limit_cost=limits.get("cost", 500 * USD),
        limit_tokens=limits.get("tokens"),
        limit_requests=limits.get("requests"),
        spent=Spend(cost=spent * USD, tokens=1000, requests=5),
        reserved=25 * USD,
        thresholds=Thresholds(),
        auto_suspend=False,
    )


class Readings:
    """A source in memory, which gets new spend by being flushed."""

    def __init__(self) -> None:
        self.total = SeriesTotal(3 * USD // 2, 10, 20, 30, 40, 2, Exemplar(0xA, 0xB, NOW_NS))
        self.states: list[BudgetState] = [state_of()]
        self.own_health: dict[tuple[str, str], int] = {("spanbudget.spans.merged", "response_id"): 3}
        self.totals: list[Point] = []
        self.flushes = 0

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        assert timeout_seconds < 1
        self.flushes += 1
        return True

    def series(self) -> Iterable[tuple[SeriesKey, SeriesTotal]]:
        return [(KEY, self.total)]

    def budget_states(self) -> Iterable[BudgetState]:
        return self.states

    def budget_totals(self) -> Iterable[Point]:
        return self.totals

    def health(self) -> Mapping[tuple[str, str], int]:
        return self.own_health


class Bench:
    """Instruments on a meter provider with a reader in memory."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.source = Readings()
        self.instruments = BudgetInstruments(self.provider.get_meter("spanbudget"), now_ns=lambda: now_ns)
        self.instruments.bind(self.source)

    def collect(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        ((scope,),) = [resource.scope_metrics for resource in data.resource_metrics]
        return {metric.name: metric for metric in scope.metrics}


def values(metric: Any) -> dict[tuple[tuple[str, object], ...], float]:
    return {tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points}


def test_counters_carry_every_dimension_on_each_point() -> None:
    """1.5 USD of 2 calls; four disjoint kinds of tokens."""
    metrics = Bench().collect()
    base = tuple(sorted(ATTRIBUTES.items()))
    assert values(metrics["llm.cost.usd"]) == {base: 1.5}
    assert values(metrics["llm.requests"]) == {base: 2}
    tokens = {
        point.attributes["gen_ai.token.type"]: point.value for point in metrics["llm.tokens"].data.data_points
    }
    assert tokens == {"input": 10, "cache_read": 20, "cache_write": 30, "output": 40}
    for name in ("llm.cost.usd", "llm.tokens", "llm.requests"):
        assert metrics[name].data.is_monotonic
    assert [metrics[name].unit for name in ("llm.cost.usd", "llm.tokens", "llm.requests")] == [
        "{USD}", "{token}", "{request}",
    ]  # fmt: skip


def test_gauges_show_the_state_of_each_budget() -> None:
    """500 - 125 - 25 = 350 remain; 125 / 500 = 0.25 is used."""
    metrics = Bench().collect()
    who = (("llm.budget.child", ""), ("llm.budget.name", "production"))
    shown = {name: values(metric) for name, metric in metrics.items() if name.startswith("llm.budget")}
    assert shown == {
        "llm.budget.limit.usd": {who: 500.0},
        "llm.budget.spent.usd": {who: 125.0},
        "llm.budget.reserved.usd": {who: 25.0},
        "llm.budget.remaining.usd": {who: 350.0},
        "llm.budget.utilization.ratio": {who: 0.25},
    }


def test_limits_of_tokens_and_requests_are_shown_where_a_budget_has_them() -> None:
    bench = Bench()
    bench.source.states = [state_of("tokens", cost=None, tokens=4000, requests=10)]
    metrics = bench.collect()
    shown = {
        name: next(iter(values(metric).values()))
        for name, metric in metrics.items()
        if name.startswith("llm.budget")
    }
    assert shown == {
        "llm.budget.spent.usd": 125.0,
        "llm.budget.reserved.usd": 25.0,
        "llm.budget.utilization.ratio": 0.5,
        "llm.budget.limit.tokens": 4000,
        "llm.budget.spent.tokens": 1000,
        "llm.budget.limit.requests": 10,
        "llm.budget.spent.requests": 5,
    }


def test_only_the_fullest_children_are_shown_and_the_rest_is_counted() -> None:
    bench = Bench()
    count = BUDGET_STATES_MAX + 7
    bench.source.states = [state_of(child=f"user=u{number}", spent=number) for number in range(count)]
    metrics = bench.collect()
    spent = values(metrics["llm.budget.spent.usd"])
    assert len(spent) == BUDGET_STATES_MAX
    assert min(spent.values()) == 7.0
    assert values(metrics["spanbudget.budgets.hidden"]) == {(): 7}


def test_health_becomes_self_metrics_with_a_reason_in_their_unit_and_from_0() -> None:
    bench = Bench()
    bench.source.own_health |= {
        ("spanbudget.calls.unpriced", "my-model"): 2,
        ("spanbudget.unflushed.usd", ""): USD // 4,
        ("spanbudget.unflushed.age.seconds", ""): 40_000_000,
    }
    bench.instruments.bind(bench.source, lambda: {("spanbudget.processor.failures", ""): 9})
    metrics = bench.collect()
    assert values(metrics["spanbudget.spans.merged"]) == {(("spanbudget.reason", "response_id"),): 3}
    assert values(metrics["spanbudget.calls.unpriced"]) == {(("gen_ai.response.model", "my-model"),): 2}
    assert values(metrics["spanbudget.unflushed.usd"]) == {(): 0.25}
    assert values(metrics["spanbudget.unflushed.age.seconds"]) == {(): 0.04}
    assert values(metrics["spanbudget.processor.failures"]) == {(): 9}
    assert values(metrics["spanbudget.spans.lost"]) == {(): 0}
    counters = {metric.name for metric in names.SELF_METRICS if metric.kind is names.Kind.COUNTER}
    assert counters <= metrics.keys()


def test_a_gauge_that_nobody_reports_is_not_shown_as_0() -> None:
    metrics = Bench().collect()
    assert "spanbudget.unflushed.usd" not in metrics
    assert "spanbudget.spans.lost" in metrics


def test_the_reasons_of_a_metric_are_bounded_and_those_that_are_shown_stay() -> None:
    bench = Bench()
    models = [f"model-{number}" for number in range(REASONS_MAX + 20)]
    for model in models[:REASONS_MAX]:
        bench.source.own_health["spanbudget.calls.unpriced", model] = 1
    bench.collect()
    for model in models:
        bench.source.own_health["spanbudget.calls.unpriced", model] = 2
    shown = values(bench.collect()["spanbudget.calls.unpriced"])
    assert len(shown) == REASONS_MAX + 1
    assert shown[("gen_ai.response.model", "other"),] == 40
    assert sum(shown.values()) == 2 * len(models)


def test_health_without_an_instrument_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.source.own_health["spanbudget.typo", ""] = 1
    bench.collect()
    bench.collect()
    assert [record.message for record in caplog.records if "typo" in record.message] == [
        "health() reports metrics that have no instrument: spanbudget.typo"
    ]


def test_one_collection_flushes_once_and_reads_once() -> None:
    bench = Bench()
    bench.collect()
    assert bench.source.flushes == 1


def test_a_source_can_be_taken_off_and_another_one_put_on() -> None:
    bench = Bench()
    bench.instruments.bind(None)
    assert bench.collect() == {}
    bench.instruments.bind(Readings())
    assert "llm.cost.usd" in bench.collect()


def exemplars(bench: Bench, name: str = "llm.cost.usd") -> list[Any]:
    data = bench.reader.get_metrics_data()
    assert data is not None
    message = encode_metrics(data)
    return [
        exemplar
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in (*metric.sum.data_points, *metric.gauge.data_points)
        for exemplar in point.exemplars
    ]


def test_the_encoded_metric_names_the_trace_of_a_recent_sampled_call() -> None:
    (exemplar,) = exemplars(Bench())
    assert exemplar.trace_id == (0xA).to_bytes(16, "big")
    assert exemplar.span_id == (0xB).to_bytes(8, "big")


def test_an_old_call_is_no_exemplar() -> None:
    limit_ns = EXEMPLAR_AGE_SECONDS_MAX * names.NANO
    assert exemplars(Bench(NOW_NS + limit_ns))
    assert not exemplars(Bench(NOW_NS + limit_ns + 1))


def test_a_span_that_is_active_where_metrics_are_flushed_is_no_exemplar() -> None:
    bench = Bench()
    bench.source.total = SeriesTotal(USD, requests=1)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("unrelated"):
        assert trace.get_current_span().get_span_context().trace_flags.sampled
        for name in ("llm.cost.usd", "llm.requests", "llm.budget.spent.usd", "spanbudget.spans.seen"):
            assert not exemplars(bench, name)


def otlp_receiver_name(metric: names.Metric) -> str:
    """How Prometheus' OTLP receiver spells it: annotation units are dropped, counters end in `_total`.

    Source: prometheus/otlptranslator, default strategy; `total` and `ratio` inside a name would be moved.
    """
    words = metric.name.split(".")
    assert "total" not in words
    assert "ratio" not in words[:-1]
    assert metric.unit.startswith("{")
    return "_".join(words) + ("_total" if metric.kind is names.Kind.COUNTER else "")


def test_the_scrape_endpoint_shows_the_names_that_the_otlp_receiver_makes() -> None:
    endpoint = PrometheusEndpoint(port=0)
    instruments = BudgetInstruments(endpoint.provider.get_meter("spanbudget"), now_ns=lambda: NOW_NS)
    source = Readings()
    source.states = [state_of(tokens=4000, requests=10)]
    source.own_health = {(metric.name, ""): 1 for metric in names.SELF_METRICS}
    whose = {names.BUDGET: "production"}
    source.totals = [(metric, whose, 1) for metric in BUDGET_TOTALS]
    instruments.bind(source, derived=lambda: [(metric, whose, 1.0) for metric in DERIVED])
    for metric in DURATIONS:
        instruments.record(metric, 0.7, {names.MODEL: "gpt-4o"})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    finally:
        endpoint.shutdown()
    found = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    metrics = [*names.SELF_METRICS, names.ALERTS_ACTIVE, names.COST_USD, names.TOKENS, names.REQUESTS]
    metrics += names.ANOMALY_METRICS
    metrics += [value for key, value in vars(names).items() if key.startswith("BUDGET_") and "." in str(value)
                and isinstance(value, names.Metric)]  # fmt: skip
    wanted = {otlp_receiver_name(metric) for metric in metrics if metric not in DURATIONS}
    for part in ("bucket", "sum", "count"):
        wanted |= {f"{otlp_receiver_name(metric)}_{part}" for metric in DURATIONS}
    assert wanted == found - {"target_info"}
    assert [names.prometheus_name(one) for one in metrics] == [otlp_receiver_name(one) for one in metrics]
    assert {"llm_cost_usd_total", "llm_budget_utilization_ratio", "llm_budget_remaining_usd"} <= found
    cost = next(line for line in lines if line.startswith("llm_cost_usd_total{"))
    assert 'service_name="shop"' in cost
    assert 'deployment_environment_name="production"' in cost
    assert "otel_scope" not in cost
    assert cost.endswith(" 1.5")


def test_the_scrape_endpoint_gives_its_port_back() -> None:
    first = PrometheusEndpoint(port=0)
    with pytest.raises(OSError, match="in use"):
        PrometheusEndpoint(port=first.port)
    first.shutdown()
    second = PrometheusEndpoint(port=first.port)
    second.shutdown()


def test_every_name_is_unique_and_spelled_for_both_worlds() -> None:
    metrics = [value for value in vars(names).values() if isinstance(value, names.Metric)]
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        otlp_receiver_name(metric)
        assert metric.name == metric.name.lower()
        assert metric.description
