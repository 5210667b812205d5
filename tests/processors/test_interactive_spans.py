"""Whether somebody waits: what spans inherit from those around them, with a real SDK."""

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from spanbudget.processors.interactive import InteractiveSpans
from spanbudget.processors.span_processor import BudgetSpanProcessor
from spanbudget.processors.spans import SpanRecord, record_of


class Kept:
    """A sink that keeps what each span was, in the order of their ends."""

    def __init__(self, known: InteractiveSpans) -> None:
        self.known = known
        self.records: dict[str, SpanRecord] = {}

    def observe(self, span):
        self.records[span.name] = record_of(span, self.known.ended)

    def flush(self, timeout_seconds=30.0):
        return True

    def shutdown(self, timeout_seconds=30.0):
        pass


@pytest.fixture
def kept():
    return Kept(InteractiveSpans())


@pytest.fixture
def tracer(kept):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BudgetSpanProcessor(kept, reraise=True, interactive=kept.known))
    return provider.get_tracer("test")


def nested(tracer, *outer, context=None):
    """Makes a call inside spans of these kinds, the outermost first."""
    if not outer:
        tracer.start_span("call", context=context).end()
        return
    first, *inner = outer
    kind, attributes = (first, {}) if isinstance(first, SpanKind) else (SpanKind.INTERNAL, first)
    with tracer.start_as_current_span(
        f"outer {len(inner)}", context=context, kind=kind, attributes=attributes
    ):
        nested(tracer, *inner)


SERVER, CONSUMER, INTERNAL = SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.INTERNAL
NOBODY, SOMEBODY = {"spanbudget.interactive": False}, {"spanbudget.interactive": True}


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        ((), None),
        ((INTERNAL,), None),
        ((SpanKind.CLIENT,), None),
        ((SERVER,), True),
        ((SERVER, INTERNAL, INTERNAL), True),
        ((CONSUMER,), False),
        ((CONSUMER, INTERNAL), False),
        ((SERVER, CONSUMER), False),
        ((CONSUMER, SERVER, INTERNAL), True),
        ((NOBODY,), False),
        ((SERVER, NOBODY), False),
        ((CONSUMER, SOMEBODY, INTERNAL), True),
    ],
)
def test_the_nearest_span_that_tells_decides(kept, tracer, outer, expected):
    nested(tracer, *outer)
    assert kept.records["call"].interactive is expected


def test_a_remote_parent_tells_nothing_and_the_local_root_does(kept, tracer):
    remote = NonRecordingSpan(SpanContext(5, 7, is_remote=True, trace_flags=TraceFlags(1)))
    context = trace.set_span_in_context(remote, Context())
    nested(tracer, context=context)
    assert kept.records["call"].interactive is None
    nested(tracer, SERVER, context=context)
    assert kept.records["call"].interactive is True


def test_baggage_crosses_processes_and_goes_before_kinds(kept, tracer):
    context = baggage.set_baggage("spanbudget.interactive", "false", Context())
    nested(tracer, SERVER, context=context)
    assert kept.records["outer 0"].interactive is False
    nested(tracer, context=context)
    assert kept.records["call"].interactive is False


def test_what_ended_is_forgotten(kept, tracer):
    for _ in range(10):
        nested(tracer, SERVER, INTERNAL)
    assert not kept.known


def test_spans_that_never_end_are_bounded(kept, tracer, monkeypatch):
    monkeypatch.setattr("spanbudget.processors.interactive.GENERATION_MAX", 50)
    started = [tracer.start_span(f"{number}", kind=SERVER) for number in range(500)]
    known = [kept.known.known(span.context.span_id) for span in started]
    assert known[-50:] == [True] * 50
    assert 50 <= known.count(True) <= 100
    nested(tracer, SERVER)
    assert kept.records["call"].interactive is True


def test_a_processor_without_it_takes_no_note(kept):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BudgetSpanProcessor(kept, reraise=True))
    nested(provider.get_tracer("test"), SERVER)
    assert kept.records["call"].interactive is None
