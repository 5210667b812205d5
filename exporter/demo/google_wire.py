"""Gemini's generateContent, streamed and plain, and its embeddings."""

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


def generate(question: Question) -> Reply:
    """Answers `:generateContent` and `:streamGenerateContent?alt=sse`."""
    if question.stream:
        return event_reply(question, question.id("gem_"), list(_events(question)))
    body = _piece(question, _parts(question), last=True)
    return json_reply(question.id("gem_"), body)


def embed(question: Question) -> Reply:
    """Answers `:embedContent` and `:batchEmbedContents`; the interface has no id and no usage."""
    vector = {"values": [0.1, 0.2]}
    requests = question.body.get("requests")
    return json_reply(None, {"embeddings": [vector] * len(requests)} if requests else {"embedding": vector})


def _parts(question: Question) -> list[Json]:
    if not question.calls_tool:
        return [{"text": "".join(question.words)}]
    groups = question.body.get("tools", [])
    call = call_of_first([tool for group in groups for tool in group.get("functionDeclarations", [])])
    return [{"functionCall": {"name": call.name, "args": call.arguments}}]


def _piece(question: Question, parts: list[Json], *, last: bool) -> Json:
    candidate: Json = {"index": 0, "content": {"role": "model", "parts": parts}}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(question, last=last),
        "modelVersion": question.answered_model,
        "responseId": question.id("gem_"),
    }


def _usage(question: Question, *, last: bool) -> Json:
    counts = question.counts
    text = {"modality": "TEXT", "tokenCount": counts.prompt - counts.audio_in}
    audio = [{"modality": "AUDIO", "tokenCount": counts.audio_in}] if counts.audio_in else []
    usage: Json = {"promptTokenCount": counts.prompt, "promptTokensDetails": [text, *audio]}
    if counts.cache_read:
        usage["cachedContentTokenCount"] = counts.cache_read
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": counts.cache_read}]
    if not last:
        return {**usage, "totalTokenCount": counts.prompt}
    usage["candidatesTokenCount"] = counts.output - counts.reasoning
    if counts.reasoning:
        usage["thoughtsTokenCount"] = counts.reasoning
    return {**usage, "totalTokenCount": counts.prompt + counts.output}


def _events(question: Question) -> Iterator[bytes]:
    if question.calls_tool:
        yield event(_piece(question, _parts(question), last=True))
        return
    for word in question.words[:-1]:
        yield event(_piece(question, [{"text": word}], last=False))
    yield event(_piece(question, [{"text": question.words[-1]}], last=True))
