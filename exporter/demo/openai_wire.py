"""OpenAI's chat completions, responses and embeddings, and Azure's deployments of them."""

import json
import time
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


def chat(question: Question) -> Reply:
    """Answers `/chat/completions`."""
    if question.stream:
        events = [*_chat_events(question), b"data: [DONE]\n\n"]
        return event_reply(question, question.id("chatcmpl-"), events)
    choice = {"index": 0, "logprobs": None, "finish_reason": _finish(question), "message": _message(question)}
    body = {**_chat_head(question, "chat.completion"), "choices": [choice], "usage": _chat_usage(question)}
    return json_reply(question.id("chatcmpl-"), body)


def responses(question: Question) -> Reply:
    """Answers `/responses`."""
    whole = _response(question, "completed")
    if not question.stream:
        return json_reply(question.id("resp_"), whole)
    return event_reply(question, question.id("resp_"), list(_response_events(question, whole)))


def embeddings(question: Question) -> Reply:
    """Answers `/embeddings`; the interface has no id."""
    asked = question.body.get("input", "")
    inputs = asked if isinstance(asked, list) else [asked]
    vectors = [{"object": "embedding", "index": n, "embedding": [0.1, 0.2]} for n in range(len(inputs))]
    tokens = question.counts.prompt
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": vectors, "model": question.answered_model, "usage": usage}
    return json_reply(None, body)


def _chat_head(question: Question, kind: str) -> Json:
    return {
        "id": question.id("chatcmpl-"),
        "object": kind,
        "created": int(time.time()),
        "model": question.answered_model,
        "service_tier": question.counts.tier,
        "system_fingerprint": "fp_demo",
    }


def _finish(question: Question) -> str:
    return "tool_calls" if question.calls_tool else "stop"


def _message(question: Question) -> Json:
    if question.calls_tool:
        return {"role": "assistant", "content": None, "tool_calls": [_tool_call(question)]}
    return {"role": "assistant", "content": "".join(question.words), "refusal": None}


def _tool_call(question: Question) -> Json:
    call = call_of_first(question.body.get("tools", []))
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": question.id("call_"), "type": "function", "function": function}


def _chat_usage(question: Question) -> Json:
    counts = question.counts
    prompt_details = {"audio_tokens": counts.audio_in, "cached_tokens": counts.cache_read}
    if counts.cache_write or question.model.startswith("gpt-5"):  # older models have no such field
        prompt_details["cache_write_tokens"] = counts.cache_write
    return {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.output,
        "total_tokens": counts.prompt + counts.output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
            "audio_tokens": counts.audio_out,
            "reasoning_tokens": counts.reasoning,
        },
    }


def _chat_events(question: Question) -> Iterator[bytes]:
    include_usage = bool((question.body.get("stream_options") or {}).get("include_usage"))
    head = _chat_head(question, "chat.completion.chunk")
    if include_usage:
        head["usage"] = None
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if question.calls_tool:
        deltas.append({"tool_calls": [{"index": 0, **_tool_call(question)}]})
    else:
        deltas += [{"content": word} for word in question.words]
    for delta in deltas:
        yield event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(question)}]})
    if include_usage:
        yield event({**head, "choices": [], "usage": _chat_usage(question)})


def _response(question: Question, status: str) -> Json:
    counts = question.counts
    done = status == "completed"
    usage = {
        "input_tokens": counts.prompt,
        "input_tokens_details": {
            "cached_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write,
        },
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.prompt + counts.output,
    }
    return {
        "id": question.id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": question.answered_model,
        "output": [_item(question, "completed")] if done else [],
        "usage": usage if done else None,
        "service_tier": counts.tier,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
    }


def _item(question: Question, status: str) -> Json:
    if question.calls_tool:
        call = _tool_call(question)
        return {
            "id": question.id("fc_"),
            "type": "function_call",
            "call_id": call["id"],
            "status": status,
            **call["function"],
        }
    content = [_text_part("".join(question.words))] if status == "completed" else []
    return {
        "id": question.id("item_"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response_events(question: Question, whole: Json) -> Iterator[bytes]:
    for number, body in enumerate(_response_event_bodies(question, whole)):
        yield event({**body, "sequence_number": number}, body["type"])


def _response_event_bodies(question: Question, whole: Json) -> Iterator[Json]:
    started = _response(question, "in_progress")
    item = _item(question, "completed")
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    yield {"type": "response.output_item.added", "output_index": 0, "item": _item(question, "in_progress")}
    yield from _item_event_bodies(question, item)
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": whole}


def _item_event_bodies(question: Question, item: Json) -> Iterator[Json]:
    place = {"item_id": item["id"], "output_index": 0}
    if question.calls_tool:
        arguments = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, **arguments}
        return
    place["content_index"] = 0
    text = "".join(question.words)
    yield {"type": "response.content_part.added", **place, "part": _text_part("")}
    for word in question.words:
        yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": _text_part(text)}
