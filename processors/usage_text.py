"""Usage that an emitter packs into one string: provider JSON, LangChain JSON, or a Python repr.

Only token counts, a tier and a cost are taken out of it; the text is bounded before it is parsed and never
evaluated.
"""

import ast
import json
from collections.abc import Mapping
from typing import Final

from spanbudget.processors.dialects import Field

TEXT_MAX: Final = 16_384
"""Longest text that is parsed, characters; the longest one captured has 900."""

Counts = dict[int, object]


def parse_mapping(text: object) -> Mapping[str, object] | None:
    """Reads a JSON object or a Python dict literal; None for anything else.

    Args:
        text: What the attribute holds; only a `str` of at most `TEXT_MAX` characters is read.
    """
    if not isinstance(text, str) or len(text) > TEXT_MAX or not text.startswith("{"):
        return text if isinstance(text, Mapping) else None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return value if isinstance(value, dict) else None


def counts_of(usage: Mapping[str, object]) -> tuple[Counts, bool | None]:
    """Finds the token counts in a usage object of any provider or framework.

    Returns:
        The counts that are there, and whether the input count includes cached tokens (None: no telling).
    """
    if not usage:
        return {}, None
    if "input_token_details" in usage or "output_token_details" in usage:
        return _langchain(usage), True
    if "prompt_tokens" in usage or "completion_tokens" in usage or "input_tokens_details" in usage:
        return _openai(usage), True
    if "inputTokens" in usage:
        return _pick(usage, _CONVERSE), False
    if "promptTokenCount" in usage or "prompt_token_count" in usage:
        return _gemini(usage), True
    if "input" in usage or "output" in usage:
        return _langfuse(usage)
    if (
        "cache_read_input_tokens" in usage
        or "cache_creation_input_tokens" in usage
        or ("input_tokens" in usage and "cache_creation" in usage)
    ):
        return _anthropic(usage), False
    return _pick(usage, _PLAIN), None


def details_of(text: object, *, output: bool) -> Counts:
    """Reads LangSmith's `input_token_details` or `output_token_details`."""
    details = parse_mapping(text)
    if details is None:
        return {}
    return _output_details(details) if output else _input_details(details)


_PLAIN: Final[Mapping[str, int]] = {
    "input_tokens": Field.INPUT, "output_tokens": Field.OUTPUT, "total_tokens": Field.TOTAL,
}  # fmt: skip
_CONVERSE: Final[Mapping[str, int]] = {
    "inputTokens": Field.INPUT, "outputTokens": Field.OUTPUT,
    "cacheReadInputTokens": Field.CACHE_READ, "cacheWriteInputTokens": Field.CACHE_WRITE,
}  # fmt: skip


def _pick(usage: Mapping[str, object], names: Mapping[str, int]) -> Counts:
    return {field: usage[name] for name, field in names.items() if usage.get(name) is not None}


def _part(usage: Mapping[str, object], *names: str) -> Mapping[str, object]:
    for name in names:
        value = usage.get(name)
        if isinstance(value, Mapping):
            return value
    return {}


def _openai(usage: Mapping[str, object]) -> Counts:
    """Chat Completions, Responses, and LiteLLM's own object, which is Chat Completions with more in it."""
    prompt = _part(usage, "prompt_tokens_details", "input_tokens_details")
    answer = _part(usage, "completion_tokens_details", "output_tokens_details")
    lifetimes = _part(prompt, "cache_creation_token_details")
    counts = _pick(
        usage,
        {
            "prompt_tokens": Field.INPUT, "input_tokens": Field.INPUT, "completion_tokens": Field.OUTPUT,
            "output_tokens": Field.OUTPUT, "total_tokens": Field.TOTAL,
            "cache_read_input_tokens": Field.CACHE_READ, "cache_creation_input_tokens": Field.CACHE_WRITE,
        },
    )  # fmt: skip
    counts |= _pick(
        prompt,
        {
            "cached_tokens": Field.CACHE_READ, "cache_creation_tokens": Field.CACHE_WRITE,
            "cache_write_tokens": Field.CACHE_WRITE, "audio_tokens": Field.AUDIO_INPUT,
        },
    )  # fmt: skip
    counts |= _pick(answer, {"reasoning_tokens": Field.REASONING, "audio_tokens": Field.AUDIO_OUTPUT})
    return counts | _pick(lifetimes, _LIFETIMES)


_LIFETIMES: Final[Mapping[str, int]] = {
    "ephemeral_5m_input_tokens": Field.CACHE_WRITE_5M, "ephemeral_1h_input_tokens": Field.CACHE_WRITE_1H,
}  # fmt: skip


def _anthropic(usage: Mapping[str, object]) -> Counts:
    counts = _pick(usage, _PLAIN) | _pick(
        usage,
        {"cache_read_input_tokens": Field.CACHE_READ, "cache_creation_input_tokens": Field.CACHE_WRITE},
    )
    return counts | _pick(_part(usage, "cache_creation"), _LIFETIMES)


def _gemini(usage: Mapping[str, object]) -> Counts:
    """Candidates do not include thoughts in Gemini's own object, so they are added to the output here."""
    counts = _pick(
        usage,
        {
            "promptTokenCount": Field.INPUT, "prompt_token_count": Field.INPUT,
            "cachedContentTokenCount": Field.CACHE_READ, "cached_content_token_count": Field.CACHE_READ,
            "candidatesTokenCount": Field.OUTPUT, "candidates_token_count": Field.OUTPUT,
            "thoughtsTokenCount": Field.REASONING, "thoughts_token_count": Field.REASONING,
        },
    )  # fmt: skip
    thoughts, answer = counts.get(Field.REASONING), counts.get(Field.OUTPUT)
    if isinstance(thoughts, int) and isinstance(answer, int):
        counts[Field.OUTPUT] = answer + thoughts
    return counts


def _langchain(usage: Mapping[str, object]) -> Counts:
    counts = _pick(usage, _PLAIN)
    counts |= _input_details(_part(usage, "input_token_details"))
    return counts | _output_details(_part(usage, "output_token_details"))


def _input_details(details: Mapping[str, object]) -> Counts:
    """LangChain puts the service tier before the names of the details on tiers other than the default."""
    counts: Counts = {}
    for name, value in details.items():
        plain = name.removeprefix("flex_").removeprefix("priority_")
        field = _INPUT_DETAILS.get(plain)
        if field is not None and value is not None:
            counts[field] = value
    return counts


def _output_details(details: Mapping[str, object]) -> Counts:
    counts: Counts = {}
    for name, value in details.items():
        field = _OUTPUT_DETAILS.get(name.removeprefix("flex_").removeprefix("priority_"))
        if field is not None and value is not None:
            counts[field] = value
    return counts


_INPUT_DETAILS: Final[Mapping[str, int]] = {
    "cache_read": Field.CACHE_READ, "cache_creation": Field.CACHE_WRITE, "audio": Field.AUDIO_INPUT,
    "cache_write": Field.CACHE_WRITE, **_LIFETIMES,
}  # fmt: skip
_OUTPUT_DETAILS: Final[Mapping[str, int]] = {"reasoning": Field.REASONING, "audio": Field.AUDIO_OUTPUT}


def _langfuse(usage: Mapping[str, object]) -> tuple[Counts, bool | None]:
    """Langfuse's own object: `input` and `output`, and parts under `input_…` and `output_…`.

    Whether the parts are inside `input` and `output` differs by path, and only the total tells: it is the sum
    of everything, or of `input` and `output` alone. Anthropic's counts come without a total, and disjoint.
    """
    counts = _pick(usage, {"input": Field.INPUT, "output": Field.OUTPUT, "total": Field.TOTAL})
    for name, value in usage.items():
        plain = name.replace("_flex", "").replace("_priority", "")
        field = _LANGFUSE_PARTS.get(plain)
        if field is not None and value is not None:
            counts[field] = value
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        return counts, False
    prompt = _sum_of(usage, "input")
    answer = _sum_of(usage, "output")
    total = usage.get("total")
    if total is None or total == _whole(usage.get("input")) + _whole(usage.get("output")):
        return counts, True
    if total != prompt + answer:
        return counts, None
    return counts | {Field.INPUT: prompt, Field.OUTPUT: answer}, True


_LANGFUSE_PARTS: Final[Mapping[str, int]] = {
    "input_cache_read": Field.CACHE_READ, "cache_read_input_tokens": Field.CACHE_READ,
    "input_cached_tokens": Field.CACHE_READ, "input_cache_creation": Field.CACHE_WRITE,
    "cache_creation_input_tokens": Field.CACHE_WRITE, "output_reasoning": Field.REASONING,
    "output_reasoning_tokens": Field.REASONING, "input_audio": Field.AUDIO_INPUT,
    "output_audio": Field.AUDIO_OUTPUT,
    "cache_creation_ephemeral_5m_input_tokens": Field.CACHE_WRITE_5M,
    "cache_creation_ephemeral_1h_input_tokens": Field.CACHE_WRITE_1H,
}  # fmt: skip


def _sum_of(usage: Mapping[str, object], side: str) -> int:
    return sum(_whole(value) for name, value in usage.items() if name == side or name.startswith(f"{side}_"))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
