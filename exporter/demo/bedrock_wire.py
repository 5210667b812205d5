"""Amazon Bedrock's Converse, streamed and plain, and `invoke` of a Claude model."""

import json
import struct
import zlib
from collections.abc import Iterator

from spanbudget.exporter.demo import anthropic_wire
from spanbudget.exporter.demo.wire import Json, Question, Reply, call_of_first, json_reply

_STRING_HEADER = 7  # the type number of a string in an event-stream header


def converse(question: Question) -> Reply:
    """Answers `/model/{id}/converse`; the interface has no id in its body."""
    body = {
        "output": {"message": {"role": "assistant", "content": _content(question)}},
        "stopReason": "tool_use" if question.calls_tool else "end_turn",
        "usage": _usage(question),
        "metrics": {"latencyMs": 5},
    }
    return json_reply(None, body)


def converse_stream(question: Question) -> Reply:
    """Answers `/model/{id}/converse-stream`."""
    frames = [_frame(name, body) for name, body in _stream_events(question)]
    kind = "application/vnd.amazon.eventstream"
    return Reply(None, frames, content_type=kind, pause_seconds=question.pause_seconds)


def invoke(question: Question) -> Reply:
    """Answers `/model/{id}/invoke` with an Anthropic message and Bedrock's own token headers."""
    headers = {
        "x-amzn-bedrock-input-token-count": str(question.counts.uncached_input),
        "x-amzn-bedrock-output-token-count": str(question.counts.output),
    }
    return json_reply(question.id("msg_"), anthropic_wire.message(question), headers)


def _content(question: Question) -> list[Json]:
    if not question.calls_tool:
        return [{"text": "".join(question.words)}]
    call = call_of_first(question.body.get("toolConfig", {}).get("tools", []))
    use = {"toolUseId": question.id("tooluse_"), "name": call.name, "input": call.arguments}
    return [{"toolUse": use}]


def _usage(question: Question) -> Json:
    counts = question.counts
    usage = {
        "inputTokens": counts.uncached_input,
        "outputTokens": counts.output,
        "totalTokens": counts.prompt + counts.output,
    }
    if counts.cache_read or counts.cache_write:
        usage |= {"cacheReadInputTokens": counts.cache_read, "cacheWriteInputTokens": counts.cache_write}
    return usage


def _stream_events(question: Question) -> Iterator[tuple[str, Json]]:
    yield "messageStart", {"role": "assistant"}
    place = {"contentBlockIndex": 0}
    for block in _content(question):
        use = block.get("toolUse")
        if use:
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield "contentBlockStart", {**place, "start": start}
            yield "contentBlockDelta", {**place, "delta": {"toolUse": {"input": json.dumps(use["input"])}}}
        else:
            for word in question.words:
                yield "contentBlockDelta", {**place, "delta": {"text": word}}
    yield "contentBlockStop", place
    yield "messageStop", {"stopReason": "tool_use" if question.calls_tool else "end_turn"}
    yield "metadata", {"usage": _usage(question), "metrics": {"latencyMs": 5}}


def _frame(name: str, body: Json) -> bytes:
    """Returns one message of the AWS event-stream encoding: lengths, checksum, headers, body, checksum."""
    headers = b"".join(
        _header(key, value)
        for key, value in (
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    payload = json.dumps(body).encode()
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(key: str, value: str) -> bytes:
    name, text = key.encode(), value.encode()
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING_HEADER, len(text)) + text
