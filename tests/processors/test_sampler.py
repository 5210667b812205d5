"""The recording sampler: budgets see every span that may be a call, exporters see what they saw before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import TraceState

from spanbudget.processors.dialects import LLM_MARKS, SPELLINGS, Field
from spanbudget.processors.sampler import RecordingSampler
from spanbudget.processors.span_processor import BudgetSpanProcessor

DELEGATES: list[Sampler] = [
    ALWAYS_ON,
    ALWAYS_OFF,
    TraceIdRatioBased(0.3),
    ParentBased(ALWAYS_OFF),
    ParentBased(TraceIdRatioBased(0.3)),
    ParentBased(ALWAYS_ON),
]
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
DATABASE = {"db.system": "postgresql"}


class SeededIds(RandomIdGenerator):
    """Ids that come out the same for the same seed."""

    def __init__(self) -> None:
        self._next = 1

    def generate_span_id(self) -> int:
        self._next += 1
        return self._next

    def generate_trace_id(self) -> int:
        self._next += 1
        return (self._next * 0x9E3779B97F4A7C15F39CC0605CEDC835) & (2**128 - 1) or 1


class Seen:
    """A sink in memory."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, object]]] = []

    def observe(self, span: object) -> None:
        attributes: Mapping[str, object] = span.attributes  # type: ignore[attr-defined]
        self.spans.append((span.name, dict(attributes)))  # type: ignore[attr-defined]

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        return timeout_seconds > 0

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        assert timeout_seconds > 0


def run(sampler: Sampler, parent: SpanContext | None) -> tuple[list[str], Seen]:
    """Makes 60 traces of a handler, a chat call in it and a database call in that."""
    provider = TracerProvider(sampler=sampler, id_generator=SeededIds(), shutdown_on_exit=False)
    exporter, seen = InMemorySpanExporter(), Seen()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(BudgetSpanProcessor(seen, reraise=True))
    tracer = provider.get_tracer("app")
    context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else Context()
    for _ in range(60):
        with (
            tracer.start_as_current_span("GET /", context, SpanKind.SERVER, {"http.request.method": "GET"}),
            tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=CHAT),
            tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=DATABASE),
        ):
            pass
    return [span.to_json() for span in exporter.get_finished_spans()], seen


def parent_of(*, sampled: bool, remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    state = TraceState([("vendor", "7")])
    return SpanContext(0xABCDEF, 0x1234, is_remote=remote, trace_flags=flags, trace_state=state)


PARENTS = [
    None,
    parent_of(sampled=False, remote=True),
    parent_of(sampled=True, remote=True),
    parent_of(sampled=False, remote=False),
]


def without_times(spans: Sequence[str]) -> list[str]:
    return ["".join(line for line in span.splitlines() if "_time" not in line) for span in spans]


@pytest.mark.parametrize("parent", PARENTS, ids=["root", "remote-off", "remote-on", "local-off"])
@pytest.mark.parametrize("delegate", DELEGATES, ids=lambda sampler: sampler.get_description()[:40])
def test_exported_spans_stay_what_the_delegate_exports(delegate: Sampler, parent: SpanContext | None) -> None:
    plain, _ = run(delegate, parent)
    wrapped, seen = run(RecordingSampler(delegate), parent)
    assert without_times(wrapped) == without_times(plain)
    chats = [attributes for name, attributes in seen.spans if name == "chat gpt-4o"]
    assert chats == [CHAT] * 60


def test_a_dropped_call_keeps_its_start_attributes_and_its_trace_state() -> None:
    parent = trace.set_span_in_context(NonRecordingSpan(parent_of(sampled=False, remote=True)))
    result = RecordingSampler(ALWAYS_OFF).should_sample(parent, 1, "chat", SpanKind.CLIENT, CHAT)
    assert result.decision is Decision.RECORD_ONLY
    assert dict(result.attributes or {}) == CHAT
    assert result.trace_state == TraceState([("vendor", "7")])


def test_a_database_span_stays_dropped() -> None:
    result = RecordingSampler(ALWAYS_OFF).should_sample(None, 1, "SELECT", SpanKind.CLIENT, DATABASE)
    assert result.decision is Decision.DROP


def test_a_span_without_start_attributes_cannot_be_ruled_out() -> None:
    result = RecordingSampler(ALWAYS_OFF).should_sample(None, 1, "work", SpanKind.INTERNAL)
    assert result.decision is Decision.RECORD_ONLY


def test_a_sampled_span_keeps_the_delegates_very_result() -> None:
    class Marks(Sampler):
        given = SamplingResult(Decision.RECORD_AND_SAMPLE, {"rule": "7"}, TraceState([("a", "b")]))

        def should_sample(self, *given: object) -> SamplingResult:  # type: ignore[override]
            assert len(given) == 6  # as older samplers take it, without a trace state
            return self.given

        def get_description(self) -> str:
            return "Marks"

    sampler = RecordingSampler(Marks())
    assert sampler.should_sample(None, 1, "chat") is Marks.given
    assert sampler.get_description() == "RecordingSampler{Marks}"


def test_attributes_of_a_sampler_that_drops_go_before_those_of_the_start() -> None:
    class Dropping(Sampler):
        def should_sample(self, *_given: object) -> SamplingResult:  # type: ignore[override]
            return SamplingResult(Decision.DROP, {"rule": "never", "gen_ai.request.model": "hidden"})

        def get_description(self) -> str:
            return "Dropping"

    result = RecordingSampler(Dropping()).should_sample(None, 1, "chat", SpanKind.CLIENT, CHAT)
    assert dict(result.attributes or {}) == {**CHAT, "rule": "never", "gen_ai.request.model": "hidden"}


def test_a_predicate_narrows_what_is_recorded() -> None:
    sampler = RecordingSampler(ALWAYS_OFF, predicate=lambda name, _kind, _attributes: name == "chat")
    assert sampler.should_sample(None, 1, "chat").decision is Decision.RECORD_ONLY
    assert sampler.should_sample(None, 1, "work").decision is Decision.DROP
    assert sampler.should_sample(None, 1, "chat", None, DATABASE).decision is Decision.DROP


def test_a_predicate_that_raises_narrows_nothing_and_is_counted() -> None:
    def broken(name: str, kind: SpanKind | None, attributes: Mapping[str, object]) -> bool:
        raise KeyError(name)

    sampler = RecordingSampler(ALWAYS_OFF, predicate=broken)
    assert sampler.should_sample(None, 1, "work").decision is Decision.RECORD_ONLY
    assert sampler.failures == 1


CAPTURES = Path(__file__).parents[1] / "captures" / "data"
USAGE = {
    spelling
    for field in (Field.INPUT, Field.OUTPUT, Field.TOTAL, Field.CACHE_READ, Field.USAGE_TEXT)
    for spelling in SPELLINGS[field]
}


def captured_calls() -> Iterator[tuple[str, SpanKind, dict[str, str]]]:
    """Every captured span with usage."""
    for path in sorted(CAPTURES.glob("*.jsonl")):
        if path.name.endswith(".expected.jsonl"):
            continue
        for line in path.read_text().splitlines():
            span = json.loads(line)
            if USAGE & span["attributes"].keys():
                yield span["name"], SpanKind[span["kind"]], span["attributes"]


def test_no_captured_call_is_missed_whatever_of_its_attributes_are_known_at_the_start() -> None:
    """Captures show attributes at the end; at the start there may be all, none, or only those not of LLMs."""
    sampler = RecordingSampler(ALWAYS_OFF)
    calls = list(captured_calls())
    assert len(calls) > 100
    for name, kind, attributes in calls:
        plain = {key: value for key, value in attributes.items() if not key.startswith(LLM_MARKS)}
        for start in ({}, plain, attributes):
            assert sampler.should_sample(None, 1, name, kind, start).decision is Decision.RECORD_ONLY, name
