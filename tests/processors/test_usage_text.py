"""Usage that an emitter packs into one string."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.dialects import Field
from spanbudget.processors.usage_text import TEXT_MAX, counts_of, details_of, parse_mapping

NAMES = {
    Field.INPUT: "input", Field.OUTPUT: "output", Field.TOTAL: "total", Field.CACHE_READ: "read",
    Field.CACHE_WRITE: "write", Field.CACHE_WRITE_5M: "5m", Field.CACHE_WRITE_1H: "1h",
    Field.REASONING: "reasoning", Field.AUDIO_INPUT: "audio_in", Field.AUDIO_OUTPUT: "audio_out",
}  # fmt: skip


def named(counts) -> dict[str, object]:
    return {NAMES[field]: count for field, count in counts.items()}


@pytest.mark.parametrize(
    "text", ['{"a": 1}', "{'a': 1}", '{"a": 1, "b": null}', "{'a': 1, 'b': None, 'c': [True]}"]
)
def test_json_and_python_dictionaries_are_read(text) -> None:
    assert dict(parse_mapping(text) or {})["a"] == 1


@pytest.mark.parametrize(
    "text",
    [
        None, 5, "", "[]", "[1]", "x{}", "{", "{" * 5000, "{'a': __import__('os')}", "{'a': 9**9**9}",
            "{1, 2}",
        "{'a': 1}\x00", b"{}", "{'a':" + "-" * 9000 + "1}", "{'a': '\\d", '{"a": 1' + " " * TEXT_MAX + "}",
    ],
    ids=range(16),
)  # fmt: skip
def test_anything_else_is_nothing_and_never_evaluated(text) -> None:
    assert parse_mapping(text) is None


@pytest.mark.parametrize(("spaces", "read"), [(TEXT_MAX - 8, True), (TEXT_MAX - 7, False)])
def test_a_text_is_read_up_to_its_bound(spaces, read) -> None:
    """`{"a": 1}` has 8 characters."""
    assert (parse_mapping('{"a": 1' + " " * spaces + "}") is not None) is read


@given(st.text(max_size=60).map("{".__add__))
def test_no_text_breaks_the_reading(text) -> None:
    parse_mapping(text)


LANGFUSE_FLEX = {
    "input": 0, "output": 0, "total": 1294, "input_flex": 1063, "output_flex": 87,
    "output_flex_reasoning": 144,
}  # fmt: skip
CASES = {
    "nothing": ({}, {}, None),
    "Chat Completions": (
        {
            "prompt_tokens": 900, "completion_tokens": 60, "total_tokens": 960,
            "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 7},
            "completion_tokens_details": {"reasoning_tokens": 9, "audio_tokens": 3},
        },
        {"input": 900, "output": 60, "total": 960, "read": 400, "audio_in": 7, "reasoning": 9,
            "audio_out": 3},
        True,
    ),
    "Responses": (
        {
            "input_tokens": 900, "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
            "output_tokens": 60, "output_tokens_details": {"reasoning_tokens": 9}, "total_tokens": 960,
        },
        {"input": 900, "output": 60, "total": 960, "read": 400, "write": 100, "reasoning": 9},
        True,
    ),
    "LiteLLM of Anthropic": (
        {
            "prompt_tokens": 4533, "completion_tokens": 60, "cache_creation_input_tokens": 512,
            "cache_read_input_tokens": 4000,
            "prompt_tokens_details": {
                "cached_tokens": 4000, "cache_creation_tokens": 512,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 500,
                    "ephemeral_1h_input_tokens": 12},
            },
        },
        {"input": 4533, "output": 60, "read": 4000, "write": 512, "5m": 500, "1h": 12},
        True,
    ),
    "Anthropic": (
        {
            "input_tokens": 21, "output_tokens": 60, "cache_read_input_tokens": 4000,
            "cache_creation_input_tokens": 512,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 12},
        },
        {"input": 21, "output": 60, "read": 4000, "write": 512, "5m": 500, "1h": 12},
        False,
    ),
    "Bedrock Converse": (
        {"inputTokens": 21, "outputTokens": 60, "cacheReadInputTokens": 4000, "cacheWriteInputTokens": 512},
        {"input": 21, "output": 60, "read": 4000, "write": 512},
        False,
    ),
    "Gemini: 90 + 60 thoughts = 150": (
        {
            "promptTokenCount": 900, "candidatesTokenCount": 90, "thoughtsTokenCount": 60,
            "cachedContentTokenCount": 400,
        },
        {"input": 900, "read": 400, "output": 150, "reasoning": 60},
        True,
    ),
    "LangChain": (
        {
            "input_tokens": 900, "output_tokens": 60, "total_tokens": 960,
            "input_token_details": {"cache_read": 400}, "output_token_details": {"reasoning": 9},
        },
        {"input": 900, "output": 60, "total": 960, "read": 400, "reasoning": 9},
        True,
    ),
    "LangChain on flex": (
        {
            "input_tokens": 900, "output_tokens": 60, "input_token_details": {"flex": 500,
                "flex_cache_read": 400},
            "output_token_details": {"flex": 51, "flex_reasoning": 9},
        },
        {"input": 900, "output": 60, "read": 400, "reasoning": 9},
        True,
    ),
    "Langfuse, parts inside: 2019 + 287 = 2306": (
        {"input": 2019, "output": 287, "total": 2306, "input_cached_tokens": 1408,
            "output_reasoning_tokens": 176},
        {"input": 2019, "output": 287, "total": 2306, "read": 1408, "reasoning": 176},
        True,
    ),
    "Langfuse, parts outside: 611 + 1408 + 111 + 176 = 2306": (
        {"input": 611, "output": 111, "total": 2306, "input_cache_read": 1408, "output_reasoning": 176},
        {"input": 2019, "output": 287, "total": 2306, "read": 1408, "reasoning": 176},
        True,
    ),
    "Langfuse on flex: 1063 + 87 + 144 = 1294": (
        LANGFUSE_FLEX, {"input": 1063, "output": 231, "total": 1294, "reasoning": 144}, True,
    ),
    "Langfuse of Anthropic": (
        {"input": 21, "output": 60, "cache_read_input_tokens": 4000, "cache_creation_input_tokens": 512},
        {"input": 21, "output": 60, "read": 4000, "write": 512},
        False,
    ),
    "Langfuse whose total fits neither way": (
        {"input": 10, "output": 20, "total": 99, "input_cache_read": 5},
        {"input": 10, "output": 20, "total": 99, "read": 5},
        None,
    ),
    "input and output alone": ({"input_tokens": 9, "output_tokens": 6}, {"input": 9, "output": 6}, None),
    "something else": ({"foo": 1}, {}, None),
}  # fmt: skip


@pytest.mark.parametrize(("usage", "counts", "inside"), CASES.values(), ids=CASES)
def test_a_usage_object_of_any_provider_is_understood(usage, counts, inside) -> None:
    found, told = counts_of(usage)
    assert (named(found), told) == (counts, inside)


@pytest.mark.parametrize(("usage", "counts", "inside"), CASES.values(), ids=CASES)
def test_values_of_the_wrong_type_break_nothing(usage, counts, inside) -> None:
    for wrong in (None, "x", [1], {"a": 1}, 1.5, True):
        counts_of(dict.fromkeys(usage, wrong))


def test_details_come_as_json_or_as_a_python_literal() -> None:
    details = {"cache_read": 1536, "priority_cache_read": 1536, "audio": 3}
    for text in (json.dumps(details), repr(details)):
        assert named(details_of(text, output=False)) == {"read": 1536, "audio_in": 3}
    assert named(details_of("{'flex_reasoning': 7}", output=True)) == {"reasoning": 7}
    assert details_of("nothing", output=True) == {}
