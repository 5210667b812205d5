"""What an answer tells about itself: whole, or event by event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spanbudget.exporter.guard.requests import Api

BYTES_PER_TOKEN: Final = 3
"""Bytes of UTF-8 in a token of text that was cut off: English has four, Chinese three to a character."""
NAME_MAX: Final = 256
"""Longest id, model or tier that is kept, characters."""


@dataclass(slots=True)
class Answer:
    """What is known of an answer so far; none of its text.

    Attributes:
        response_id: The provider's id.
        model: The model that answered.
        tier: The service tier that answered.
        usage: The provider's usage object; of several, the last value of each key.
        final: Whether `usage` is that of the whole answer.
        finished: Whether the answer said that it is at its end.
        failed: Whether the answer turned out to be an error.
        text_bytes: Bytes of visible output, UTF-8, where a usage may come before the output is at its end.
    """

    response_id: str | None = None
    model: str | None = None
    tier: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    final: bool = False
    finished: bool = False
    failed: bool = False
    text_bytes: int = 0

    @property
    def visible_tokens(self) -> int:
        """An estimate of the output, from what was received of it."""
        return -(-self.text_bytes // BYTES_PER_TOKEN)

    def take(self, api: Api, event: Mapping[str, Any]) -> None:
        """Learns from one event of a stream."""
        _EVENTS[api](self, event)

    def take_whole(self, api: Api, body: Any) -> None:
        """Learns from a whole JSON answer; Gemini's may be a list of what else would be events."""
        take = _take_gemini if api is Api.GENERATE or api is Api.EMBED else _take_head
        for part in body if type(body) is list else (body,):
            if type(part) is dict:
                take(self, part)
        self.finished = True
        self.final = bool(self.usage)


def _take_head(answer: Answer, body: Mapping[str, Any]) -> None:
    """Id, model, tier and usage, where OpenAI and Anthropic put them."""
    answer.response_id = _name(body.get("id")) or answer.response_id
    answer.model = _name(body.get("model")) or answer.model
    tier = body.get("service_tier")
    usage = body.get("usage")
    if type(usage) is dict and usage:
        if None in usage.values():
            usage = {key: value for key, value in usage.items() if value is not None}
        answer.usage.update(usage)
        tier = usage.get("service_tier") or tier
    if tier is not None:
        answer.tier = _name(tier) or answer.tier


def _take_chat(answer: Answer, event: Mapping[str, Any]) -> None:
    if event.get("error"):
        answer.failed = True
    _take_head(answer, event)
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            answer.finished = answer.finished or choice.get("finish_reason") is not None
    # Some providers send a growing usage with every chunk: only what comes after the end is the whole.
    answer.final = bool(answer.usage) and (answer.finished or choices == [])


def _take_responses(answer: Answer, event: Mapping[str, Any]) -> None:
    kind = event.get("type")
    whole = event.get("response")
    if isinstance(whole, dict):
        _take_head(answer, whole)
    if kind in ("response.completed", "response.incomplete", "response.failed", "response.cancelled"):
        answer.finished = True
        answer.final = bool(answer.usage)
        answer.failed = kind == "response.failed"
    elif kind == "error":
        answer.failed = True


def _take_messages(answer: Answer, event: Mapping[str, Any]) -> None:
    kind = event.get("type")
    if kind == "message_start" and isinstance(event.get("message"), dict):
        _take_head(answer, event["message"])
    elif kind == "content_block_delta":
        answer.text_bytes += _text_bytes(event.get("delta"))
    elif kind == "message_delta":
        usage = event.get("usage")
        _take_head(answer, {"usage": usage} if isinstance(usage, dict) else {})
        delta = event.get("delta")
        answer.finished = isinstance(delta, dict) and delta.get("stop_reason") is not None
        answer.final = bool(answer.usage) and answer.finished
    elif kind == "message_stop":
        answer.finished = True
        answer.final = bool(answer.usage)
    elif kind == "error":
        answer.failed = True


def _take_gemini(answer: Answer, event: Mapping[str, Any]) -> None:
    if event.get("error"):
        answer.failed = True
    answer.response_id = _name(event.get("responseId")) or answer.response_id
    answer.model = _name(event.get("modelVersion")) or answer.model
    usage = event.get("usageMetadata")
    if isinstance(usage, dict):
        answer.usage.update(usage)
    candidates = event.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict):
            answer.finished = answer.finished or candidate.get("finishReason") is not None
            answer.text_bytes += _text_bytes(candidate.get("content"))
    answer.final = bool(answer.usage) and answer.finished


_EVENTS: Final[Mapping[Api, Callable[[Answer, Mapping[str, Any]], None]]] = {
    Api.CHAT: _take_chat, Api.COMPLETIONS: _take_chat, Api.RESPONSES: _take_responses,
    Api.EMBEDDINGS: _take_head, Api.MESSAGES: _take_messages, Api.GENERATE: _take_gemini,
    Api.EMBED: _take_gemini,
}  # fmt: skip
_NO_TEXT: Final = frozenset({"role", "type", "id", "index", "signature", "name", "thoughtSignature"})


def _text_bytes(value: object) -> int:
    """Bytes of all text in a piece of an answer: content, reasoning, arguments of tools."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, dict):
        return sum(_text_bytes(part) for name, part in value.items() if name not in _NO_TEXT)
    return sum(map(_text_bytes, value)) if isinstance(value, list) else 0


def _name(value: object) -> str | None:
    return value[:NAME_MAX] if isinstance(value, str) and value else None
