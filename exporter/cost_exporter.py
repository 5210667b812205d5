"""Puts the cost on outgoing spans, in an exporter: a span can no longer be changed once it has ended."""

import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Protocol

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from spanbudget.exporter.instrument import current_pipeline
from spanbudget.exporter.otlp import span_exporter
from spanbudget.processors import names_out as names
from spanbudget.processors.call import PricedCall
from spanbudget.processors.dialects import may_be_llm
from spanbudget.processors.money import pico_to_float

WAIT_SECONDS_MAX: Final = 0.5
"""How long one batch waits, in all, for spans whose price is still being worked out."""

_logger = logging.getLogger(__name__)


class Charges(Protocol):
    """Knows what spans cost."""

    def charge(self, trace_id: int, span_id: int, wait_seconds: float = 0.0) -> PricedCall | None:
        """The price of a span that was counted; None where it was merged, is no call, or is forgotten."""
        ...


class _CurrentCharges:
    """The charges of whatever pipeline the process has at the time of the export."""

    def charge(self, trace_id: int, span_id: int, wait_seconds: float = 0.0) -> PricedCall | None:
        """See `Charges.charge`."""
        pipeline = current_pipeline()
        return pipeline.charge(trace_id, span_id, wait_seconds) if pipeline else None


class CostSpanExporter(SpanExporter):
    """Exports through another exporter, with cost attributes on the spans that were counted.

    A span that only repeats the usage of another one gets none, so that a backend which sums cost over spans
    sums each call once; an unpriced call gets none, so that unknown is not shown as 0. Spans are copied,
    never changed, because other exporters have them too.

    It may wait for the pipeline, so it belongs into a `BatchSpanProcessor`, which exports on its own thread.

    Args:
        delegate: The exporter that does the sending.
        charges: Knows what spans cost.

    Attributes:
        failures: Spans that went out without cost because of a fault of ours.
    """

    def __init__(self, delegate: SpanExporter, charges: Charges) -> None:
        self.failures = 0
        self._delegate = delegate
        self._charges = charges

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports the spans with their cost."""
        deadline = monotonic() + WAIT_SECONDS_MAX
        return self._delegate.export([self._with_cost(span, deadline) for span in spans])

    def shutdown(self) -> None:
        """Shuts the other exporter down."""
        self._delegate.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flushes the other exporter."""
        return self._delegate.force_flush(timeout_millis)

    def _with_cost(self, span: ReadableSpan, deadline: float) -> ReadableSpan:
        try:
            context = span.context
            if context is None or not may_be_llm(span.name, span.kind, span.attributes):
                return span
            wait_seconds = max(0.0, deadline - monotonic())
            priced = self._charges.charge(context.trace_id, context.span_id, wait_seconds)
            if priced is None or priced.cost is None:
                return span
            return _PricedSpan(span, cost_attributes(priced, priced.cost))
        except Exception:  # a fault of ours must not cost the user a span
            self.failures += 1
            if self.failures == 1:
                _logger.exception("A span is exported without its cost; further faults are only counted")
            return span


class CostOTLPSpanExporter(CostSpanExporter):
    """The OTLP exporter with cost attributes, as `OTEL_TRACES_EXPORTER=spanbudget_otlp` makes it.

    It may be made before SpanBudget starts: the process's pipeline is looked up at each export, and without
    one the spans go out as they are.

    Args:
        protocol: `grpc` or `http/protobuf`; None takes `OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL`.
        options: Arguments of the OTLP exporter, such as `endpoint`; the `OTEL_*` variables fill the rest.
    """

    def __init__(self, *, protocol: str | None = None, **options: Any) -> None:
        super().__init__(span_exporter(protocol, **options), _CurrentCharges())


def cost_attributes(priced: PricedCall, cost: int) -> dict[str, str | float]:
    """The attributes that tell a call's cost, by the open proposal (semantic-conventions-genai #443).

    Args:
        priced: The call and where its price came from.
        cost: Its cost in pico-USD.
    """
    usd = pico_to_float(cost)
    reported = (priced.price_id or "").startswith(names.REPORTED_PRICE)
    return {
        names.COST_AMOUNT: usd,
        names.COST_CURRENCY: names.CURRENCY,
        names.COST_SOURCE: names.SOURCE_PROVIDER if reported else names.SOURCE_LOCAL,
        names.COST: usd,
    }


class _PricedSpan(ReadableSpan):
    """A copy of a span with more attributes; it still tells what the original had to drop."""

    def __init__(self, span: ReadableSpan, more: dict[str, str | float]) -> None:
        super().__init__(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={**(span.attributes or {}), **more},
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)

    @property
    def dropped_attributes(self) -> int:
        """How many attributes were over the limit."""
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        """How many events were over the limit."""
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        """How many links were over the limit."""
        return self._dropped[2]
