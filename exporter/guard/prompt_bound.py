"""The most tokens that the prompt of a request can have, from its JSON alone.

No tokenizer is needed: a token of a byte-pair encoding stands for at least one byte of UTF-8, so text never
has more tokens than bytes. What a provider adds around the text is covered by the constants below. What is
only referred to (files, remote images, earlier answers, what tools of the provider find) cannot be counted:
then there is no bound, and the context window of the model has to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

CacheWrites = Literal["no", "5m", "1h"]

TOKENS_PER_CALL: Final = 64
"""What opens and closes a conversation; OpenAI's cookbook counts 3 tokens."""
TOKENS_PER_OBJECT: Final = 8
"""What a provider puts around one message, part or tool; OpenAI's cookbook counts 4 a message."""
TOKENS_OF_TOOLSET: Final = 1_024
"""The instructions that come with any tools; Anthropic's documentation counts up to 804."""
TOKENS_OF_KNOWN_TOOL: Final = 1_024
"""The schema of a tool that the provider defines and the client runs; Anthropic's computer tool has 735."""
TOKENS_OF_IMAGE: Final = 50_000
"""One image in the request: gpt-4o-mini bills the most, 2,833 + 8 tiles of 5,667 = 48,169 tokens."""
TOKENS_OF_IMAGE_ANTHROPIC: Final = 8_192
"""One image in a message to Anthropic, which scales all images down to at most 4,784 tokens."""
AUDIO_CHARACTERS_PER_TOKEN: Final = 16
"""Sound is billed by the second, at most 32 tokens; base64 of 3 kbit/s, less than any codec that is accepted,
is 512 characters a second."""

_REFERENCES: Final = frozenset({
    "previous_response_id", "conversation", "cachedContent", "cached_content", "container", "mcp_servers",
    "web_search_options", "plugins", "data_sources",
})  # fmt: skip
"""Keys of a request that stand for more than is in it."""
_ABSENT: Final[tuple[object, ...]] = (None, "", [], False)
"""Values of such a key that ask for nothing; an empty object does ask, for OpenAI's web search."""
_PLAIN: Final = frozenset(
    {"arguments", "args", "functionCall", "function_call", "response", "input_schema", "parameters", "schema",
     "json_schema", "response_format", "responseSchema", "responseJsonSchema", "response_schema",
     "metadata", "tools"}
)  # fmt: skip
"""Keys under which the application's own JSON stands: nothing in there is a part of the conversation."""
_PLAIN_KEYS: Final = frozenset({
    "model", "messages", "input", "system", "instructions", "stream", "stop", "stop_sequences", "n", "seed",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p", "top_k",
    "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "service_tier", "user", "store",
    "reasoning_effort", "verbosity", "encoding_format", "dimensions", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "truncation",
})  # fmt: skip
"""Keys of requests that `plain_bound` understands, where their values are no objects."""
_PLAIN_LISTS: Final = frozenset({"messages", "input", "stop", "stop_sequences"})
_PLAIN_PARTS: Final = frozenset({"role", "content", "name"})
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_ESCAPE: Final = b"\\u"
_CLIENT_TOOLS: Final = frozenset({"function", "custom"})
_KNOWN_CLIENT_TOOLS: Final = (
    "bash_", "text_editor_", "computer", "memory_", "local_shell", "apply_patch",
)  # fmt: skip
"""Beginnings of the types of tools which the provider defines and the client runs."""


@dataclass(slots=True)
class PromptBound:
    """What was found out about a prompt.

    Attributes:
        tokens: Most tokens of all that is in the request.
        bounded: False where the request refers to more than is in it.
        cache_writes: The longest time for which the request asks to keep its prompt in a cache.
    """

    tokens: int = 0
    bounded: bool = True
    cache_writes: CacheWrites = "no"

    @property
    def tokens_max(self) -> int | None:
        """Most tokens of the prompt; None where there is no bound."""
        return self.tokens if self.bounded else None


def bound_prompt(body: Mapping[str, Any], *, image_tokens: int = TOKENS_OF_IMAGE) -> PromptBound:
    """Bounds the prompt of a request to any of the interfaces.

    All text and all numbers are counted, those that are no prompt as well: they are few bytes, and a field
    that is new tomorrow is counted too.

    Args:
        body: The request.
        image_tokens: Most tokens of an image that is in the request.
    """
    bound = PromptBound()
    referring = _REFERENCES & body.keys()
    if any(body[name] not in _ABSENT for name in referring) or isinstance(body.get("prompt"), dict):
        bound.bounded = False
    if "tools" in body:
        _add_tools(bound, body["tools"])
    tokens = TOKENS_PER_CALL
    waiting: list[tuple[Any, bool]] = [(body, False)]
    while waiting:  # not recursive: nesting has no limit
        value, plain = waiting.pop()
        kind = type(value)
        if kind is str:
            tokens += len(value) if value.isascii() else _bytes(value)
        elif kind is dict:
            tokens += TOKENS_PER_OBJECT
            for name, item in value.items():
                tokens += len(name) if name.isascii() else _bytes(name)
                if plain or name not in _SPECIAL:
                    waiting.append((item, plain))
                else:
                    _add_special(bound, name, item, image_tokens, waiting)
        elif kind is list:
            waiting.extend([(item, plain) for item in value])
        elif value is not None:
            tokens += len(repr(value))
    bound.tokens += tokens
    return bound


def plain_bound(body: Mapping[str, Any], text: bytes) -> int | None:
    """Bounds a prompt of nothing but text without walking through it; None where there may be more in it.

    All text of the request stands in its JSON, byte for byte or escaped, which is longer: so the length of
    the JSON is the bound, and what a provider puts around messages comes on top. Only names that are known to
    mean no more than their text are let through, and at most one level of messages.

    Args:
        body: The request.
        text: Its JSON.
    """
    if not _PLAIN_KEYS.issuperset(body) or _ESCAPE in text:  # an escaped text may be three times as long
        return None
    objects = 1
    for name in [name for name, value in body.items() if type(value) not in _SCALARS]:
        value = body[name]
        if type(value) is not list or name not in _PLAIN_LISTS:
            return None
        for item in value:
            if type(item) is dict:
                if not _PLAIN_PARTS.issuperset(item) or not _SCALARS.issuperset(map(type, item.values())):
                    return None
            elif type(item) is not str:
                return None
        objects += len(value)
    return len(text) + TOKENS_PER_CALL + TOKENS_PER_OBJECT * objects


def _add_special(
    bound: PromptBound, name: str, value: Any, image_tokens: int, waiting: list[tuple[Any, bool]]
) -> None:
    """Counts what stands under a name that may mean more than its text."""
    if name == "type":
        bound.bounded = bound.bounded and value != "item_reference"
    elif name == "cache_control" and isinstance(value, dict):
        _add_cache_control(bound, value)
    media = _MEDIA.get(name)
    tokens = media(value, image_tokens) if media else None
    if tokens is None:
        own = name in _PLAIN or (name == "input" and isinstance(value, dict))
        waiting.append((value, own))
    elif tokens == _UNKNOWN:
        bound.bounded = False
    else:
        bound.tokens += tokens


def _add_tools(bound: PromptBound, tools: object) -> None:
    if not isinstance(tools, list) or not tools:
        return
    bound.tokens += TOKENS_OF_TOOLSET
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        kind = str(tool.get("type") or "custom")
        if "cache_control" in tool and isinstance(tool["cache_control"], dict):
            _add_cache_control(bound, tool["cache_control"])
        if kind.startswith(_KNOWN_CLIENT_TOOLS):
            bound.tokens += TOKENS_OF_KNOWN_TOOL
        elif kind not in _CLIENT_TOOLS or not _declares_only(tool):
            bound.bounded = False  # the provider runs it and puts what it finds into the prompt


def _declares_only(tool: Mapping[str, Any]) -> bool:
    """Gemini's tools have no type: what is beside the declarations of functions runs at Google."""
    return "name" in tool or "function" in tool or set(tool) <= {
        "functionDeclarations", "function_declarations",
    }  # fmt: skip


def _add_cache_control(bound: PromptBound, control: Mapping[str, Any]) -> None:
    if control.get("ttl") == "1h":
        bound.cache_writes = "1h"
    elif bound.cache_writes == "no":
        bound.cache_writes = "5m"


_UNKNOWN: Final = -1


def _image_tokens(value: Any, image_tokens: int) -> int | None:
    """OpenAI's `image_url`, which is a text or an object with a text."""
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        return None
    return image_tokens if url.startswith("data:") else _UNKNOWN


def _source_tokens(value: Any, image_tokens: int) -> int | None:
    """Anthropic's `source` of an image or a document."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "base64":
        return image_tokens if str(value.get("media_type")).startswith("image/") else _UNKNOWN
    return _UNKNOWN if kind in ("url", "file") else None


def _inline_tokens(value: Any, image_tokens: int) -> int | None:
    """Gemini's `inlineData`."""
    if not isinstance(value, dict):
        return None
    kind = str(value.get("mimeType") or value.get("mime_type"))
    data = value.get("data")
    if kind.startswith("image/"):
        return image_tokens
    if isinstance(data, str) and kind.startswith(("audio/", "text/")):
        return len(data) // (AUDIO_CHARACTERS_PER_TOKEN if kind.startswith("audio/") else 1) + 1
    return _UNKNOWN


def _audio_tokens(value: Any, _: int) -> int | None:
    """OpenAI's `input_audio`."""
    data = value.get("data") if isinstance(value, dict) else None
    return len(data) // AUDIO_CHARACTERS_PER_TOKEN + 1 if isinstance(data, str) else None


def _earlier_audio(value: Any, _: int) -> int | None:
    """OpenAI's `audio` of an earlier answer, by its id."""
    return _UNKNOWN if isinstance(value, dict) and "id" in value else None


def _reference(value: Any, _: int) -> int | None:
    return _UNKNOWN if isinstance(value, (str, dict)) and value else None


_MEDIA: Final[Mapping[str, Callable[[Any, int], int | None]]] = {
    "image_url": _image_tokens, "source": _source_tokens, "input_audio": _audio_tokens,
    "inlineData": _inline_tokens, "inline_data": _inline_tokens, "audio": _earlier_audio,
    "file_id": _reference, "file_url": _reference, "file_data": _reference, "fileData": _reference,
    "video_url": _reference, "audio_url": _reference, "input_video": _reference,
}  # fmt: skip
"""What a part of the conversation may hold beside text → its tokens; None counts it like any other value."""
_SPECIAL: Final = frozenset({"type", "cache_control", "input", *_PLAIN, *_MEDIA})


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
