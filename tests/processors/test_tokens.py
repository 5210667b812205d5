"""Reported counts, turned into disjoint buckets with a confidence."""

import pytest
from made_spans import (
    GENAI_ANTHROPIC,
    GENAI_OPENAI,
    INFERENCE_LANGCHAIN,
    INFERENCE_OPENAI,
    LLMETRY_ANTHROPIC,
    NATIVE,
    buckets,
    genai,
    openinference,
    read,
    span,
)

from spanbudget.processors.call import TOKENS_MAX, LLMCall
from spanbudget.processors.dialects import ScopeRule
from spanbudget.processors.spans import STATUS_OK, STATUS_UNSET

CLAUDE = {"model": "claude-sonnet-4-5", "provider": "anthropic"}
OPENLIT_ANTHROPIC = "openlit.instrumentation.anthropic"
LLMETRY_LANGCHAIN = "opentelemetry.instrumentation.langchain"
GENAI_LANGCHAIN = "opentelemetry.instrumentation.genai.langchain"
ADK = "gcp.vertex.agent"


def told(attributes: dict, scope: str = GENAI_OPENAI, scopes=None, **where) -> LLMCall:
    return read(span(1, attributes, scope=scope, **where), scopes)


def test_cached_tokens_are_taken_out_of_an_inclusive_input() -> None:
    """4533 - 4000 read - 512 written = 21 uncached."""
    call = told(genai(4533, 60, read=4000, write=512))
    assert (buckets(call.usage), call.usage_confidence) == ((21, 4000, 512, 60), "exact")


def test_an_exclusive_input_is_left_as_it_is() -> None:
    """OpenLIT's Anthropic spans say 5000 beside 4000 read: the prompt has 9000 tokens."""
    call = told(genai(5000, 60, read=4000, **CLAUDE), OPENLIT_ANTHROPIC)
    assert (buckets(call.usage), call.usage_confidence) == ((5000, 4000, 0, 60), "exact")


@pytest.mark.parametrize(
    ("input_tokens", "uncached", "reason"),
    [
        (501, 1, ("inclusion_unknown",)),
        (500, 0, ("inclusion_unknown",)),
        (499, 499, ()),
        (0, 0, ()),
    ],
)
def test_more_cached_tokens_than_input_prove_the_exclusive_form(input_tokens, uncached, reason) -> None:
    """300 read + 200 written = 500, in a scope of which nothing is known."""
    call = told(genai(input_tokens, 60, read=300, write=200), "acme.llm")
    assert (call.usage.input, call.reasons) == (uncached, reason)
    assert call.usage_confidence == ("estimated" if reason else "exact")


def test_a_scope_that_contradicts_its_own_rule_is_flagged() -> None:
    call = told(genai(499, 60, read=300, write=200))
    assert (call.usage.input, call.usage_confidence, call.reasons) == (
        499,
        "estimated",
        ("cache_exceeds_input",),
    )


@pytest.mark.parametrize(("inside", "uncached"), [(True, 500), (False, 900), (None, 500)])
def test_the_rule_of_a_scope_is_settable(inside, uncached) -> None:
    """900 input with 400 read: 500 where the rule says included, 900 where it says not."""
    rule = ScopeRule(input_includes_cache=inside, cache_read="yes", cache_write="yes")
    call = told(genai(900, 60, read=400), "acme.llm", {"acme.llm": rule})
    assert call.usage.input == uncached
    assert call.usage_confidence == ("estimated" if inside is None else "exact")


@pytest.mark.parametrize(
    ("write", "short", "long", "split"),
    [
        (500, 200, 300, (200, 300)), (500, 200, None, (200, 300)), (500, None, 300, (200, 300)),
        (500, 200, 301, (None, None)), (500, 501, None, (None, None)), (500, None, None, (None, None)),
        (0, None, None, (0, 0)), (None, 200, 300, (200, 300)), (0, 200, 300, (200, 300)),
    ],
)  # fmt: skip
def test_cache_writes_are_split_by_lifetime_where_the_parts_make_the_whole(write, short, long, split) -> None:
    more = {
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": short,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": long,
    }
    usage = told(genai(900, 60, write=write, finish=["x"], **CLAUDE, **more), NATIVE, status=STATUS_OK).usage
    assert (usage.cache_write_5m, usage.cache_write_1h) == split
    assert usage.input == 900 - (usage.cache_write or 0)


def test_both_names_of_a_cache_write_are_one_number() -> None:
    call = told(genai(900, 60, write=500, **{"gen_ai.usage.cache_creation.input_tokens": 500}))
    assert buckets(call.usage) == (400, 0, 500, 60)


@pytest.mark.parametrize("embeddings", [True, False])
def test_embeddings_have_no_output(embeddings) -> None:
    if embeddings:
        call = told(genai(500, None, operation="embeddings"))
        assert (buckets(call.usage), call.usage_confidence) == ((500, 0, 0, 0), "exact")
    else:
        call = told(genai(500, None))
        assert (call.usage_confidence, call.reasons) == ("unknown", ("output_not_reported",))


@pytest.mark.parametrize(
    ("prompt", "output", "total", "expected"),
    [
        (900, None, 960, (900, 60)), (None, 60, 960, (900, 60)), (None, 60, 59, (None, 60)),
        (900, None, 899, (900, None)), (900, None, 900, (900, 0)), (None, None, 960, (None, None)),
    ],
)  # fmt: skip
def test_a_total_gives_the_missing_half(prompt, output, total, expected) -> None:
    usage = told(genai(prompt, output, **{"gen_ai.usage.total_tokens": total})).usage
    assert (usage.input, usage.output) == expected


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (TOKENS_MAX - 1, TOKENS_MAX - 1), (TOKENS_MAX, TOKENS_MAX), (TOKENS_MAX + 1, None), (-1, None),
        (True, None), (float("nan"), None), (float("inf"), None), (1.5, None), ("1e3", None), ("-5", None),
        ("\uff19", None), ("9" * 11, None), ([5], None), (b"5", None), (900.0, 900), ("900", 900),
    ],
)  # fmt: skip
def test_only_whole_believable_counts_are_counts(value, count) -> None:
    call = told(genai(value, 60))
    assert call.usage.input == count
    assert (call.usage_confidence == "exact") is (count is not None)
    assert ("bad_value" in call.reasons) is (count is None)


@pytest.mark.parametrize(("reasoning", "reasons"), [(59, ()), (60, ()), (61, ("reasoning_exceeds_output",))])
def test_reasoning_is_a_part_of_the_output_and_never_added(reasoning, reasons) -> None:
    call = told(genai(900, 60, reasoning=reasoning))
    assert (call.usage.output, call.reasons) == (60, reasons)
    assert call.usage.reasoning == (None if reasons else reasoning)


def test_a_part_that_is_larger_than_its_whole_is_dropped() -> None:
    more = {"gen_ai.usage.audio.input_tokens": 501, "gen_ai.usage.image.input_tokens": 500}
    usage = told(genai(900, 60, read=400, **more)).usage
    assert (usage.audio_input, usage.image_input) == (None, 500)


def test_only_zeros_are_unknown_and_not_free() -> None:
    call = told(genai(0, 0))
    assert (call.usage_confidence, call.reasons, call.usage.input) == ("unknown", ("zero_usage",), None)


@pytest.mark.parametrize(
    ("version", "output", "reasons", "confidence"),
    [
        ("0.62.4", 210, ("corrected_stream_output",), "exact"),
        ("0.62.0", 210, ("corrected_stream_output",), "exact"),
        ("0.63.0", 211, ("stream_output_doubt",), "estimated"),
        ("", 211, ("stream_output_doubt",), "estimated"),
    ],
)
def test_openllmetrys_anthropic_streams_count_one_too_many(version, output, reasons, confidence) -> None:
    """211 on the span is 210 = 211 - 1 in the versions that were measured."""
    attributes = genai(900, 211, **CLAUDE, **{"gen_ai.is_streaming": True})
    call = told(attributes, LLMETRY_ANTHROPIC, version=version, status=STATUS_OK)
    assert (call.usage.output, call.reasons, call.usage_confidence) == (output, reasons, confidence)


def test_openllmetrys_anthropic_streams_are_known_by_the_order_of_their_attributes() -> None:
    plain = {"gen_ai.response.model": "claude-sonnet-4-5", **genai(900, 211, **CLAUDE)}
    stream = {**genai(900, 211, **CLAUDE), "gen_ai.response.model": "claude-sonnet-4-5"}
    outputs = [told(one, LLMETRY_ANTHROPIC, version="0.62.4").usage.output for one in (plain, stream)]
    assert outputs == [211, 210]


@pytest.mark.parametrize(
    ("model", "version", "output", "reasoning", "expected", "note"),
    [
        ("openai/gpt-5", "2.13.0", 492, 192, 300, "corrected_double_reasoning"),
        ("anthropic/claude-sonnet-4-5", "2.13.0", 1639, 712, 927, "corrected_double_reasoning"),
        ("openai/gpt-5", "2.13.0", 383, 192, 383, "reasoning_doubt"),
        ("openai/gpt-5", "2.13.0", 384, 192, 192, "corrected_double_reasoning"),
        ("openai/gpt-5", "2.14.0", 492, 192, 492, "reasoning_doubt"),
        ("gemini-2.5-pro", "2.13.0", 150, 60, 150, None),
    ],
)
def test_adk_adds_reasoning_twice_for_models_of_litellm(
    model, version, output, reasoning, expected, note
) -> None:
    """492 = 300 + 192: the true output of 300 already holds the reasoning of 192."""
    attributes = genai(900, output, model=model, provider="", reasoning=reasoning)
    attributes |= {"gen_ai.provider.name": model.partition("/")[0] if "/" in model else "gcp.gemini"}
    call = told(attributes, ADK, version=version)
    assert call.usage.output == expected
    assert (note in call.reasons) if note else call.reasons == ()


@pytest.mark.parametrize(
    ("write", "response_id", "provider", "flagged"),
    [
        (0, "msg_1", "anthropic", True), (0, None, "anthropic", False), (512, "msg_1", "anthropic", False),
        (0, "chatcmpl-1", "openai", False),
    ],
)  # fmt: skip
def test_openllmetry_langchains_zero_cache_write_is_doubted(write, response_id, provider, flagged) -> None:
    attributes = genai(5000, 60, model="m", provider=provider, read=0, write=write, response_id=response_id)
    call = told(attributes, LLMETRY_LANGCHAIN)
    assert ("zero_cache_write" in call.reasons) is flagged
    assert call.usage_confidence == ("estimated" if flagged else "exact")


@pytest.mark.parametrize(
    ("scope", "more", "reasons"),
    [
        (GENAI_OPENAI, {}, ()),
        ("opentelemetry.instrumentation.openai_v2", {}, ("cache_not_reported",)),
        ("opentelemetry.instrumentation.openai.v1", {"read": 0}, ("cache_write_not_reported",)),
        (LLMETRY_LANGCHAIN, {"write": 0}, ("cache_read_not_reported",)),
        (GENAI_LANGCHAIN, {}, ("cache_read_not_reported",)),
        (GENAI_LANGCHAIN, {"openai.response.service_tier": "default"}, ()),
        ("openinference.instrumentation.something_new", {}, ("cache_not_reported",)),
        ("acme.llm", {}, ("cache_not_reported",)),
    ],
)
def test_an_absent_cache_count_is_zero_only_where_the_emitter_would_have_told(scope, more, reasons) -> None:
    call = told(genai(5000, 60, **more), scope, status=STATUS_OK)
    assert call.reasons == reasons
    assert call.usage_confidence == ("estimated" if reasons else "exact")
    absent = {"cache_not_reported": {None}, "cache_read_not_reported": {None, 0}}.get(
        reasons[0] if reasons else ""
    )
    if absent == {None}:
        assert (call.usage.cache_read, call.usage.cache_write) == (None, None)


@pytest.mark.parametrize(("prompt", "reasons"), [(1023, ()), (1024, ("cache_write_not_reported",))])
def test_openai_writes_no_cache_for_prompts_below_1024_tokens(prompt, reasons) -> None:
    attributes = genai(prompt, 60, read=0)
    assert told(attributes, "opentelemetry.instrumentation.openai.v1").reasons == reasons


@pytest.mark.parametrize(("model", "flagged"), [("gpt-4o", False), ("o3", False), ("gpt-5", True)])
def test_older_openai_models_write_no_cache(model, flagged) -> None:
    call = told(genai(5000, 60, model=model, read=0), "opentelemetry.instrumentation.openai.v1")
    assert (call.usage_confidence == "estimated") is flagged


@pytest.mark.parametrize(
    ("scope", "attributes", "status"),
    [
        (NATIVE, genai(900, None, **CLAUDE), STATUS_UNSET),
        (GENAI_ANTHROPIC, genai(900, 1, **CLAUDE), STATUS_UNSET),
        ("openinference.instrumentation.anthropic", openinference(900, 1, **CLAUDE), STATUS_UNSET),
        (
            "acme.llm",
            genai(900, 1, read=0, write=0, **CLAUDE, **{"gen_ai.request.stream": True}),
            STATUS_UNSET,
        ),
    ],
)
def test_an_aborted_stream_is_never_exact(scope, attributes, status) -> None:
    call = told(attributes, scope, status=status)
    assert call.usage_confidence != "exact"
    assert "aborted_stream" in call.reasons


@pytest.mark.parametrize(("read_tokens", "confidence"), [(None, "estimated"), (0, "exact")])
def test_openlits_guess_for_a_stream_is_known_by_its_missing_cache_counts(read_tokens, confidence) -> None:
    attributes = genai(29, 6, read=read_tokens, **{"gen_ai.request.stream": True})
    call = told(attributes, "openlit.instrumentation.openai", status=STATUS_OK)
    assert call.usage_confidence == confidence
    assert ("guessed_by_emitter" in call.reasons) is (confidence == "estimated")


def test_gemini_thoughts_are_taken_from_the_total() -> None:
    """OpenLLMetry says 94 of 158 output tokens; 1058 in total - 900 = 158."""
    attributes = genai(
        900, 94, model="gemini-2.5-pro", provider="gcp.gemini", **{"gen_ai.usage.total_tokens": 1058}
    )
    assert told(attributes, "opentelemetry.instrumentation.google_generativeai").usage.output == 158


@pytest.mark.parametrize("scope", [GENAI_OPENAI, INFERENCE_OPENAI, INFERENCE_LANGCHAIN])
def test_the_quick_way_and_the_long_way_agree(scope) -> None:
    """A string takes the long way; 900 is 900 either way."""
    make = genai if scope == GENAI_OPENAI else openinference
    plain, text = (told(make(n, 60, read=400, write=0, reasoning=9), scope, status=1) for n in (900, "900"))
    assert plain.usage == text.usage
    assert plain.usage_confidence == text.usage_confidence == "exact"
