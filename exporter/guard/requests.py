"""Recognises requests to language models, and reads what has to be known before they are sent.

A request is recognised by its method, its host and the end of its path, so that all other traffic costs one
look. Only then is its body read. No text of it is kept.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.guard.config import GuardConfig, HostConfig
from spanbudget.exporter.guard.prompt_bound import (
    TOKENS_OF_IMAGE,
    TOKENS_OF_IMAGE_ANTHROPIC,
    CacheWrites,
    bound_prompt,
    plain_bound,
)
from spanbudget.processors.rates import standard_tier

BODY_BYTES_MAX: Final = 32 * 1024 * 1024
"""Largest request that is read; a larger one is no text, and passes."""
CALL_SECONDS_MAX: Final = 3_600.0
"""How long a call may take before its reservation is charged; the longest streams take some ten minutes."""
MODEL_CHARACTERS_MAX: Final = 256
CHOICES_MAX: Final = 100_000
TARGETS_MAX: Final = 256
"""Addresses of language models that are remembered by one guard; with one more it begins anew."""
_parse: Final = json.JSONDecoder().decode


class Api(Enum):
    """An interface to language models."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    GENERATE = "generate"
    EMBED = "embed"

    # Enum hashes names, in Python; these are looked up several times for every call.
    __hash__ = object.__hash__


OPERATIONS: Final[Mapping[Api, str]] = {
    Api.CHAT: "chat", Api.COMPLETIONS: "text_completion", Api.RESPONSES: "chat",
    Api.EMBEDDINGS: "embeddings", Api.MESSAGES: "chat", Api.GENERATE: "generate_content",
    Api.EMBED: "embeddings",
}  # fmt: skip
LIMIT_FIELDS: Final[Mapping[Api, tuple[str, ...]]] = {
    Api.CHAT: ("max_completion_tokens", "max_tokens"), Api.COMPLETIONS: ("max_tokens",),
    Api.RESPONSES: ("max_output_tokens",), Api.EMBEDDINGS: (), Api.MESSAGES: ("max_tokens",),
    Api.GENERATE: ("maxOutputTokens", "max_output_tokens"), Api.EMBED: (),
}  # fmt: skip
"""Where a request may limit its answer; the first one given holds. Gemini's stand in `generationConfig`."""
GENERATION_CONFIGS: Final = ("generationConfig", "generation_config")

_ENDS: Final[Mapping[str, Api]] = {
    "completions": Api.COMPLETIONS, "responses": Api.RESPONSES, "embeddings": Api.EMBEDDINGS,
    "messages": Api.MESSAGES,
}  # fmt: skip
_VERBS: Final[Mapping[str, tuple[Api, bool]]] = {
    "generateContent": (Api.GENERATE, False), "streamGenerateContent": (Api.GENERATE, True),
    "embedContent": (Api.EMBED, False), "batchEmbedContents": (Api.EMBED, False),
    "rawPredict": (Api.MESSAGES, False), "streamRawPredict": (Api.MESSAGES, True),
}  # fmt: skip
"""Google's verbs, and whether they stream; `rawPredict` is Anthropic's interface at Vertex."""
_DEPLOYMENT: Final = re.compile(r"/deployments/([^/]+)/")
_AZURE_VERSION: Final = re.compile(rb"(?:^|&)api-version=(\d{4}-\d{2}-\d{2})")
_AZURE_USAGE_SINCE: Final = "2024-09-01"
"""First API version of Azure that knows `stream_options`; earlier ones answer 400."""
_AUTOMATIC_CACHE: Final = frozenset({Api.CHAT, Api.COMPLETIONS, Api.RESPONSES})
"""Interfaces whose providers write to a cache without being asked."""
_TIERS_OF_ACCOUNT: Final = frozenset({"auto", "standard_only"})
"""Not a tier: the account's, or the standard one."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes that a language model will answer.

    Attributes:
        api: The interface.
        host: What answers there.
        path_model: The model, where the path names it.
        streams: True where the path says that the answer streams.
        asks_usage: Whether a stream of this interface can be asked for its usage.
    """

    api: Api
    host: HostConfig
    path_model: str | None = None
    streams: bool = False
    asks_usage: bool = False


class LLMRequest(NamedTuple):
    """A request to a language model. It lives until the request is sent, because it holds the prompt.

    Attributes:
        target: Where it goes.
        body: The JSON body; nobody changes it.
        stream: Whether the answer is to be streamed.
        asked: The request as the admission takes it; nothing has been sent yet.
    """

    target: Target
    body: Mapping[str, Any]
    stream: bool
    asked: CallRequest

    @property
    def injects_usage(self) -> bool:
        """Whether the usage of the stream has to be asked for on the application's behalf."""
        if not self.stream or not self.target.asks_usage or "data_sources" in self.body:
            return False
        options = self.body.get("stream_options")
        return not (isinstance(options, dict) and options.get("include_usage"))


def find_target(
    config: GuardConfig, method: str, host: str, port: int | None, raw_path: bytes
) -> Target | None:
    """Says whether a request goes to a language model; None where it does not.

    Args:
        config: The hosts.
        method: HTTP method, in capitals.
        host: Host without port.
        port: Port; None for the default one.
        raw_path: Path and query as they are sent.
    """
    if method != "POST":
        return None
    path, _, query = raw_path.partition(b"?")
    text = path.decode("ascii", "replace")
    if "%" in text:
        text = unquote(text)
    end = text.rpartition("/")[2]
    api, streams, model = _ENDS.get(end), False, None
    if api is None:
        model, _, verb = end.rpartition(":")
        api, streams = _VERBS.get(verb, (None, False))
        if api is None or (api is Api.MESSAGES and "/publishers/anthropic/" not in text):
            return None
    elif api is Api.COMPLETIONS and text.endswith("/chat/completions"):
        api = Api.CHAT
    answering = config.host(host, port)
    if answering is None:
        return None
    deployment = _DEPLOYMENT.search(text)
    asks_usage = (
        api in (Api.CHAT, Api.COMPLETIONS) and answering.include_usage and _version_knows_usage(query)
    )
    return Target(api, answering, deployment[1] if deployment else model or None, streams, asks_usage)


class Targets:
    """Where requests of a process go; remembers the addresses of language models.

    Args:
        config: The hosts.
    """

    def __init__(self, config: GuardConfig) -> None:
        self._config = config
        self._known: dict[tuple[str, int | None, bytes], Target] = {}

    def find(self, method: str, host: str, port: int | None, raw_path: bytes) -> Target | None:
        """See `find_target`."""
        if method != "POST":
            return None
        key = (host, port, raw_path)
        known = self._known.get(key)
        if known is None:
            known = find_target(self._config, method, host, port, raw_path)
            if known is not None:
                if len(self._known) >= TARGETS_MAX:
                    self._known = {}
                self._known[key] = known
        return known


def read_request(target: Target, body: bytes) -> LLMRequest | None:
    """Reads a body; None where it is too large or no JSON object, which no provider accepts.

    Args:
        target: Where it goes.
        body: The body as it is sent; a compressed one is no JSON.
    """
    if len(body) > BODY_BYTES_MAX:
        return None
    try:
        value = _parse(body.decode())  # as text, for bytes are first asked for their encoding
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict:
        return None
    api = target.api
    cache_writes: CacheWrites = "no"
    tokens = plain_bound(value, body)
    if tokens is None:
        image_tokens = TOKENS_OF_IMAGE_ANTHROPIC if api is Api.MESSAGES else TOKENS_OF_IMAGE
        bound = bound_prompt(value, image_tokens=image_tokens)
        tokens, cache_writes = bound.tokens_max, bound.cache_writes
    if cache_writes == "no" and api in _AUTOMATIC_CACHE:
        cache_writes = "1h" if value.get("prompt_cache_retention") else "5m"
    asked = CallRequest(
        provider=target.host.provider,
        model=target.path_model or _text(value.get("model")),
        operation=OPERATIONS[api],
        tier=_tier(value),
        input_tokens=tokens,
        max_tokens=_max_tokens(api, value),
        choices=_choices(api, value),
        cache_writes=cache_writes,
        ttl_seconds=CALL_SECONDS_MAX,
        sent=False,
    )
    return LLMRequest(target, value, target.streams or value.get("stream") is True, asked)


def generation_config(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Gemini's `generationConfig`, in either spelling; empty where there is none."""
    found = next((body[name] for name in GENERATION_CONFIGS if isinstance(body.get(name), dict)), None)
    return found if found is not None else {}


def _max_tokens(api: Api, body: Mapping[str, Any]) -> int | None:
    if OPERATIONS[api] == "embeddings":
        return 0
    fields = generation_config(body) if api is Api.GENERATE else body
    for name in LIMIT_FIELDS[api]:
        limit = fields.get(name)
        if type(limit) is int and limit >= 0:
            return limit
    return None


def _choices(api: Api, body: Mapping[str, Any]) -> int:
    if api is Api.GENERATE:
        config = generation_config(body)
        return _count(config.get("candidateCount", config.get("candidate_count")))
    if api is Api.CHAT:
        return _count(body.get("n"))
    if api is Api.COMPLETIONS:
        each = max(_count(body.get("n")), _count(body.get("best_of")))
        prompts = body.get("prompt")
        if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):  # no list of tokens
            each *= len(prompts)
        return min(each, CHOICES_MAX)
    return 1


def _count(value: object) -> int:
    return min(value, CHOICES_MAX) if type(value) is int and value > 0 else 1


def _tier(body: Mapping[str, Any]) -> str | None:
    told = body.get("service_tier") or body.get("serviceTier")
    if told is None:
        return None
    tier = _text(told)
    return None if tier is None or tier in _TIERS_OF_ACCOUNT else standard_tier(tier)


def _text(value: object) -> str | None:
    return value[:MODEL_CHARACTERS_MAX] if isinstance(value, str) and value else None


def _version_knows_usage(query: bytes) -> bool:
    version = _AZURE_VERSION.search(query)
    return version is None or version[1].decode() >= _AZURE_USAGE_SINCE
