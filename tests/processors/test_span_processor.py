"""The span processor at the border to the application's thread."""

import asyncio

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from spanbudget.processors.span_processor import BudgetSpanProcessor


class Basket:
    """A sink in memory."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.spans: list[ReadableSpan] = []
        self.flushed: list[float] = []
        self.stopped = 0
        self.fault = fault

    def observe(self, span: ReadableSpan) -> None:
        if self.fault:
            raise self.fault
        self.spans.append(span)

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        if self.fault:
            raise self.fault
        self.flushed.append(timeout_seconds)
        return True

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        if self.fault:
            raise self.fault
        self.stopped += timeout_seconds > 0


def tracer_of(processor: BudgetSpanProcessor) -> tuple[TracerProvider, trace.Tracer]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider, provider.get_tracer("test")


def test_a_finished_span_reaches_the_sink() -> None:
    sink = Basket()
    _, tracer = tracer_of(BudgetSpanProcessor(sink))
    with tracer.start_as_current_span("chat"):
        assert not sink.spans
    assert [span.name for span in sink.spans] == ["chat"]


def test_a_fault_of_the_sink_is_counted_and_reported_and_never_reaches_the_application() -> None:
    told: list[tuple[Exception, int]] = []
    fault = ValueError("no")
    processor = BudgetSpanProcessor(Basket(fault), report=lambda failure, n: told.append((failure, n)))
    provider, tracer = tracer_of(processor)
    later = Basket()
    provider.add_span_processor(BudgetSpanProcessor(later))
    for _ in range(2):
        tracer.start_span("chat").end()
    assert processor.failures == 2
    assert told == [(fault, 1), (fault, 2)]
    assert len(later.spans) == 2


def test_a_fault_is_raised_where_tests_ask_for_it() -> None:
    processor = BudgetSpanProcessor(Basket(ValueError("no")), reraise=True)
    _, tracer = tracer_of(processor)
    with pytest.raises(ValueError, match="no"):
        tracer.start_span("chat").end()
    assert processor.failures == 1


def test_flush_and_shutdown_are_passed_on() -> None:
    sink = Basket()
    provider, _ = tracer_of(BudgetSpanProcessor(sink))
    assert provider.force_flush(2500)
    assert sink.flushed == [pytest.approx(2.5, abs=0.1)]
    provider.shutdown()
    assert sink.stopped == 1


def test_a_failing_flush_says_so_and_a_failing_shutdown_lets_the_others_stop() -> None:
    processor = BudgetSpanProcessor(Basket(RuntimeError("disk")))
    provider, _ = tracer_of(processor)
    later = Basket()
    provider.add_span_processor(BudgetSpanProcessor(later))
    assert provider.force_flush() is False
    provider.shutdown()
    assert later.stopped == 1
    assert processor.failures == 2


def test_configured_baggage_of_the_parent_context_becomes_an_attribute() -> None:
    sink = Basket()
    _, tracer = tracer_of(BudgetSpanProcessor(sink, ["team", "user.id", "absent"]))
    context = baggage.set_baggage("team", "search", baggage.set_baggage("user.id", 7, Context()))
    context = baggage.set_baggage("secret", "x", context)
    tracer.start_span("chat", context=context).end()
    assert dict(sink.spans[0].attributes or {}) == {"team": "search", "user.id": "7"}


def test_an_attribute_of_the_span_goes_before_baggage() -> None:
    sink = Basket()
    _, tracer = tracer_of(BudgetSpanProcessor(sink, ["team"]))
    context = baggage.set_baggage("team", "search", Context())
    tracer.start_span("chat", context=context, attributes={"team": "ads"}).end()
    assert dict(sink.spans[0].attributes or {}) == {"team": "ads"}


def test_baggage_follows_each_task_of_an_event_loop() -> None:
    sink = Basket()
    _, tracer = tracer_of(BudgetSpanProcessor(sink, ["user.id"]))

    async def call(user: str) -> None:
        context = baggage.set_baggage("user.id", user)
        with tracer.start_as_current_span(user, context=context):
            await asyncio.sleep(0)

    async def calls() -> None:
        await asyncio.gather(*(call(f"u{number}") for number in range(20)))

    asyncio.run(calls())
    assert len(sink.spans) == 20
    assert all((span.attributes or {})["user.id"] == span.name for span in sink.spans)


def test_without_keys_the_context_is_not_looked_at() -> None:
    processor = BudgetSpanProcessor(Basket(), reraise=True)
    processor.on_start(None, parent_context="not a context")  # type: ignore[arg-type]
    assert processor.failures == 0


def test_baggage_that_cannot_be_copied_does_not_reach_the_application() -> None:
    processor = BudgetSpanProcessor(Basket(), ["team"])
    processor.on_start(None, parent_context=baggage.set_baggage("team", "a"))  # type: ignore[arg-type]
    assert processor.failures == 1
