"""Whatever stands in a file of spans: a line is read or complained about, and a malformed span is counted."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nasty import COUNT_KEYS, KEYS, NOW_NS, House, texts

from spanbudget.exporter.replay.files import SpanFile
from spanbudget.exporter.replay.span_json import MalformedSpanError, SpanDecoder

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)

plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
documents = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
ids = (
    st.sampled_from(["0", "1", "2", "-1", "a" * 16, "f" * 17, "f" * 33, "0x1", "", "g", "-", "\u0661"])
    | plain
)
whole = st.integers(-(10**20), 10**20) | st.sampled_from(["0", "1795435200000000000", "1e9", "nan"]) | plain


def nested(kind: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({kind: st.fixed_dictionaries({"values": st.lists(inner, max_size=3)})})


any_values = st.recursive(
    st.fixed_dictionaries({}, optional={"stringValue": plain, "intValue": whole})
    | st.fixed_dictionaries({"doubleValue": plain})
    | st.fixed_dictionaries({"boolValue": plain})
    | st.fixed_dictionaries({"bytesValue": texts})
    | plain,
    lambda inner: (
        st.fixed_dictionaries({"arrayValue": st.fixed_dictionaries({"values": st.lists(inner, max_size=3)})})
        | st.fixed_dictionaries(
            {"kvlistValue": st.fixed_dictionaries({"values": st.lists(inner, max_size=3)})}
        )
    ),
    max_leaves=5,
)
pairs = (
    st.lists(st.fixed_dictionaries({"key": st.sampled_from(KEYS) | plain, "value": any_values}), max_size=6)
    | plain
)
exceptions = st.fixed_dictionaries({"name": st.just("exception"), "attributes": pairs})
otlp_spans = st.fixed_dictionaries(
    {},
    optional={
        "traceId": ids, "spanId": ids, "parentSpanId": ids, "name": plain, "startTimeUnixNano": whole,
        "endTimeUnixNano": whole, "attributes": pairs,
        "status": st.fixed_dictionaries({"code": plain}) | plain,
        "events": st.lists(exceptions, max_size=2) | plain,
        "flags": plain,
    },
)  # fmt: skip
scopes = st.fixed_dictionaries(
    {"scope": documents, "spans": st.lists(otlp_spans | plain, max_size=4) | plain}
)
requests = st.fixed_dictionaries(
    {
        "resourceSpans": st.lists(
            st.fixed_dictionaries(
                {"resource": st.fixed_dictionaries({"attributes": pairs}) | plain},
                optional={"scopeSpans": st.lists(scopes | plain, max_size=2) | plain},
            )
            | plain,
            max_size=2,
        )
        | plain
    }
)
captured = st.fixed_dictionaries(
    {"span_id": ids},
    optional={
        "trace_id": ids, "parent_id": ids, "start_ns": whole, "end_ns": whole, "scope": documents,
        "status": st.fixed_dictionaries({"code": documents}) | plain, "events": documents,
        "resource": documents,
        "attributes": st.dictionaries(st.sampled_from(COUNT_KEYS + KEYS), documents, max_size=6) | plain,
    },
)  # fmt: skip


@given(requests | captured | documents)
@settings(suppress_health_check=SLOW)
def test_any_document_is_decoded_or_refused(document):
    house, decoder = House(), SpanDecoder()
    try:
        records = list(decoder.spans(json.loads(json.dumps(document))))
    except MalformedSpanError:
        return
    house.book(records)
    house.check(records)


@given(requests)
@settings(suppress_health_check=SLOW)
def test_every_span_of_a_document_is_read_or_counted_as_malformed(document):
    """Counted over groups and scopes of the right form; in others it cannot be said what a span is."""
    decoder = SpanDecoder()
    try:
        read = len(list(decoder.spans(document)))
    except MalformedSpanError:
        return
    told = 0
    for group in document["resourceSpans"] or ():
        for scope in (group.get("scopeSpans") or ()) if isinstance(group, dict) else ():
            told += (
                sum(isinstance(span, dict) for span in scope["spans"] or ()) if isinstance(scope, dict) else 0
            )
    assert read + decoder.malformed == told


@given(
    st.lists(
        (requests | captured | documents).map(lambda one: json.dumps(one).encode()) | st.binary(), max_size=5
    )
)
@settings(suppress_health_check=SLOW)
def test_any_file_is_read_to_its_end(tmp_path, lines):
    path = tmp_path / "spans.jsonl"
    path.write_bytes(b"\n".join(lines))
    file, house = SpanFile(path), House()
    records = list(file.spans())
    assert file.position <= path.stat().st_size
    house.book(records)
    house.check(records)


@pytest.mark.parametrize("trace_id", ["1", "-1", "f" * 33])
@pytest.mark.parametrize("span_id", ["-2", "f" * 17])
def test_a_span_with_an_id_out_of_range_is_malformed(trace_id, span_id):
    house, decoder = House(), SpanDecoder()
    usage = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    }
    times = {"start_ns": NOW_NS - 1, "end_ns": NOW_NS}
    records = list(decoder.spans({"trace_id": trace_id, "span_id": span_id, **times, "attributes": usage}))
    house.book(records)
    assert decoder.malformed + sum(house.reader.rejected.values()) == 1
