"""Instrumentations trace to the program's provider, whenever it comes."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from spanbudget.exporter.runs.late_tracing import LateTracerProvider


@pytest.fixture
def _no_global_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry lets a provider be set once; the one of the test must not stay."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())


def recording() -> tuple[TracerProvider, InMemorySpanExporter]:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@pytest.mark.usefixtures("_no_global_provider")
def test_spans_go_to_the_other_provider_until_the_program_has_its_own() -> None:
    ours, to_ours = recording()
    theirs, to_theirs = recording()
    tracer = trace.get_tracer("lib", "1.0", LateTracerProvider(ours))
    with tracer.start_as_current_span("before"):
        tracer.start_span("inside").end()
    trace.set_tracer_provider(theirs)
    with tracer.start_as_current_span("after"):
        pass
    assert [span.name for span in to_ours.get_finished_spans()] == ["inside", "before"]
    (after,) = to_theirs.get_finished_spans()
    assert after.name == "after"
    assert after.instrumentation_scope is not None
    assert (after.instrumentation_scope.name, after.instrumentation_scope.version) == ("lib", "1.0")
