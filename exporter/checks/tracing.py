"""Is a call still seen that head sampling drops, and is the processor where nothing can starve it?"""

from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from spanbudget.exporter.attachment import Attachment
from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.config import Config
from spanbudget.processors.sampler import RecordingSampler
from spanbudget.processors.span_processor import BudgetSpanProcessor

AREA: Final = "spans"
_CALL: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}


class _Seen:
    """A sink that keeps spans."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def observe(self, span: ReadableSpan) -> None:
        self.spans.append(span)

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        return timeout_seconds >= 0

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """There is nothing to stop."""


def check_tracing(config: Config) -> Iterator[Finding]:
    """Attaches to a tracer provider as `instrument` does: one that samples nothing and was used before."""
    seen, exporter = _Seen(), InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(0.0)), resource=Resource.get_empty(), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("spanbudget.doctor")
    processor = BudgetSpanProcessor(seen)
    recorded = config.sampling.record_unsampled
    attachment = Attachment(provider, processor, record_unsampled=recorded)
    with tracer.start_as_current_span("chat gpt-4o", attributes=_CALL):
        pass
    exported = len(exporter.get_finished_spans())
    order: Sequence[SpanProcessor] = provider._active_span_processor._span_processors  # noqa: SLF001 - as `Attachment`
    samplers = [provider.sampler, getattr(tracer, "sampler", None)]
    attachment.detach()
    yield _sampling(len(seen.spans), exported, recorded=recorded)
    yield _sampler_order(samplers, recorded=recorded)
    yield _processor_order(order, processor)


def _sampling(seen: int, exported: int, *, recorded: bool) -> Finding:
    numbers = {"sampling_ratio": 0.0, "made": 1, "counted": seen, "exported": exported}
    if not recorded:
        told = "sampling.record_unsampled is false: calls that head sampling drops are not counted"
        return Finding(AREA, "head sampling", "warn", told, numbers)
    if (seen, exported) != (1, 0):
        told = f"of 1 call at a sampling ratio of 0, {seen} counted and {exported} exported; must be 1 and 0"
        return Finding(AREA, "head sampling", "fail", told, numbers)
    told = "a call that head sampling drops (ratio 0) is counted, and not exported"
    return Finding(AREA, "head sampling", "pass", told, numbers)


def _sampler_order(samplers: Sequence[object], *, recorded: bool) -> Finding:
    outermost = all(isinstance(one, RecordingSampler) for one in samplers)
    first = samplers[0]
    shown = type(first).__name__
    if isinstance(first, RecordingSampler):
        shown += f" around {type(first.delegate).__name__}"
    if outermost or not recorded:
        return Finding(AREA, "sampler", "pass", f"outermost, for tracers made before too: {shown}")
    told = (
        f"RecordingSampler is not outermost: {shown}; call spanbudget.instrument() after the sampler is set"
    )
    return Finding(AREA, "sampler", "fail", told)


def _processor_order(order: Sequence[SpanProcessor], processor: SpanProcessor) -> Finding:
    names = " → ".join(type(one).__name__ for one in order)
    if order and order[0] is processor:
        return Finding(AREA, "processor", "pass", f"first, so that no other can starve it: {names}")
    return Finding(AREA, "processor", "fail", f"not first, another one that raises would starve it: {names}")
