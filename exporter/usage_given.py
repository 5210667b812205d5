"""Token counts as an application has them: ours, or the usage object of a provider's answer."""

from collections.abc import Mapping
from typing import Any, Final

from spanbudget.exporter.guard.usage import read_usage
from spanbudget.processors.call import TOKENS_MAX, Usage
from spanbudget.processors.errors import AmountError

_OURS: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "reasoning_tokens": "reasoning",
}
_PROVIDERS: Final = (
    # A key that only one of them uses → whose object it is.
    ("promptTokenCount", "gcp.gemini"),
    ("candidatesTokenCount", "gcp.gemini"),
    ("prompt_tokens", "openai"),
    ("completion_tokens", "openai"),
    ("input_tokens_details", "openai"),
    ("cache_read_input_tokens", "anthropic"),
    ("cache_creation_input_tokens", "anthropic"),
    ("cache_creation", "anthropic"),
)


def usage_given(given: object) -> Usage:
    """Reads token counts.

    Args:
        given: A `Usage`; a mapping of `input_tokens` (without those of caches), `output_tokens`,
            `cache_read_tokens`, `cache_write_tokens`, `reasoning_tokens`; or the usage object of an answer of
            OpenAI, Anthropic or Gemini, as the SDK gives it or as JSON.

    Raises:
        AmountError: It is none of these, or a count makes no sense.
    """
    if isinstance(given, Usage):
        return _checked(given)
    dump = getattr(given, "model_dump", None)
    found: Any = dump() if callable(dump) else given
    if not isinstance(found, Mapping):
        raise AmountError(f"usage: must be a Usage or a mapping of token counts, not {type(given).__name__}")
    for key, provider in _PROVIDERS:
        if found.get(key) is not None:
            usage, confidence, reasons = read_usage(found, provider, embeddings=False)
            if confidence != "exact":
                raise AmountError(f"usage: its counts do not fit together ({', '.join(reasons)})")
            return _checked(usage)
    unknown = [str(key)[:40] for key in found if key not in _OURS]
    if unknown or not found:
        raise AmountError(f"usage: must name {', '.join(_OURS)}; got {', '.join(unknown[:5]) or 'nothing'}")
    counts = {_OURS[key]: value for key, value in found.items() if value is not None}
    return _checked(Usage(**{"cache_read": 0, "cache_write": 0, **counts}))


def _is_count(count: object) -> bool:
    whole = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= TOKENS_MAX
    return whole or count is None


def _checked(usage: Usage) -> Usage:
    for name, count in zip(Usage._fields, usage, strict=True):
        if not _is_count(count):
            raise AmountError(f"usage: {name} must be 0 to {TOKENS_MAX} tokens, got {str(count)[:40]}")
    return usage
