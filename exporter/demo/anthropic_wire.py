"""Anthropic's messages, also as Bedrock's `invoke` speaks them."""

import json
from collections.abc import Iterator

from spanbudget.exporter.demo.wire import (
    Json,
    Question,
    Reply,
    call_of_first,
    event,
    event_reply,
    json_reply,
)

_TIERS = {"default": "standard", "priority": "priority"}
_OUTPUT_TOKENS_AT_START = 1  # what the first event of a stream reports, before anything was written


def messages(question: Question) -> Reply:
    """Answers `/v1/messages`."""
    if question.stream:
        return event_reply(question, question.id("msg_"), list(_events(question)))
    return json_reply(question.id("msg_"), message(question))


def message(question: Question) -> Json:
    """Returns the finished message."""
    body = _head(question, question.counts.output)
    return {**body, "content": _content(question), "stop_reason": _stop_reason(question)}


def _head(question: Question, output_tokens: int) -> Json:
    return {
        "id": question.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": question.answered_model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_input_usage(question), "output_tokens": output_tokens, **_details(question)},
    }


def _input_usage(question: Question) -> Json:
    counts = question.counts
    return {
        "input_tokens": counts.uncached_input,
        "cache_creation_input_tokens": counts.cache_write,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
        "service_tier": _TIERS.get(counts.tier, "standard"),
    }


def _details(question: Question) -> Json:
    counts = question.counts
    details: Json = {}
    if counts.reasoning:
        details["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    if counts.web_searches:
        details["server_tool_use"] = {"web_search_requests": counts.web_searches, "web_fetch_requests": 0}
    return details


def _stop_reason(question: Question) -> str:
    return "tool_use" if question.calls_tool else "end_turn"


def _content(question: Question) -> list[Json]:
    if question.calls_tool:
        call = call_of_first(question.body.get("tools", []))
        use = {"type": "tool_use", "id": question.id("toolu_"), "name": call.name}
        return [{**use, "input": call.arguments}]
    text = {"type": "text", "text": "".join(question.words)}
    if not question.counts.reasoning:
        return [text]
    return [{"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}, text]


def _events(question: Question) -> Iterator[bytes]:
    for body in _event_bodies(question):
        yield event(body, body["type"])


def _event_bodies(question: Question) -> Iterator[Json]:
    yield {"type": "message_start", "message": _head(question, _OUTPUT_TOKENS_AT_START)}
    yield {"type": "ping"}
    for index, block in enumerate(_content(question)):
        yield from _block_events(question, index, block)
    usage = _input_usage(question)
    for only_at_start in ("cache_creation", "service_tier"):
        del usage[only_at_start]
    usage |= {"output_tokens": question.counts.output, **_details(question)}
    delta = {"stop_reason": _stop_reason(question), "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def _block_events(question: Question, index: int, block: Json) -> Iterator[Json]:
    if block["type"] == "tool_use":
        start = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    elif block["type"] == "thinking":
        start = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    else:
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in question.words]
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}
