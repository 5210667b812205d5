"""What every driver needs: tracing into a file, the instrumentations asked for, one root span a case."""

import asyncio
import importlib
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

URL = os.environ["CAPTURE_URL"]
OPENAI_URL = f"{URL}/v1"
MAX_TOKENS = 100


class JsonLines(SpanExporter):
    """Writes each finished span as a line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("a") as lines:
            lines.writelines(f"{json.dumps(as_json(span))}\n" for span in spans)
        return SpanExportResult.SUCCESS


def as_json(span: ReadableSpan) -> dict[str, Any]:
    """Returns a span in the format of the captures."""
    context, scope = span.get_span_context(), span.instrumentation_scope
    if context is None or scope is None:
        raise ValueError(f"{span.name!r} was not made by a tracer")
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "status": {"code": span.status.status_code.name, "description": span.status.description},
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "ts": event.timestamp, "attributes": dict(event.attributes or {})}
            for event in span.events
        ],
        "scope": {"name": scope.name, "version": scope.version, "schema_url": scope.schema_url},
        "resource": dict(span.resource.attributes),
    }


class StartKeys(SpanProcessor):
    """Writes which attributes each span has when it starts: all that a sampler can see."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        row = {"scope": scope, "name": span.name.split()[0], "keys": sorted(span.attributes or {})}
        with self._path.open("a") as lines:
            lines.write(f"{json.dumps(row)}\n")


def start_tracing() -> TracerProvider:
    """Sets the global tracer provider and turns on the instrumentations asked for."""
    provider = TracerProvider(resource=Resource.create({"service.name": os.environ["CAPTURE_NAME"]}))
    provider.add_span_processor(StartKeys(Path(os.environ["CAPTURE_STARTS"])))
    provider.add_span_processor(SimpleSpanProcessor(JsonLines(Path(os.environ["CAPTURE_SPANS"]))))
    trace.set_tracer_provider(provider)
    for place in filter(None, os.environ["CAPTURE_INSTRUMENTORS"].split(",")):
        module, _, name = place.partition(":")
        getattr(importlib.import_module(module), name)().instrument(tracer_provider=provider)
    return provider


@contextmanager
def case(name: str) -> Iterator[None]:
    """Runs one case under a root span; a case that fails says so and does not stop the others."""
    tracer = trace.get_tracer("testcase", "1")
    root = tracer.start_as_current_span(
        "case", attributes={"test.case": name}, record_exception=False, set_status_on_exception=False
    )
    try:
        with root:
            yield
    except Exception as error:  # noqa: BLE001 - whatever a client raises, the next case still runs
        sys.stderr.write(f"{name}: {type(error).__name__}: {str(error)[:200]}\n")
        if "err" not in name:
            traceback.print_exc(limit=-3)


def run_cases(cases: dict[str, Callable[[], object]]) -> None:
    """Runs each case under its name."""
    for name, call in cases.items():
        with case(name):
            call()


def run_async_cases(cases: dict[str, Callable[[], Awaitable[object]]]) -> None:
    """Runs each asynchronous case under its name, all on one event loop."""

    async def run() -> None:
        for name, call in cases.items():
            with case(name):
                await call()

    asyncio.run(run())
