"""Spans in JSON: OTLP/JSON as the Collector's file exporter writes it, and the capture format.

OTLP/JSON ids are hexadecimal and 64-bit integers may be strings (opentelemetry-proto, "JSON Protobuf
Encoding"). The capture format is one finished span a line with plain attributes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spanbudget.processors.circumstances import flag_of
from spanbudget.processors.dialects import INTERACTIVE_KEY
from spanbudget.processors.spans import (
    SPAN_ID_END,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    TRACE_ID_END,
    SpanRecord,
    exceptions_of,
)

NESTING_MAX: Final = 16
"""Deepest attribute value that is read; deeper ones are dropped."""

_STATUS: Final[Mapping[object, int]] = {
    0: STATUS_UNSET, 1: STATUS_OK, 2: STATUS_ERROR, None: STATUS_UNSET,
    "UNSET": STATUS_UNSET, "OK": STATUS_OK, "ERROR": STATUS_ERROR,
    "STATUS_CODE_UNSET": STATUS_UNSET, "STATUS_CODE_OK": STATUS_OK, "STATUS_CODE_ERROR": STATUS_ERROR,
}  # fmt: skip


_WAITED_FOR: Final[Mapping[object, bool]] = {
    2: True, "SPAN_KIND_SERVER": True, "SERVER": True,
    5: False, "SPAN_KIND_CONSUMER": False, "CONSUMER": False,
}  # fmt: skip
"""Kinds of spans that tell whether somebody waits for them."""


class MalformedSpanError(ValueError):
    """A span lacks what every span has, or has it in a wrong form."""


class SpanDecoder:
    """Decodes documents of either format; one for each file, as it keeps equal resources as one object."""

    def __init__(self) -> None:
        self._resource: dict[str, object] = {}
        self.malformed = 0

    def spans(self, document: object) -> Iterator[SpanRecord]:
        """The spans of one line; malformed ones are left out and counted in `malformed`.

        Raises:
            MalformedSpanError: The document is in neither format.
        """
        if not isinstance(document, Mapping):
            raise MalformedSpanError(f"a JSON object is expected, not {type(document).__name__}")
        groups = _first(document, "resourceSpans", "resource_spans")
        if groups is not None:
            yield from self._otlp(groups)
        elif "span_id" in document:
            yield from self._safely(self._captured, document)
        elif not document or _first(document, "resourceMetrics", "resourceLogs") is not None:
            return
        else:
            raise MalformedSpanError("neither OTLP/JSON (resourceSpans) nor a captured span (span_id)")

    def _otlp(self, groups: object) -> Iterator[SpanRecord]:
        for group in _objects(groups):
            resource = self._same(_attributes(_mapping(group.get("resource")).get("attributes")))
            scopes = _first(group, "scopeSpans", "scope_spans", "instrumentationLibrarySpans")
            for inner in _objects(scopes):
                scope = _mapping(_first(inner, "scope", "instrumentationLibrary"))
                for span in _objects(inner.get("spans")):
                    yield from self._safely(lambda one, s=scope, r=resource: _otlp_span(one, s, r), span)

    def _safely(self, decode: Any, span: Mapping[str, Any]) -> Iterator[SpanRecord]:
        try:
            yield decode(span)
        except (MalformedSpanError, ValueError, TypeError, AttributeError, KeyError, OverflowError):
            self.malformed += 1

    def _captured(self, span: Mapping[str, Any]) -> SpanRecord:
        scope, status = _mapping(span.get("scope")), _mapping(span.get("status"))
        events = [(str(event.get("name")), event.get("attributes")) for event in _objects(span.get("events"))]
        attributes = dict(_mapping(span.get("attributes")))
        return SpanRecord(
            _id(span["trace_id"], TRACE_ID_END),
            _id(span["span_id"], SPAN_ID_END),
            _id(span.get("parent_id") or "0", SPAN_ID_END),
            str(span.get("name", "")),
            str(scope.get("name") or ""),
            str(scope.get("version") or ""),
            int(span["start_ns"]),
            int(span["end_ns"]),
            _STATUS[status.get("code")],
            _text(status.get("description")),
            attributes,
            self._same(dict(_mapping(span.get("resource")))),
            exceptions_of(events),
            interactive=_interactive(span, attributes),
        )

    def _same(self, resource: dict[str, object]) -> dict[str, object]:
        if resource != self._resource:
            self._resource = resource
        return self._resource


def _otlp_span(
    span: Mapping[str, Any], scope: Mapping[str, Any], resource: Mapping[str, object]
) -> SpanRecord:
    status = _mapping(span.get("status"))
    events = _objects(span.get("events"))
    attributes = _attributes(span.get("attributes"))
    flags = span.get("flags", 1)
    return SpanRecord(
        _id(_first(span, "traceId", "trace_id") or "", TRACE_ID_END),
        _id(_first(span, "spanId", "span_id") or "", SPAN_ID_END),
        _id(_first(span, "parentSpanId", "parent_span_id") or "0", SPAN_ID_END),
        str(span.get("name", "")),
        str(scope.get("name") or ""),
        str(scope.get("version") or ""),
        int(_first(span, "startTimeUnixNano", "start_time_unix_nano") or 0),
        int(_first(span, "endTimeUnixNano", "end_time_unix_nano") or 0),
        _STATUS[status.get("code")],
        _text(status.get("message")),
        attributes,
        resource,
        exceptions_of((str(event.get("name")), _attributes(event.get("attributes"))) for event in events),
        bool(flags & 1) if isinstance(flags, int) else True,
        _interactive(span, attributes),
    )


def _interactive(span: Mapping[str, Any], attributes: Mapping[str, object]) -> bool | None:
    """Whether somebody waits for a span, as it says or as its kind tells."""
    told = flag_of(attributes, INTERACTIVE_KEY)
    kind = span.get("kind")
    return told if told is not None or not isinstance(kind, (str, int)) else _WAITED_FOR.get(kind)


def _id(text: Any, end: int) -> int:
    """An id in hexadecimal; 0 is left to the reader, which has a reason of its own for it."""
    number = int(text, 16)
    if not 0 <= number < end:
        raise MalformedSpanError("an id is negative or too long")
    return number


def _attributes(pairs: object) -> dict[str, object]:
    return {str(pair.get("key")): _value(pair.get("value"), NESTING_MAX) for pair in _objects(pairs)}


def _value(value: object, depth: int) -> object:
    """An OTLP `AnyValue` as a plain value; None for one that is empty, unknown or nested too deep."""
    if not isinstance(value, Mapping) or depth == 0:
        return None
    for kind, content in value.items():
        if kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
            return content
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_value(item, depth - 1) for item in _mapping(content).get("values") or ()]
        if kind == "kvlistValue":
            pairs = _objects(_mapping(content).get("values"))
            return {str(pair.get("key")): _value(pair.get("value"), depth - 1) for pair in pairs}
    return None


def _first(mapping: Mapping[str, Any], *names: str) -> Any:
    return next((mapping[name] for name in names if name in mapping), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(values: object) -> Sequence[Mapping[str, Any]]:
    if values is None:
        return ()
    if not isinstance(values, list):
        raise MalformedSpanError("a list is expected")
    return [value for value in values if isinstance(value, Mapping)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
