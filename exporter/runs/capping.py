"""Caps this process: its calls are guarded and counted, its traces are left to the program."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import wrapt
from opentelemetry import trace
from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.attachment import SpanSource
from spanbudget.exporter.instrument import instrument
from spanbudget.exporter.runs.late_tracing import LateTracerProvider
from spanbudget.exporter.runs.start import INSTRUMENTORS

_AUTOMATIC: Final = "opentelemetry.instrumentation.auto_instrumentation"


def cap_process() -> None:
    """Guards the calls of this process, and counts those that it traces.

    Spans go to the program's own tracer provider where it has one, now or later; else to one of ours, which
    exports nothing.

    Raises:
        SpanBudgetError: The configuration or the ledger of the run cannot be used.
    """
    own = TracerProvider(shutdown_on_exit=False)
    instrument(tracer_provider=own, guard=True)
    theirs = trace.get_tracer_provider()
    if isinstance(theirs, SpanSource):
        instrument(tracer_provider=theirs, guard=True)
    wrapt.wrap_function_wrapper("opentelemetry.sdk.trace", "TracerProvider.__init__", _attached)
    if _AUTOMATIC not in sys.modules:  # it loads all instrumentations itself
        late = LateTracerProvider(own)
        for sdk in INSTRUMENTORS:
            wrapt.register_post_import_hook(partial(_load, late), sdk)


def _attached(
    make: Callable[..., None],
    provider: TracerProvider,
    arguments: tuple[Any, ...],
    options: Mapping[str, Any],
) -> None:
    """Counts the spans of each tracer provider that the program makes."""
    make(*arguments, **options)
    instrument(tracer_provider=provider, guard=True)


def _load(tracers: trace.TracerProvider, sdk: Any) -> None:
    """Turns on the instrumentations of an SDK that fit it and that the program does not use itself."""
    names = INSTRUMENTORS[sdk.__name__]
    for entry in entry_points(group="opentelemetry_instrumentor"):
        if entry.name in names and entry.module not in sys.modules and not _conflicts(entry):
            instrumentor = entry.load()()
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(tracer_provider=tracers)


def _conflicts(entry: EntryPoint) -> bool:
    return entry.dist is not None and get_dist_dependency_conflicts(entry.dist) is not None
