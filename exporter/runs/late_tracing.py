"""Tracers for instrumentations that are turned on before the program has set up its own tracing."""

from typing import Any

from opentelemetry import trace
from opentelemetry.util.types import Attributes

from spanbudget.exporter.attachment import SpanSource


class LateTracerProvider(trace.TracerProvider):
    """Gives tracers that look at each span whose provider to use: the program's, or else another one.

    OpenTelemetry's own stand-in does the same without the other one: its spans are lost until there is a
    provider, and a provider can be set only once, so ours would keep the program from setting its own.

    Args:
        other: Takes the spans where the program has no provider of the SDK.
    """

    def __init__(self, other: trace.TracerProvider) -> None:
        self._other = other

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> trace.Tracer:
        """A tracer of the provider that is there when a span starts."""
        identity = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        return LateTracer(self._other, identity)


class LateTracer(trace.Tracer):
    """See `LateTracerProvider`.

    Args:
        other: Takes the spans where the program has no provider of the SDK.
        identity: Arguments of `get_tracer`.
    """

    def __init__(self, other: trace.TracerProvider, identity: tuple[Any, ...]) -> None:
        self._other = other
        self._identity = identity
        self._known: tuple[trace.TracerProvider, trace.Tracer] | None = None

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        """See `opentelemetry.trace.Tracer.start_span`."""
        return self._tracer().start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """See `opentelemetry.trace.Tracer.start_as_current_span`."""
        return self._tracer().start_as_current_span(*args, **kwargs)

    def _tracer(self) -> trace.Tracer:
        theirs = trace.get_tracer_provider()
        provider = theirs if isinstance(theirs, SpanSource) else self._other
        known = self._known
        if known is None or known[0] is not provider:
            known = self._known = (provider, provider.get_tracer(*self._identity))
        return known[1]
