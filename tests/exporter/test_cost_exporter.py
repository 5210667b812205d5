"""Cost on outgoing spans: on those that were counted and priced, and on no other."""

import logging
from collections.abc import Mapping, Sequence

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from spanbudget.exporter import cost_exporter
from spanbudget.exporter.cost_exporter import CostOTLPSpanExporter, CostSpanExporter
from spanbudget.processors.call import LLMCall, PricedCall, Usage


def priced_call(cost: int | None, price_id: str | None = "genai-prices:1:openai/gpt-4o") -> PricedCall:
    call = LLMCall(
        trace_id=1, span_id=1, parent_id=0, scope="s", provider="openai", model="gpt-4o",
        request_model=None, response_model=None, operation="chat", aggregate=False, tier=None,
        usage=Usage(input=1, output=1), usage_confidence="exact", reasons=(), start_ns=1, end_ns=2,
        failed=False, response_id=None, labels=(),
    )  # fmt: skip
    return PricedCall(call, cost, 0, 0, 0, 0, price_id, "unpriced" if cost is None else "exact", ())


class Charges:
    """Prices by span name, as the spans come."""

    def __init__(self, prices: Mapping[int, PricedCall]) -> None:
        self.prices = prices
        self.asked: list[tuple[int, int, float]] = []

    def charge(self, trace_id: int, span_id: int, wait_seconds: float = 0.0) -> PricedCall | None:
        self.asked.append((trace_id, span_id, wait_seconds))
        return self.prices.get(span_id)


class Broken:
    """Charges that fail."""

    def charge(self, trace_id: int, span_id: int, wait_seconds: float = 0.0) -> PricedCall | None:
        raise ZeroDivisionError(trace_id, span_id, wait_seconds)


def spans_of(*names: str, limits: SpanLimits | None = None) -> list[ReadableSpan]:
    """Finished spans of the SDK, one inside the other."""
    provider = TracerProvider(
        resource=Resource({"service.name": "shop"}), span_limits=limits, shutdown_on_exit=False
    )
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("openai", "1.2", attributes={"scope": "x"})
    link = Link(SpanContext(3, 4, is_remote=True), {"why": "retry"})
    for name in names:
        span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes={"a": 1, "b": 2}, links=[link])
        span.add_event("token", {"n": 1})
        span.set_status(Status(StatusCode.ERROR, "late"))
        span.end()
    return list(memory.get_finished_spans())


def id_of(span: ReadableSpan) -> int:
    assert span.context
    return span.context.span_id


def cost_of(span: ReadableSpan) -> dict[str, object]:
    return {key: value for key, value in (span.attributes or {}).items() if "cost" in key}


def sent(spans: Sequence[ReadableSpan], charges: object) -> tuple[ReadableSpan, ...]:
    memory = InMemorySpanExporter()
    exporter = CostSpanExporter(memory, charges)  # type: ignore[arg-type]
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    return memory.get_finished_spans()


def test_a_counted_span_tells_its_cost() -> None:
    """4_500_000 pico-USD are 0.0000045 USD."""
    (span,) = spans_of("chat")
    (out,) = sent([span], Charges({id_of(span): priced_call(4_500_000)}))
    assert cost_of(out) == {
        "gen_ai.usage.cost.amount": 0.0000045,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
        "gen_ai.usage.cost": 0.0000045,
    }


def test_a_cost_that_the_provider_reported_says_so() -> None:
    (span,) = spans_of("chat")
    (out,) = sent([span], Charges({id_of(span): priced_call(1, "reported:openrouter")}))
    assert cost_of(out)["gen_ai.usage.cost.source"] == "provider"


def test_a_call_that_cost_nothing_is_not_a_call_without_a_price() -> None:
    free, unpriced = spans_of("free", "unpriced")
    charges = Charges({id_of(free): priced_call(0), id_of(unpriced): priced_call(None, None)})
    first, second = sent([free, unpriced], charges)
    assert cost_of(first)["gen_ai.usage.cost.amount"] == 0.0
    assert second is unpriced


def test_spans_that_were_not_counted_go_out_as_they_are() -> None:
    agent, chat = spans_of("invoke_agent", "chat")
    first, second = sent([agent, chat], Charges({id_of(chat): priced_call(5)}))
    assert first is agent
    assert cost_of(second)


def test_the_copy_is_the_span_but_for_its_cost_and_the_span_is_not_changed() -> None:
    (span,) = spans_of("chat", limits=SpanLimits(max_span_attributes=1, max_events=0, max_links=0))
    before = span.to_json()
    (out,) = sent([span], Charges({id_of(span): priced_call(5)}))
    assert span.to_json() == before
    original, copied = (encode_spans([one]).resource_spans[0] for one in (span, out))
    added = copied.scope_spans[0].spans[0].attributes
    assert {item.key for item in added if item.key.startswith("gen_ai")} == set(cost_of(out))
    kept = [item for item in added if not item.key.startswith("gen_ai")]
    del added[:]
    added.extend(kept)
    assert copied == original
    assert (out.dropped_attributes, out.dropped_events, out.dropped_links) == (1, 1, 1)


def test_what_surely_is_no_call_is_not_asked_for() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.get_tracer("db").start_span("SELECT", attributes={"db.system": "postgresql"}).end()
    charges = Charges({})
    sent(memory.get_finished_spans(), charges)
    assert charges.asked == []


def test_one_batch_waits_once_however_many_spans_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 100.2, 100.6, 100.7])
    monkeypatch.setattr(cost_exporter, "monotonic", lambda: next(clock))
    charges = Charges({})
    sent(spans_of("a", "b", "c", "d"), charges)
    assert [round(wait, 3) for _, _, wait in charges.asked] == [0.5, 0.3, 0.0, 0.0]


def test_a_fault_of_ours_exports_the_original_span_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spans = spans_of("a", "b")
    memory = InMemorySpanExporter()
    exporter = CostSpanExporter(memory, Broken())
    exporter.export(spans)
    assert list(memory.get_finished_spans()) == spans
    assert exporter.failures == 2
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_result_flush_and_shutdown_are_the_delegates() -> None:
    class Delegate(SpanExporter):
        calls: list[object] = []  # noqa: RUF012 - one instance in one test

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.calls.append(len(spans))
            return SpanExportResult.FAILURE

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            self.calls.append(timeout_millis)
            return False

        def shutdown(self) -> None:
            self.calls.append("shutdown")

    exporter = CostSpanExporter(Delegate(), Charges({}))
    assert exporter.export([]) is SpanExportResult.FAILURE
    assert exporter.force_flush(5) is False
    exporter.shutdown()
    assert Delegate.calls == [0, 5, "shutdown"]


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "grpc",
        ),
    ],
)
def test_the_entry_point_wraps_the_exporter_that_the_variables_choose(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], module: str
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter = CostOTLPSpanExporter()
    assert f".{module}." in type(exporter._delegate).__module__
    assert exporter._charges.charge(1, 2) is None  # SpanBudget is off in this process
    exporter.shutdown()
