"""What is recognised, how long a prompt can be, and what is sent in its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.guard.prompt_bound import bound_prompt, plain_bound
from spanbudget.exporter.guard.requests import (
    TARGETS_MAX,
    Api,
    LLMRequest,
    Targets,
    find_target,
    read_request,
)
from spanbudget.exporter.guard.rewriting import rewrite


def request(url: str, body: dict[str, Any], config: GuardConfig | None = None) -> LLMRequest | None:
    host, _, path = url.partition("/")
    target = find_target(config or GuardConfig(), "POST", host, None, f"/{path}".encode())
    return read_request(target, json.dumps(body).encode()) if target else None


@pytest.mark.parametrize(
    ("url", "api", "provider", "model"),
    [
        ("api.openai.com/v1/chat/completions", Api.CHAT, "openai", "m"),
        ("eu.api.openai.com/v1/completions", Api.COMPLETIONS, "openai", "m"),
        ("api.openai.com/v1/responses", Api.RESPONSES, "openai", "m"),
        ("api.openai.com/v1/embeddings?x=y", Api.EMBEDDINGS, "openai", "m"),
        ("res.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21",
         Api.CHAT, "azure.ai.openai", "dep"),
        ("res.openai.azure.com/openai/v1/responses", Api.RESPONSES, "azure.ai.openai", "m"),
        ("api.anthropic.com/v1/messages", Api.MESSAGES, "anthropic", "m"),
        ("API.anthropic.com/v1/messages", Api.MESSAGES, "anthropic", "m"),
        ("generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:generateContent",
         Api.GENERATE, "gcp.gemini", "gemini-3-pro"),
        ("generativelanguage.googleapis.com/v1beta/openai/chat/completions", Api.CHAT, "gcp.gemini", "m"),
        ("generativelanguage.googleapis.com/v1/models/e:batchEmbedContents", Api.EMBED, "gcp.gemini", "e"),
        ("us-east5-aiplatform.googleapis.com/v1/projects/p/publishers/anthropic/models/c%404:rawPredict",
         Api.MESSAGES, "gcp.vertex_ai", "c@4"),
        ("openrouter.ai/api/v1/chat/completions", Api.CHAT, "openrouter", "m"),
        ("api.mistral.ai/v1/chat/completions", Api.CHAT, "mistral_ai", "m"),
    ],
)  # fmt: skip
def test_requests_are_recognised(url: str, api: Api, provider: str, model: str) -> None:
    found = request(url, {"model": "m"})
    assert found is not None
    assert (found.target.api, found.asked.provider, found.asked.model) == (api, provider, model)


@pytest.mark.parametrize(
    "url",
    [
        "example.com/v1/chat/completions",
        "localhost/v1/chat/completions",
        "api.openai.com.evil.example/v1/responses",
        "api.openai.com/v1/responses/resp_1/cancel",
        "api.openai.com/v1/chat/completions/",
        "api.anthropic.com/v1/messages/count_tokens",
        "api.anthropic.com/v1/messages/batches",
        "us-aiplatform.googleapis.com/v1/projects/p/endpoints/e:rawPredict",
        "generativelanguage.googleapis.com/v1beta/models/g:countTokens",
    ],
)
def test_other_requests_are_not(url: str) -> None:
    assert request(url, {"model": "m"}) is None


def test_configured_hosts_go_before_known_ones() -> None:
    config = GuardConfig.model_validate(
        {
            "hosts": {
                "LLM.example.com": {"provider": "azure"},
                "localhost:8000": {"provider": "house", "include_usage": False},
                "*.internal": {"provider": "openai"},
                "api.openai.com": {"provider": "other"},
                "[::1]:80": {"provider": "openai"},
            }
        }
    )
    provider = {
        (host, port): found.provider
        for host, port in [
            ("llm.example.com", None), ("llm.example.com", 8443), ("localhost", 8000), ("a.internal", 1),
            ("api.openai.com", None), ("::1", 80),
        ]
        if (found := config.host(host, port))
    }  # fmt: skip
    assert provider == {
        ("llm.example.com", None): "azure.ai.openai",
        ("llm.example.com", 8443): "azure.ai.openai",
        ("localhost", 8000): "house",
        ("a.internal", 1): "openai",
        ("api.openai.com", None): "other",
        ("::1", 80): "openai",
    }
    assert config.host("localhost", None) is None


@pytest.mark.parametrize("host", ["https://x.example", "x/y", "", "*", "a b"])
def test_a_host_is_no_url(host: str) -> None:
    with pytest.raises(ValidationError):
        GuardConfig.model_validate({"hosts": {host: {"provider": "openai"}}})


@pytest.mark.parametrize(
    ("body", "limit", "choices", "tier"),
    [
        ({"max_tokens": 5}, 5, 1, None),
        ({"max_tokens": 5, "max_completion_tokens": 6, "n": 3}, 6, 3, None),
        ({"max_tokens": "5", "n": 0, "service_tier": "auto"}, None, 1, None),
        ({"max_tokens": True, "n": True, "service_tier": "flex"}, None, 1, "flex"),
        ({"service_tier": "default"}, None, 1, None),
    ],
)
def test_limits_of_a_chat(body: dict[str, Any], limit: int | None, choices: int, tier: str | None) -> None:
    found = request("api.openai.com/v1/chat/completions", {"model": "m", **body})
    assert found is not None
    assert (found.asked.max_tokens, found.asked.choices, found.asked.tier) == (limit, choices, tier)


def test_completions_multiply_by_prompts_and_best_of() -> None:
    found = request("api.openai.com/v1/completions", {"prompt": ["a", "b"], "n": 2, "best_of": 3})
    tokens = request("api.openai.com/v1/completions", {"prompt": [1, 2, 3]})
    assert found is not None
    assert tokens is not None
    assert (found.asked.choices, tokens.asked.choices) == (6, 1)


def test_a_call_request_has_not_been_sent() -> None:
    found = request("api.anthropic.com/v1/messages", {"model": "c", "max_tokens": 9, "messages": []})
    assert found is not None
    asked = found.asked
    assert (asked.sent, asked.cache_writes, asked.operation) == (False, "no", "chat")


PNG = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": "r"},
        {"conversation": {"id": "c"}},
        {"prompt": {"id": "p"}},
        {"cachedContent": "c"},
        {"web_search_options": {}},
        {"input": [{"type": "item_reference", "id": "i"}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]},
        {"input": [{"content": [{"type": "input_image", "image_url": "https://x/y.png"}]}]},
        {"input": [{"content": [{"type": "input_file", "file_id": "f"}]}]},
        {"messages": [{"content": [{"type": "file", "file": {"file_data": "data:application/pdf,A"}}]}]},
        {"messages": [{"content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}]},
        {"messages": [{"content": [{"type": "document", "source": {
            "type": "base64", "media_type": "application/pdf", "data": "A"}}]}]},
        {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
        {"contents": [{"parts": [{"fileData": {"fileUri": "u"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "A"}}]}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"googleSearch": {}}]},
    ],
)  # fmt: skip
def test_what_is_only_referred_to_has_no_bound(body: dict[str, Any]) -> None:
    assert bound_prompt(body).tokens_max is None


@pytest.mark.parametrize(
    ("body", "least"),
    [
        ({"messages": [{"role": "user", "content": "x" * 1000}]}, 1000),
        ({"messages": [{"content": "é" * 1000}]}, 2000),
        ({"input": [list(range(100))]}, 100),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": PNG}}]}]}, 50_000),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/mp3", "data": "A" * 1600}}]}]}, 100),
        ({"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "A" * 1600}}]}]}, 100),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"file_id": "str"}}}]},
            1024,
        ),
        ({"tools": [{"functionDeclarations": [{"name": "f"}]}]}, 1024),
        ({"messages": [{"content": [{"type": "tool_use", "input": {"file_id": "x", "source": "y"}}]}]}, 20),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 2048),
        ({"audio": {"voice": "v", "format": "f"}}, 10),
    ],
)
def test_what_is_in_the_request_is_bounded(body: dict[str, Any], least: int) -> None:
    bound = bound_prompt(body).tokens_max
    assert bound is not None
    assert least <= bound <= least * 1.5 + 200


def test_cache_control_is_found() -> None:
    def marked(ttl: str) -> dict[str, Any]:
        return {
            "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": ttl}}]
        }

    assert bound_prompt({"messages": [marked("5m")]}).cache_writes == "5m"
    assert bound_prompt({"messages": [marked("1h"), marked("5m")]}).cache_writes == "1h"
    assert bound_prompt({"tools": [{"name": "f", "cache_control": {}}]}).cache_writes == "5m"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,  # bodies of 1 kB; what is larger takes longer and shows nothing else
)


@given(st.dictionaries(st.text(), JSON))
def test_text_never_has_more_tokens_than_its_bound(body: dict[str, Any]) -> None:
    """A token stands for at least one byte, so the bytes of all texts are the most tokens there can be."""
    bound = bound_prompt(body)
    texts = [value for value in body.values() if isinstance(value, str)]
    assert bound.tokens >= sum(len(text.encode(errors="surrogatepass")) for text in texts)


NAMES = st.sampled_from(
    ["model", "messages", "input", "system", "stop", "user", "tools", "previous_response_id", "prompt"]
) | st.text(max_size=3)
PARTS = st.dictionaries(
    st.sampled_from(["role", "content", "name", "file_id", "type", "image_url", "audio", "cache_control"]),
    JSON,
    max_size=3,
)


@given(body=st.dictionaries(NAMES, JSON | st.lists(PARTS | st.text()), max_size=5), escaped=st.booleans())
def test_the_quick_bound_is_never_below_the_thorough_one(body: dict[str, Any], *, escaped: bool) -> None:
    text = json.dumps(body, ensure_ascii=escaped, separators=(",", ":")).encode(errors="surrogatepass")
    quick, thorough = plain_bound(body, text), bound_prompt(body)
    if quick is not None:
        assert thorough.tokens_max is not None
        assert quick >= thorough.tokens_max
        assert thorough.cache_writes == "no"


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "messages": [{"role": "user", "content": "é" * 500}]},
        {"model": "m", "input": ["a" * 500, "b" * 500], "encoding_format": "float"},
        {"model": "m", "input": "a" * 500, "temperature": 0.5, "stream": True},
    ],
)
def test_most_requests_are_bounded_without_a_walk(body: dict[str, Any]) -> None:
    text = json.dumps(body, ensure_ascii=False).encode()
    bound = plain_bound(body, text)
    assert bound is not None
    assert bound <= bound_prompt(body).tokens + 100


def test_an_escaped_text_is_walked_through() -> None:
    """Its JSON is three times as long as it is."""
    body = {"messages": [{"role": "user", "content": "é" * 500}]}
    assert plain_bound(body, json.dumps(body).encode()) is None


def test_addresses_are_remembered_up_to_a_limit() -> None:
    targets = Targets(GuardConfig())
    paths = [f"/deployments/{number}/chat/completions".encode() for number in range(TARGETS_MAX + 1)]
    found = [targets.find("POST", "r.openai.azure.com", None, path) for path in paths]
    assert targets.find("POST", "r.openai.azure.com", None, paths[-1]) is found[-1]
    assert targets.find("POST", "r.openai.azure.com", None, paths[0]) is not found[0]
    assert targets.find("GET", "r.openai.azure.com", None, paths[-1]) is None
    assert targets.find("POST", "example.com", None, paths[-1]) is None


def rewritten(url: str, body: dict[str, Any], **changes: Any) -> tuple[dict[str, Any] | None, bytes | None]:
    found = request(url, body)
    assert found is not None
    path = f"/{url.partition('/')[2]}".encode()
    result = rewrite(found, path, max_tokens=changes.get("max_tokens"), model=changes.get("model"))
    return (None if result.body is None else json.loads(result.body)), result.raw_path


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        ("api.openai.com/v1/chat/completions", {}, {"max_completion_tokens": 50}),
        ("api.openai.com/v1/chat/completions", {"max_tokens": 90}, {"max_tokens": 50}),
        ("api.deepseek.com/chat/completions", {}, {"max_tokens": 50}),
        ("api.openai.com/v1/responses", {}, {"max_output_tokens": 50}),
        ("api.anthropic.com/v1/messages", {"max_tokens": 90}, {"max_tokens": 50}),
        ("api.openai.com/v1/embeddings", {}, None),
        ("generativelanguage.googleapis.com/v1/models/g:generateContent",
         {"generation_config": {"temperature": 1, "max_output_tokens": 90}},
         {"generation_config": {"temperature": 1, "max_output_tokens": 50}}),
    ],
)  # fmt: skip
def test_a_clamp_is_written_where_the_limit_stands(
    url: str, body: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert rewritten(url, body, max_tokens=50)[0] == expected


def test_thinking_stays_below_the_limit() -> None:
    body = {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 8000}}
    sent, _ = rewritten("api.anthropic.com/v1/messages", body, max_tokens=2000)
    assert sent == {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1999}}


def test_a_model_is_replaced_in_the_body_or_in_the_path() -> None:
    assert rewritten("api.openai.com/v1/responses", {"model": "a"}, model="b")[0] == {"model": "b"}
    assert rewritten("api.openai.com/v1/responses", {"model": "a"}, model="a")[0] is None
    path = rewritten("x.openai.azure.com/openai/deployments/a/embeddings?api-version=1", {}, model="b/c")[1]
    assert path == b"/openai/deployments/b%2Fc/embeddings?api-version=1"


CHAT = "api.openai.com/v1/chat/completions"
AZURE = "r.openai.azure.com/openai/deployments/d/chat/completions?api-version="
STREAM: dict[str, Any] = {"stream": True}


@pytest.mark.parametrize(
    ("url", "body", "injected"),
    [
        (CHAT, STREAM, True),
        (CHAT, {**STREAM, "stream_options": None}, True),
        (CHAT, {**STREAM, "stream_options": {"include_usage": True}}, False),
        (CHAT, {**STREAM, "data_sources": []}, False),
        (CHAT, {}, False),
        ("api.openai.com/v1/responses", STREAM, False),
        ("api.mistral.ai/v1/chat/completions", STREAM, False),
        (AZURE + "2024-06-01", STREAM, False),
        (AZURE + "2024-10-21", STREAM, True),
    ],
)  # fmt: skip
def test_usage_is_asked_for_where_it_is_missing(url: str, body: dict[str, Any], *, injected: bool) -> None:
    sent, _ = rewritten(url, body)
    assert sent == ({**body, "stream_options": {"include_usage": True}} if injected else None)
