"""The span processor: hands each finished span over in O(1), and never lets a fault reach the application."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from spanbudget.processors.interactive import InteractiveSpans


class Sink(Protocol):
    """Where finished spans go."""

    def observe(self, span: ReadableSpan) -> None:
        """Takes a span over in O(1), without waiting."""
        ...

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Waits until everything observed so far is safe; False where that took too long."""
        ...

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Flushes and stops."""
        ...


def _ignore(failure: Exception, failures: int) -> None:
    """Reports nothing; `BudgetSpanProcessor.failures` has the count."""


def _no_labels(_: Context | None) -> Mapping[str, str]:
    """Gives no labels."""
    return {}


def _not_told(_: Span) -> None:
    """Takes note of nothing."""


class BudgetSpanProcessor(SpanProcessor):
    """Hands the finished spans of a tracer provider to a sink.

    The SDK calls a processor on the application's thread and lets its exceptions through, so the one broad
    `except` of this project stands here: it counts, reports and goes on.

    Args:
        sink: Where finished spans go.
        baggage_keys: Baggage entries that are copied from the parent context onto each span that starts,
            unless the span has an attribute of that name; so a budget can select by what the entry point
            knew.
        reraise: True lets faults through after they were counted; for tests.
        report: Told of each fault and of their number so far; the shell logs the first.
        labels: Gives attributes for each span that starts in a context, unless the span has them.
        started: Told of each span that starts.
        interactive: Remembers for which spans somebody waits.

    Attributes:
        failures: Faults so far.
    """

    def __init__(
        self,
        sink: Sink,
        baggage_keys: Sequence[str] = (),
        *,
        reraise: bool = False,
        report: Callable[[Exception, int], None] = _ignore,
        labels: Callable[[Context | None], Mapping[str, str]] = _no_labels,
        started: Callable[[Span], None] = _not_told,
        interactive: InteractiveSpans | None = None,
    ) -> None:
        self.failures = 0
        self._sink = sink
        self._observe = sink.observe
        self._baggage_keys = tuple(baggage_keys)
        self._reraise = reraise
        self._report = report
        self._labels = labels
        self._started = started
        self._interactive = interactive

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copies the configured baggage and the labels of the context onto the span, and takes note of it."""
        try:
            if self._baggage_keys:
                self._copy_baggage(span, parent_context)
            if labels := self._labels(parent_context):
                present = span.attributes or {}
                span.set_attributes({key: labels[key] for key in labels if key not in present})
            self._started(span)
            if self._interactive is not None:
                self._interactive.started(span, parent_context)
        except Exception as failure:  # noqa: BLE001 - the border to the application's thread
            self._failed(failure)

    def on_end(self, span: ReadableSpan) -> None:
        """Hands the span over."""
        try:
            self._observe(span)
        except Exception as failure:  # noqa: BLE001 - the border to the application's thread
            self._failed(failure)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Waits until every span handed over so far is safe; False where that took too long or failed."""
        try:
            return self._sink.flush(timeout_millis / 1000)
        except Exception as failure:  # noqa: BLE001 - a fault must not keep other processors from flushing
            self._failed(failure)
            return False

    def shutdown(self) -> None:
        """Flushes and stops the sink."""
        try:
            self._sink.shutdown()
        except Exception as failure:  # noqa: BLE001 - a fault must not keep other processors from stopping
            self._failed(failure)

    def _copy_baggage(self, span: Span, parent_context: Context | None) -> None:
        entries = baggage.get_all(parent_context)
        if not entries:
            return
        present = span.attributes or {}
        for key in self._baggage_keys:
            value = entries.get(key)
            if value is not None and key not in present:
                span.set_attribute(key, value if isinstance(value, str) else str(value))

    def _failed(self, failure: Exception) -> None:
        self.failures += 1
        self._report(failure, self.failures)
        if self._reraise:
            raise failure
