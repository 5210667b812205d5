"""Turns the usage object of a provider's answer into disjoint buckets."""

from collections.abc import Mapping
from typing import Any, Final

from spanbudget.processors.call import TOKENS_MAX, Usage, UsageConfidence
from spanbudget.processors.dialects import FIELD_COUNT, Field, ScopeRule
from spanbudget.processors.spans import STATUS_OK
from spanbudget.processors.tokens import Reading, plain_usage, usage_of
from spanbudget.processors.usage_text import counts_of

_RULE: Final = ScopeRule()
_AUDIO, _IMAGE = "AUDIO", "IMAGE"


def read_usage(
    usage: Mapping[str, Any], provider: str, *, embeddings: bool
) -> tuple[Usage, UsageConfidence, tuple[str, ...]]:
    """Reads the usage object of OpenAI, Anthropic, Gemini or one who answers like them.

    It comes from the provider itself, so what is absent is 0.

    Args:
        usage: The object.
        provider: Normalised provider.
        embeddings: Whether the call made embeddings, which have no output.

    Returns:
        The usage, its confidence, and the reasons why it is not exact.
    """
    chat = None if embeddings else _plain_chat(usage)
    if chat is not None:
        return chat, "exact", ()
    gemini = "promptTokenCount" in usage or "candidatesTokenCount" in usage
    counts, inside = counts_of(_whole_gemini(usage) if gemini else usage)
    found: list[object] = [None] * FIELD_COUNT
    for field, value in counts.items():
        found[field] = value
    if gemini:
        _add_modalities(found, usage)
    plain = plain_usage(found) if inside is not False and not embeddings else None
    if plain is not None:
        return plain, "exact", ()
    reading = Reading(
        found=found, rule=_RULE, version="", provider=provider, model=None, asked="", attributes={},
        embeddings=embeddings, aggregate=False, stream=False, finish=True, status=STATUS_OK,
        inside=inside, complete=True,
    )  # fmt: skip
    read, confidence, reasons, _ = usage_of(reading)
    searches = usage.get("server_tool_use")
    if isinstance(searches, dict) and searches.get("web_search_requests"):
        return read, "estimated" if confidence == "exact" else confidence, (*reasons, "web_search_not_held")
    return read, confidence, tuple(reasons)


def _plain_chat(usage: Mapping[str, Any]) -> Usage | None:
    """The usage of a chat without audio and cache writes, as nearly all are; None where it is another."""
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    details, more = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    read, reasoning = 0, None
    if details is not None:
        if type(details) is not dict or any(map(details.get, _DEARER_INPUT)):
            return None
        read = details.get("cached_tokens") or 0
    if more is not None:
        if type(more) is not dict or more.get("audio_tokens"):
            return None
        reasoning = more.get("reasoning_tokens")
    if not (type(prompt) is int and type(output) is int and type(read) is int and _CHAT.issuperset(usage)):
        return None
    if not (0 < output <= TOKENS_MAX and 0 <= read <= prompt <= TOKENS_MAX):
        return None
    if reasoning is not None and (type(reasoning) is not int or not 0 <= reasoning <= output):
        return None
    # Usage(...) without its __new__ in Python: half the time.
    return tuple.__new__(Usage, (prompt - read, read, 0, 0, 0, output, reasoning, None, None, None, None))


_DEARER_INPUT: Final = ("audio_tokens", "cache_write_tokens", "cache_creation_tokens")
_CHAT: Final = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
     "completion_tokens_details"}
)  # fmt: skip


def _whole_gemini(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Prompts of Google's own tools are billed as input; an answer of thoughts alone has no candidates."""
    prompt, tools = usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")
    whole = {"candidatesTokenCount": 0, **usage}
    if type(prompt) is int and type(tools) is int:
        whole["promptTokenCount"] = prompt + tools
    return whole


def _add_modalities(found: list[object], usage: Mapping[str, Any]) -> None:
    cached = _modality(usage.get("cacheTokensDetails"), _AUDIO)
    sound = _modality(usage.get("promptTokensDetails"), _AUDIO)
    found[Field.AUDIO_INPUT] = max(0, sound - cached) or None
    found[Field.AUDIO_CACHE_READ] = cached or None
    found[Field.AUDIO_OUTPUT] = _modality(usage.get("candidatesTokensDetails"), _AUDIO) or None
    found[Field.IMAGE_INPUT] = _modality(usage.get("promptTokensDetails"), _IMAGE) or None


def _modality(details: object, name: str) -> int:
    rows = details if isinstance(details, list) else []
    counts = (row.get("tokenCount") for row in rows if isinstance(row, dict) and row.get("modality") == name)
    return sum(count for count in counts if type(count) is int)
