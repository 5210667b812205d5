"""Whether somebody waits for calls in a file: ancestors come after the calls, or never."""

import pytest

from spanbudget.exporter.replay.ancestors import with_ancestors
from spanbudget.exporter.replay.span_json import SpanDecoder
from spanbudget.processors.spans import SpanRecord


def one(span_id, parent=0, interactive=None, trace=1):
    return SpanRecord(
        trace, span_id, parent, "span", "s", "1", 1, 2, 0, None, {}, {}, interactive=interactive
    )


def flags(spans, ahead=100):
    return [span.interactive for span in with_ancestors(spans, ahead)]


def test_the_nearest_ancestor_that_tells_decides():
    chain = [one(4, 3), one(3, 2), one(2, 1, interactive=False), one(1, interactive=True)]
    assert flags(chain) == [False, False, False, True]
    assert flags(reversed(chain)) == [True, False, False, False]


def test_other_traces_and_missing_parents_tell_nothing():
    assert flags([one(2, 1), one(1, interactive=True, trace=9), one(5, 77)]) == [None, True, None]


def test_a_cycle_of_parents_ends():
    assert flags([one(1, 2), one(2, 1), one(3, 3)]) == [None, None, None]


@pytest.mark.parametrize(("ahead", "found"), [(3, True), (2, None)])
def test_only_so_many_spans_are_read_ahead(ahead, found):
    spans = [one(2, 1), one(8, trace=2), one(1, interactive=True)]
    assert flags(spans, ahead) == [found, None, True]


def test_no_span_is_lost_or_moved():
    spans = [one(number, number + 1) for number in range(1, 1_000)]
    assert [span.span_id for span in with_ancestors(spans, 10)] == list(range(1, 1_000))


def otlp(kind, attributes=()):
    span = {"traceId": "01", "spanId": "02", "kind": kind, "endTimeUnixNano": "5"}
    span["attributes"] = list(attributes)
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (1, None), (2, True), (3, None), (4, None), (5, False), ("SPAN_KIND_SERVER", True),
        ("CONSUMER", False), ("nonsense", None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_kinds_are_read_in_both_spellings(kind, expected):
    (span,) = SpanDecoder().spans(otlp(kind))
    assert span.interactive is expected


def test_what_a_span_says_goes_before_its_kind():
    said = [{"key": "spanbudget.interactive", "value": {"boolValue": False}}]
    (span,) = SpanDecoder().spans(otlp(2, said))
    assert span.interactive is False
