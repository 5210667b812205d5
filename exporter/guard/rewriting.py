"""Rewrites a request: a shorter answer, a cheaper model, and the usage of a stream asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from spanbudget.exporter.guard.requests import (
    GENERATION_CONFIGS,
    LIMIT_FIELDS,
    Api,
    LLMRequest,
    generation_config,
)

THINKING_TOKENS_MIN: Final = 1_024
"""Least thinking that Anthropic accepts."""
_NEW_LIMIT: Final = frozenset({"openai", "azure.ai.openai"})
"""Providers whose newer models refuse `max_tokens`; the others may not know `max_completion_tokens`."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What is sent in place of the application's request.

    Attributes:
        body: The new body; None where it stays as it is.
        raw_path: The new path with its query; None where it stays.
        injects_usage: Whether the answer will carry a usage that the application did not ask for.
    """

    body: bytes | None
    raw_path: bytes | None
    injects_usage: bool


def rewrite(request: LLMRequest, raw_path: bytes, *, max_tokens: int | None, model: str | None) -> Rewriting:
    """Says what is sent.

    Args:
        request: The request as the application made it.
        raw_path: Its path and query.
        max_tokens: Most tokens that one answer may have; None leaves the application's limit.
        model: The model to send it to; None, or the one asked for, leaves it.
    """
    changes: dict[str, Any] = {}
    if max_tokens is not None and LIMIT_FIELDS[request.target.api]:
        changes |= _limited(request, max_tokens)
    path = None
    if model is not None and model != request.asked.model:
        if request.target.path_model is None:
            changes["model"] = model
        else:
            path = _path_with(raw_path, request.target.path_model, model)
    if request.injects_usage:
        options = request.body.get("stream_options")
        changes["stream_options"] = {
            **(options if isinstance(options, dict) else {}), "include_usage": True,
        }  # fmt: skip
    body = json.dumps({**request.body, **changes}, separators=(",", ":")).encode() if changes else None
    return Rewriting(body, path, request.injects_usage)


def _limited(request: LLMRequest, max_tokens: int) -> dict[str, Any]:
    api, body = request.target.api, request.body
    if api is Api.GENERATE:
        name = next((name for name in GENERATION_CONFIGS if name in body), GENERATION_CONFIGS[0])
        return {name: _with_limit(generation_config(body), LIMIT_FIELDS[api], max_tokens)}
    fields = LIMIT_FIELDS[api]
    if api is Api.CHAT and request.target.host.provider not in _NEW_LIMIT:
        fields = fields[::-1]
    given = {name: max_tokens for name in fields if body.get(name) is not None}
    changes: dict[str, Any] = given or {fields[0]: max_tokens}
    thinking = body.get("thinking")
    if api is Api.MESSAGES and isinstance(thinking, dict):
        changes |= _less_thinking(thinking, max_tokens)
    return changes


def _with_limit(config: Mapping[str, Any], fields: tuple[str, ...], max_tokens: int) -> dict[str, Any]:
    name = next((name for name in fields if name in config), fields[0])
    return {**config, name: max_tokens}


def _less_thinking(thinking: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    """Anthropic refuses a request whose thinking is not below its limit, and thinking below 1,024 tokens."""
    budget = thinking.get("budget_tokens")
    if type(budget) is not int or budget < max_tokens or max_tokens <= THINKING_TOKENS_MIN:
        return {}
    return {"thinking": {**thinking, "budget_tokens": max_tokens - 1}}


def _path_with(raw_path: bytes, old: str, new: str) -> bytes:
    """The path with another model in the place of the last one; the query stays."""
    path, mark, query = raw_path.partition(b"?")
    for spelling in (old, quote(old, safe="")):
        before, found, after = path.rpartition(f"/{spelling}".encode())
        if found and after[:1] in (b"/", b":"):
            return before + f"/{quote(new, safe='')}".encode() + after + mark + query
    return raw_path
