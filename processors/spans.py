"""A finished span as the rest of `processors` reads it, whether it came from the SDK, OTLP or a file."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, TraceFlags

STATUS_UNSET: Final = 0
STATUS_OK: Final = 1
STATUS_ERROR: Final = 2
TRACE_ID_END: Final = 1 << 128
SPAN_ID_END: Final = 1 << 64
"""Ids are below these; 0 is no id."""

_NO_ATTRIBUTES: Final[Mapping[str, object]] = {}


class SpanRecord(NamedTuple):
    """One finished span.

    Attributes:
        trace_id: 128-bit trace id.
        span_id: 64-bit span id.
        parent_id: Span id of the parent, 0 where there is none.
        name: Span name.
        scope: Name of the instrumentation scope, "" where there is none.
        version: Version of the instrumentation scope, "" where there is none.
        start_ns: Start, nanoseconds since the epoch.
        end_ns: End, nanoseconds since the epoch.
        status: 0 unset, 1 OK, 2 error.
        description: Description of the status, None as a rule.
        attributes: Attributes of the span.
        resource: Attributes of the resource.
        exceptions: `exception.type` and `exception.message` of each exception event.
        sampled: The span is exported, so that a backend has its trace.
        interactive: Whether somebody waits for what the span does, as far as the spans around it tell; None
            where they do not.
    """

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    scope: str
    version: str
    start_ns: int
    end_ns: int
    status: int
    description: str | None
    attributes: Mapping[str, object]
    resource: Mapping[str, object]
    exceptions: tuple[tuple[str, str], ...] = ()
    sampled: bool = False
    interactive: bool | None = None


_UNSET: Final = StatusCode.UNSET


def record_of(span: ReadableSpan, ended: Callable[[int], bool | None] | None = None) -> SpanRecord:
    """Reads a span of the SDK without copying its attributes.

    Args:
        span: The span.
        ended: Tells of a span id whether somebody waits for that span, as the spans around it tell; None
            where nothing is known of any.
    """
    context, parent, scope, status = span.context, span.parent, span.instrumentation_scope, span.status
    code = status.status_code
    events = getattr(span, "_events", None)  # the public property copies them, and hardly a span has any
    if events is None:
        events = span.events
    # SpanRecord(...) without its __new__ in Python: half the time.
    span_id = context.span_id if context is not None else 0
    parts = (
        context.trace_id if context is not None else 0,
        span_id,
        parent.span_id if parent is not None else 0,
        span.name,
        scope.name if scope is not None else "",
        (scope.version or "") if scope is not None else "",
        span.start_time or 0,
        span.end_time or 0,
        STATUS_UNSET if code is _UNSET else code.value,
        status.description,
        attributes_of(span),
        span.resource.attributes,
        exceptions_of((event.name, event.attributes) for event in events) if events else (),
        context is not None and context.trace_flags & TraceFlags.SAMPLED != 0,
        None if ended is None else ended(span_id),
    )
    return tuple.__new__(SpanRecord, parts)


def attributes_of(span: ReadableSpan) -> Mapping[str, object]:
    """The dict inside the SDK's attribute mapping, whose own look-ups cost a Python call and a lock each."""
    inner = getattr(span, "_attributes", None)
    inner = getattr(inner, "_dict", inner)
    return inner if type(inner) is dict else dict(span.attributes or _NO_ATTRIBUTES)


def exceptions_of(
    events: Iterable[tuple[str, Mapping[str, object] | None]],
) -> tuple[tuple[str, str], ...]:
    """The exceptions among events, as (type, first 200 characters of the message)."""
    return tuple(
        (str(attributes.get("exception.type", "")), str(attributes.get("exception.message", ""))[:200])
        for name, attributes in events
        if name == "exception" and attributes
    )
