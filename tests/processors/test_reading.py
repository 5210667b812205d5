"""From the attributes of every dialect to a call."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spans import GENAI_OPENAI, buckets, genai, openinference, read, reader, span

from spanbudget.processors.dialects import LABEL_SPELLINGS, RULES, SPELLINGS, Field, ScopeRule
from spanbudget.processors.spans import STATUS_ERROR, STATUS_OK

DIALECTS = {
    "OpenTelemetry, current": (
        "opentelemetry.instrumentation.genai.openai",
        genai(900, 60, read=400, write=100, reasoning=9),
    ),
    "OpenTelemetry, cache_creation": (
        "opentelemetry.instrumentation.genai.openai",
        genai(900, 60, read=400, reasoning=9, **{"gen_ai.usage.cache_creation.input_tokens": 100}),
    ),
    "OpenTelemetry, older": (
        "strands.telemetry.tracer",
        {
            "gen_ai.system": "openai", "gen_ai.request.model": "gpt-5", "gen_ai.operation.name": "chat",
            "gen_ai.usage.prompt_tokens": 900, "gen_ai.usage.completion_tokens": 60,
            "gen_ai.usage.cache_read_input_tokens": 400, "gen_ai.usage.cache_creation_input_tokens": 100,
            "gen_ai.usage.reasoning_tokens": 9,
        },
    ),
    "OpenLLMetry": (
        "opentelemetry.instrumentation.langchain",
        {
            "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5",
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 60, "llm.usage.total_tokens": 960,
            "gen_ai.usage.cache_read.input_tokens": 400, "gen_ai.usage.cache_creation.input_tokens": 100,
            "gen_ai.usage.reasoning_tokens": 9,
        },
    ),
    "OpenInference": ("openinference.instrumentation.openai", openinference(900, 60, read=400, write=100,
        reasoning=9)),
    "OpenLIT, Anthropic's exclusive input": (
        "openlit.instrumentation.anthropic",
        {
            "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5",
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 400, "gen_ai.usage.output_tokens": 60,
            "gen_ai.usage.cache_read.input_tokens": 400, "gen_ai.usage.cache_creation.input_tokens": 100,
            "gen_ai.usage.reasoning_tokens": 9,
        },
    ),
    "Pydantic AI": (
        "pydantic-ai",
        {
            "gen_ai.system": "openai", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5",
            "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 900,
            "gen_ai.usage.output_tokens": 60,
            "gen_ai.usage.details.cache_read_tokens": 400, "gen_ai.usage.details.cache_write_tokens": 100,
            "gen_ai.usage.details.reasoning_tokens": 9, "gen_ai.response.finish_reasons": ["stop"],
        },
    ),
    "Google ADK": ("gcp.vertex.agent", genai(900, 60, operation="generate_content", read=400, write=100,
        reasoning=9)),
    "LiteLLM": (
        "litellm",
        {
            **genai(900, 60),
            "metadata.usage_object": repr({
                "prompt_tokens": 900, "completion_tokens": 60, "total_tokens": 960,
                "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 9},
            }),
        },
    ),
    "LiteLLM's raw request": (
        "litellm",
        {
            "llm.openai.usage": repr({
                "prompt_tokens": 900, "completion_tokens": 60,
                "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 9},
            }),
            "llm.openai.id": "chatcmpl-1", "llm.openai.model": "gpt-5",
        },
    ),
    "Vercel": (
        "gen_ai",
        {
            **genai(900, 60, read=400, **{"gen_ai.usage.cache_creation.input_tokens": 100}),
            "ai.usage.outputTokenDetails.reasoningTokens": 9,
        },
    ),
    "Vercel, legacy": (
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "openai.chat",
            "ai.model.id": "gpt-5",
            "ai.usage.inputTokens": 900, "ai.usage.outputTokens": 60, "ai.usage.cachedInputTokens": 400,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 100, "ai.usage.reasoningTokens": 9,
        },
    ),
    "LangSmith": (
        "langsmith",
        {
            "gen_ai.system": "openai", "gen_ai.request.model": "gpt-5", "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 60,
            "gen_ai.usage.input_token_details": repr({"cache_read": 400, "cache_creation": 100}),
            "gen_ai.usage.output_token_details": repr({"reasoning": 9}),
        },
    ),
    "Langfuse": (
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-5",
            "gen_ai.system": "openai",
            "langfuse.observation.usage_details": json.dumps({
                "prompt_tokens": 900, "completion_tokens": 60, "total_tokens": 960,
                "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 9},
            }),
        },
    ),
    "Anthropic's own spans": (
        "com.anthropic.sdk.python",
        {
            **genai(900, 60, read=400, write=100, reasoning=9, finish=["end_turn"]),
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 100,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 0,
        },
    ),
    "Bedrock": ("opentelemetry.instrumentation.genai.bedrock", genai(400, 60, read=400, write=100,
        reasoning=9)),
}  # fmt: skip


@pytest.mark.parametrize(("scope", "attributes"), DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_tells_the_same_call(scope, attributes) -> None:
    """900 in all: 400 read, 100 written, 400 neither; of 60 out, 9 were reasoning."""
    name = "raw_gen_ai_request" if "llm.openai.id" in attributes else "chat"
    call = read(span(1, attributes, scope=scope, name=name, status=STATUS_OK))
    assert buckets(call.usage) == (400, 400, 100, 60)
    assert (call.usage.reasoning, call.usage_confidence) == (9, "exact")
    assert (call.provider, call.model, call.aggregate) == ("openai", "gpt-5", False)


@pytest.mark.parametrize(
    "field", [Field.INPUT, Field.OUTPUT, Field.CACHE_READ, Field.CACHE_WRITE, Field.REASONING]
)
def test_of_several_spellings_the_first_of_the_table_wins_in_any_order(field) -> None:
    values = {key: 10 + n for n, key in enumerate(SPELLINGS[field])}
    told = [
        read(span(1, {**order, "gen_ai.operation.name": "chat"}, scope=GENAI_OPENAI)).usage
        for order in (values, dict(reversed(values.items())), {next(iter(values)): 10})
    ]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(
    ("operation", "spoken", "aggregate"),
    [
        ("chat", "chat", False), ("generate_content", "generate_content", False), ("responses", "chat",
            False),
        ("embedding", "embeddings", False), ("embeddings", "embeddings", False), ("invoke_agent",
            "invoke_agent", True),
        ("execute_task", "execute_task", True), ("agent_step", "agent_step", True), ("new_thing",
            "new_thing", True),
    ],
)  # fmt: skip
def test_what_is_not_known_as_one_call_may_repeat_its_children(operation, spoken, aggregate) -> None:
    call = read(span(1, genai(operation=operation), scope=GENAI_OPENAI))
    assert (call.operation, call.aggregate) == (spoken, aggregate)


@pytest.mark.parametrize("kind", ["CHAIN", "AGENT", "TOOL"])
def test_a_chain_with_usage_is_an_aggregate_and_without_usage_no_call(kind) -> None:
    attributes = openinference(kind=kind)
    assert read(span(1, attributes, scope="openinference.instrumentation.langchain")).aggregate
    silent = {key: value for key, value in attributes.items() if "token" not in key}
    assert reader().read(span(1, silent, scope="openinference.instrumentation.langchain")) is None


def test_a_span_without_usage_or_operation_is_no_call() -> None:
    assert reader().read(span(1, {"http.request.method": "GET"})) is None


@pytest.mark.parametrize("scope", sorted(RULES))
def test_a_refused_call_costs_nothing_in_every_dialect(scope) -> None:
    for attributes in (genai(None, None), genai(0, 0)):
        told = {**attributes, "http.response.status_code": 429}
        call = read(span(1, told, scope=scope, status=STATUS_ERROR))
        assert (call.usage_confidence, call.reasons, call.failed) == ("exact", ("not_billed",), True)
        assert buckets(call.usage) == (0, 0, 0, 0)


def test_a_scope_that_is_to_be_ignored_is_ignored() -> None:
    rules = {"acme.llm": ScopeRule(ignore=True)}
    assert reader(rules).read(span(1, genai(), scope="acme.llm")) is None


def test_litellm_is_known_on_the_applications_own_span() -> None:
    usage = "{'prompt_tokens': 5000, 'completion_tokens': 60, 'total_tokens': 5060}"
    call = read(span(1, {**genai(5000, 60), "metadata.usage_object": usage}, scope="my.app"))
    assert (buckets(call.usage), call.usage_confidence) == ((5000, 0, 0, 60), "exact")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"trace_id": 0}, "no_span_id"), ({"span_id": 0}, "no_span_id"), ({"end_ns": 0}, "bad_time"),
        ({"end_ns": -5}, "bad_time"), ({"end_ns": 7_258_118_400_000_000_000}, "bad_time"),
        ({"trace_id": -1}, "bad_id"), ({"trace_id": 2**128}, "bad_id"), ({"span_id": -1}, "bad_id"),
        ({"span_id": 2**64}, "bad_id"), ({"parent_id": -1}, "bad_id"), ({"parent_id": 2**64}, "bad_id"),
    ],
)  # fmt: skip
def test_a_malformed_span_is_rejected_and_counted(change, reason) -> None:
    one = reader()
    assert one.read(span(1, genai(), scope=GENAI_OPENAI)._replace(**change)) is None
    assert one.rejected == {reason: 1}


def test_the_greatest_ids_are_ids() -> None:
    one = span(1, genai(), scope=GENAI_OPENAI)._replace(
        trace_id=2**128 - 1, span_id=2**64 - 1, parent_id=2**64 - 1
    )
    assert read(one).trace_id == 2**128 - 1


def test_a_start_after_the_end_is_the_end() -> None:
    one = span(1, genai(), scope=GENAI_OPENAI, at=(10, 5))
    assert read(one).start_ns == read(one).end_ns == one.end_ns


@pytest.mark.parametrize(
    ("attributes", "tier", "reasons"),
    [
        ({"openai.response.service_tier": "flex"}, "flex", ()),
        ({"gen_ai.openai.response.service_tier": "Priority"}, "priority", ()),
        ({"openai.request.service_tier": "flex", "openai.response.service_tier": "default"}, "default", ()),
        ({"openai.request.service_tier": "flex"}, "flex", ("tier_requested_only",)),
        ({"openai.request.service_tier": "auto"}, None, ()),
        ({"llm.invocation_parameters": '{"service_tier": "priority"}'}, "priority", ("tier_requested_only",)),
        ({}, None, ()),
    ],
)
def test_a_service_tier_is_the_one_served_else_the_one_asked_for_and_flagged(
    attributes, tier, reasons
) -> None:
    call = read(span(1, {**genai(), **attributes}, scope=GENAI_OPENAI))
    assert (call.tier, call.reasons) == (tier, reasons)


@pytest.mark.parametrize(
    ("attributes", "reported", "claimed"),
    [
        ({"gen_ai.usage.cost": 0.5}, None, 500_000_000_000),
        ({"operation.cost": 0.001}, None, 1_000_000_000),
        ({"gen_ai.usage.cost.amount": 0.5, "gen_ai.usage.cost.source": "provider"}, 500_000_000_000, None),
        ({"gen_ai.usage.cost.amount": 0.5, "gen_ai.usage.cost.source": "local"}, None, 500_000_000_000),
        ({"gen_ai.usage.cost": -1}, None, None),
        ({"gen_ai.usage.cost": float("nan")}, None, None),
        ({"gen_ai.usage.cost": float("inf")}, None, None),
        ({"gen_ai.usage.cost": 1_000_000.1}, None, None),
        ({"gen_ai.usage.cost": "0.5"}, None, None),
        ({"gen_ai.usage.cost": True}, None, None),
    ],
)
def test_only_a_cost_of_the_providers_api_is_reported_and_any_other_is_claimed(
    attributes, reported, claimed
) -> None:
    call = read(span(1, {**genai(), **attributes}, scope=GENAI_OPENAI))
    assert (call.reported_cost, call.claimed_cost) == (reported, claimed)


_KEYS = sorted(
    {key for keys in (*SPELLINGS.values(), *LABEL_SPELLINGS.values()) for key in keys}
    | {"litellm.call_id", "llm.openai.usage", "llm.openai.id", "rpc.method", "metadata", "llm..usage"}
)
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.binary(max_size=5),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(["chat", "invoke_agent", "openai", "gpt-5", "{'input': 5}", '{"prompt_tokens": 9}',
        "LLM", ""]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=12),
    st.sampled_from([*sorted(RULES), "acme.llm", ""]),
    st.sampled_from(["chat", "raw_gen_ai_request", "chat gpt-5", ""]),
    st.sampled_from([0, 1, 2]),
)
def test_no_attributes_break_the_reading_or_make_a_false_number(attributes, scope, name, status) -> None:
    call = reader().read(span(1, attributes, scope=scope, name=name, status=status))
    if call is None:
        return
    counts = [count for count in call.usage if count is not None]
    assert all(type(count) is int and count >= 0 for count in counts)
    assert call.usage_confidence == "exact" or call.reasons
    if call.usage_confidence == "exact":
        assert None not in (call.usage.input, call.usage.output)
    hash(call)
