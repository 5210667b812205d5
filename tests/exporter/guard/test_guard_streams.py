"""Streams cut anywhere, and what is read out of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.exporter.guard import events as events_module
from spanbudget.exporter.guard import responses as responses_module
from spanbudget.exporter.guard.events import EventSplitter, data_of
from spanbudget.exporter.guard.faults import Faults
from spanbudget.exporter.guard.requests import Api
from spanbudget.exporter.guard.responses import AnswerReader
from spanbudget.exporter.guard.usage import read_usage

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.lists(
    st.sampled_from([b"data: a", b"event: x", b": ping", b"data:\xc3\xa9"]), min_size=1, max_size=3
)
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@st.composite
def cut(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Whole events, with one kind of line end in each stream, and the stream in pieces."""
    end = draw(LINE_ENDS)
    events = [end.join(lines) + end + end for lines in draw(st.lists(LINES, max_size=5))]
    return events, draw(cut(b"".join(events)))


@given(streams())
def test_events_do_not_depend_on_where_the_bytes_are_cut(drawn: tuple[list[bytes], list[bytes]]) -> None:
    events, pieces = drawn
    splitter = EventSplitter()
    found = [event for piece in pieces for event, _ in splitter.feed(piece)]
    rest = splitter.rest()
    assert [*found, rest] if rest else found == events
    assert b"".join([*found, rest]) == b"".join(events)


@given(st.data(), st.binary(max_size=60) | st.text("\r\nab: {}", max_size=60).map(str.encode))
def test_all_bytes_come_out_in_their_order(data: st.DataObject, stream: bytes) -> None:
    splitter = EventSplitter()
    found = [event for piece in data.draw(cut(stream)) for event, _ in splitter.feed(piece)]
    assert b"".join([*found, splitter.rest()]) == stream


def test_an_event_without_end_passes_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "EVENT_BYTES_MAX", 8)
    splitter = EventSplitter()
    stream = [b"data: 123", b"456", b"7\n", b"\ndata: x\n", b"\n"]
    found = [pair for piece in stream for pair in splitter.feed(piece)]
    assert found == [
        (b"data: 123", False),
        (b"456", False),
        (b"7", False),
        (b"\n\n", False),
        (b"data: x\n\n", True),
    ]


def test_data_lines_are_joined() -> None:
    assert data_of(b"event: x\r\ndata: {\r\ndata:}\r\n: no\r\n\r\n") == b"{\n}"


def chat_events(*, injected: bool, end: bytes) -> bytes:
    null: dict[str, Any] = {"usage": None} if injected else {}
    bodies: list[dict[str, Any]] = [
        {"id": "c", "choices": [], "prompt_filter_results": [], **null},  # Azure begins so
        {
            "id": "c",
            "choices": [{"delta": {"content": 'say "usage": null, é'}, "finish_reason": None}],
            **null,
        },
        {**null, "id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]},
    ]
    if injected:
        bodies.append({"id": "c", "choices": [], "usage": USAGE})
    lines = [b"data: " + json.dumps(body).encode() for body in bodies]
    return b"".join(line + end + end for line in [*lines, b": ping", b"data: [DONE]"])


@given(st.data(), LINE_ENDS)
def test_the_restored_stream_is_the_one_without_the_option(data: st.DataObject, end: bytes) -> None:
    reader = AnswerReader(Api.CHAT, "text/event-stream", faults=Faults(), drops_usage=True)
    pieces = data.draw(cut(chat_events(injected=True, end=end)))
    restored = b"".join([*map(reader.feed, pieces), reader.finish()])
    assert restored == chat_events(injected=False, end=end)
    assert reader.answer.usage == USAGE
    assert reader.answer.final


@given(st.data(), LINE_ENDS)
def test_a_stream_that_is_only_read_passes_at_once(data: st.DataObject, end: bytes) -> None:
    reader = AnswerReader(Api.CHAT, "text/event-stream; charset=utf-8", faults=Faults())
    for piece in data.draw(cut(chat_events(injected=True, end=end))):
        assert reader.feed(piece) == piece
    assert reader.finish() == b""
    assert reader.answer.usage == USAGE


@pytest.mark.parametrize(
    "event",
    [
        b"data: {",
        b"data: []",
        b'data: {"choices": 3}',
        b'data: {"choices": [3], "usage": 4}',
        b"data: " + b"[" * 9999,
    ],
)
def test_what_is_no_chunk_passes(event: bytes) -> None:
    reader = AnswerReader(Api.CHAT, "text/event-stream", faults=Faults(), drops_usage=True)
    assert reader.feed(event + b"\n\n") == event + b"\n\n"
    assert not reader.answer.usage


def test_of_a_large_answer_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses_module, "WHOLE_BYTES_MAX", 1_000)
    monkeypatch.setattr(responses_module, "TAIL_BYTES", 200)
    reader = AnswerReader(Api.EMBEDDINGS, "application/json", faults=Faults())
    body = json.dumps({"data": ['"usage": {}'] * 500, "usage": USAGE}).encode()
    for start in range(0, len(body), 100):
        assert reader.feed(body[start : start + 100]) == body[start : start + 100]
        assert len(reader._whole) <= 1_100
    reader.finish()
    assert reader.answer.usage == USAGE


def test_a_failed_response_is_told() -> None:
    reader = AnswerReader(Api.RESPONSES, "text/event-stream", faults=Faults())
    reader.feed(b'data: {"type":"response.failed","response":{"id":"r","usage":null}}\n\n')
    assert reader.answer.failed
    assert reader.answer.finished
    assert not reader.answer.final


def test_an_answer_of_thoughts_alone_has_output() -> None:
    usage, confidence, _ = read_usage(
        {"promptTokenCount": 5, "thoughtsTokenCount": 9, "totalTokenCount": 14},
        "gcp.gemini",
        embeddings=False,
    )
    assert (usage.input, usage.output, usage.reasoning, confidence) == (5, 9, 9, "exact")


def test_a_web_search_is_not_in_the_usage() -> None:
    usage, confidence, reasons = read_usage(
        {
            "input_tokens": 5,
            "cache_read_input_tokens": 0,
            "output_tokens": 9,
            "server_tool_use": {"web_search_requests": 2},
        },
        "anthropic",
        embeddings=False,
    )
    assert (usage.input, usage.output, confidence) == (5, 9, "estimated")
    assert reasons == ("web_search_not_held",)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": "x"}])
def test_a_usage_that_cannot_be_is_not_exact(usage: dict[str, Any]) -> None:
    assert read_usage(usage, "openai", embeddings=False)[1] != "exact"
