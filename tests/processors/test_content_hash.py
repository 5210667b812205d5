"""Hashes of contents: equal for equal requests, different for others, and nothing without an opt-in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_spans import GENAI_OPENAI, genai, span

from spanbudget.processors.content_hash import KEY_BYTES_MIN, ContentHasher, split_prefix
from spanbudget.processors.reading import SpanReader

KEY = b"k" * KEY_BYTES_MIN
SYSTEM = '[{"type": "text", "content": "You are a clerk."}]'
TOOLS = '[{"type": "function", "name": "get_weather"}]'


def messages(*texts, system=None):
    told = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]
    return json.dumps(([{"role": "system", "parts": [{"content": system}]}] if system else []) + told)


def genai_contents(question="hello", **more):
    return {
        "gen_ai.system_instructions": SYSTEM,
        "gen_ai.tool.definitions": TOOLS,
        "gen_ai.input.messages": messages(question),
        **more,
    }


def hashes(attributes, key=KEY, **told):
    prompt, prefix = ContentHasher(key).hashes(attributes, **told)
    return prompt, None if prefix is None else split_prefix(prefix)[0]


def flat(prefix, *pairs):
    """Messages as an attribute for each part: (role, text)."""
    given: dict[str, str] = {}
    for number, (role, text) in enumerate(pairs):
        given |= {f"{prefix}{number}.message.role": role, f"{prefix}{number}.message.content": text}
    return given


SHAPES = {
    "genai": lambda question, system: {
        "gen_ai.system_instructions": json.dumps([{"content": system}]),
        "gen_ai.input.messages": messages(question),
    },
    "roles in messages": lambda question, system: {
        "gen_ai.input.messages": messages(question, system=system)
    },
    "values, not text": lambda question, system: {
        "gen_ai.input.messages": ({"role": "system", "c": system}, {"role": "user", "c": question})
    },
    "openinference": lambda question, system: flat(
        "llm.input_messages.", ("system", system), ("user", question)
    ),
    "openllmetry": lambda question, system: {
        "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": system,
        "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": question,
    },
    "whole request": lambda question, system: {
        "input.value": json.dumps({"model": "gpt-5", "max_tokens": 5, "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": question}]}),
    },
    "system key": lambda question, system: {
        "input.value": json.dumps({"system": system, "messages": [{"role": "user", "content": question}]}),
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_questions_differ_and_instructions_are_shared(shape):
    one, other, elsewhere = (hashes(shape(*said)) for said in (("a?", "sys"), ("b?", "sys"), ("a?", "new")))
    assert len({one[0], other[0], elsewhere[0]}) == 3
    assert None not in {one[0], one[1]}
    assert one[1] == other[1] != elsewhere[1]
    assert hashes(shape("a?", "sys")) == one


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"gen_ai.request.model": "gpt-5-mini"}, True),
        ({"gen_ai.request.max_tokens": 4_000}, True),
        ({"gen_ai.request.stream": True}, True),
        ({"llm.invocation_parameters": '{"model": "x", "max_tokens": 4000, "user": "ann"}'}, True),
        ({"gen_ai.request.temperature": 0.5}, False),
        ({"gen_ai.request.seed": 3}, False),
        ({"llm.invocation_parameters": '{"response_format": {"type": "json"}}'}, False),
        ({"gen_ai.tool.definitions": "[]"}, False),
    ],
)
def test_a_larger_retry_is_the_same_request_and_another_temperature_is_not(change, same):
    assert (hashes(genai_contents())[0] == hashes(genai_contents(**change))[0]) is same


def test_another_key_gives_other_hashes():
    assert hashes(genai_contents())[0] != hashes(genai_contents(), key=b"q" * 16)[0]
    assert hashes(genai_contents(), key=b"k" * 100)[0] != hashes(genai_contents(), key=b"k" * 101)[0]


def test_the_prompt_and_its_beginning_never_share_a_hash():
    told = ContentHasher().hashes({}, "same", "same")
    assert told[0] is not None
    assert told[1] is not None
    assert told[0] >> 8 != told[1] >> 8


def test_without_a_key_only_what_the_application_says_is_hashed():
    assert hashes(genai_contents(), key=None) == (None, None)
    told = hashes(genai_contents(), key=None, told_prompt="request-7")
    assert told[0] == hashes({}, key=None, told_prompt="request-7")[0]
    assert told[1] is None


def test_what_the_application_says_goes_before_the_contents():
    assert hashes(genai_contents("a"), told_prompt="x")[0] == hashes(genai_contents("b"), told_prompt="x")[0]
    assert hashes(genai_contents("a"), told_prompt="x")[1] == hashes(genai_contents("a"))[1]


def test_the_share_of_the_beginning_is_told():
    """Instructions of 300 characters of 400, but for what JSON adds to both."""
    attributes = flat("llm.input_messages.", ("system", "s" * 30_000), ("user", "u" * 10_000))
    share = split_prefix(ContentHasher(KEY).hashes(attributes)[1])[1]
    assert share == pytest.approx(0.75, abs=0.01)
    assert split_prefix(ContentHasher(KEY).hashes({}, None, "told")[1])[1] is None


def test_contents_that_were_cut_off_have_no_hash():
    """An attribute limit of the SDK cuts the text: two long prompts would look alike."""
    whole = genai_contents("x" * 1_000)
    cut = {**whole, "gen_ai.input.messages": whole["gen_ai.input.messages"][:200]}
    assert hashes(cut) == (None, None)


def test_embeddings_are_hashed_by_their_texts_and_not_by_their_vectors():
    def embedding(text, vector):
        return {
            "embedding.embeddings.0.embedding.text": text,
            "embedding.embeddings.0.embedding.vector": vector,
        }

    assert hashes(embedding("a", (1.0,)))[0] == hashes(embedding("a", (2.0,)))[0]
    assert hashes(embedding("a", (1.0,)))[0] != hashes(embedding("b", (1.0,)))[0]


def test_messages_are_ordered_by_their_number():
    first, second = {"gen_ai.prompt.0.content": "a"}, {"gen_ai.prompt.1.content": "b"}
    assert hashes({**first, **second}) == hashes({**second, **first})
    assert (
        hashes({**first, **second})[0]
        != hashes({"gen_ai.prompt.0.content": "b", "gen_ai.prompt.1.content": "a"})[0]
    )


def test_a_reader_with_a_key_hashes_calls_and_one_without_does_not():
    one = span(1, {**genai(), **genai_contents()}, scope=GENAI_OPENAI)
    plain, keyed = SpanReader().read(one), SpanReader(hash_key=KEY).read(one)
    assert plain is not None
    assert keyed is not None
    assert (plain.prompt_hash, plain.prefix_hash) == (None, None)
    assert keyed.prompt_hash == hashes(genai_contents())[0]
    assert type(plain) is type(keyed)
    told = span(
        1, {**genai(), "spanbudget.prompt.hash": "p", "spanbudget.prefix.hash": 5}, scope=GENAI_OPENAI
    )
    call = SpanReader().read(told)
    assert call is not None
    assert call.prompt_hash is not None
    assert call.prefix_hash is not None
    assert -(2**63) < call.prompt_hash < 2**63


keys = st.sampled_from(
    ["gen_ai.input.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions", "input.value",
     "llm.invocation_parameters", "gen_ai.prompt", "gen_ai.prompt.0.content", "gen_ai.prompt.x.content",
     "llm.input_messages.1.message.role", "llm.tools.0.tool.json_schema"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = scalars | st.lists(scalars, max_size=3) | st.sampled_from(
    ["[", "{", "[1,", '{"messages": 5}', '[{"role": ["system"]}]', "[[[]]]", '{"messages": [1, null]}',
     '{"system": {"a": 1}, "tools": 5}', "\ud800"]
)  # fmt: skip


@given(st.dictionaries(keys, values), values, values)
def test_any_contents_give_hashes_or_none(attributes, prompt, prefix):
    for one in ContentHasher(KEY).hashes(attributes, prompt, prefix):
        assert one is None or -(2**63) < one < 2**63
