"""The one table that reads attributes: every spelling of every instrumentation, and what each scope means.

`SPELLINGS` says which attribute carries which field; where a span has several, the earlier spelling wins.
`RULES` says what differs by instrumentation scope: whether input includes cached tokens, which counts a
scope never reports, how its complete calls look, and which of its versions are known to be wrong. All of it
was measured on captured spans of the real instrumentations (`tests/captures`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias


class Field:
    """What an attribute can tell about a call; the value is its place in the list that a reading fills.

    Plain integers: an enumeration's look-ups would cost more than all the rest of a reading.
    """

    PROVIDER: Final = 0
    PROVIDER_MODEL: Final = 1
    REQUEST_MODEL: Final = 2
    RESPONSE_MODEL: Final = 3
    OPERATION: Final = 4
    KIND: Final = 5
    INPUT: Final = 6
    OUTPUT: Final = 7
    TOTAL: Final = 8
    CACHE_READ: Final = 9
    CACHE_WRITE: Final = 10
    REASONING: Final = 11
    CACHE_WRITE_5M: Final = 12
    CACHE_WRITE_1H: Final = 13
    AUDIO_INPUT: Final = 14
    AUDIO_OUTPUT: Final = 15
    AUDIO_CACHE_READ: Final = 16
    IMAGE_INPUT: Final = 17
    USAGE_TEXT: Final = 18
    INPUT_DETAILS: Final = 19
    OUTPUT_DETAILS: Final = 20
    RESPONSE_ID: Final = 21
    TIER: Final = 22
    REQUEST_TIER: Final = 23
    STREAM: Final = 24
    FIRST_CHUNK: Final = 25
    ERROR_TYPE: Final = 26
    HTTP_STATUS: Final = 27
    CLAIMED_COST: Final = 28
    COST_AMOUNT: Final = 29
    COST_SOURCE: Final = 30
    METADATA: Final = 31
    PROMPT_HASH: Final = 32
    PREFIX_HASH: Final = 33
    PARAMETERS: Final = 34
    FINISH: Final = 35
    TEMPERATURE: Final = 36
    INTERACTIVE: Final = 37


FIELD_COUNT: Final = 38
INTERACTIVE_KEY: Final = "spanbudget.interactive"
"""Attribute or baggage key by which an application says whether somebody waits for its calls."""

SPELLINGS: Final[Mapping[int, tuple[str, ...]]] = {
    Field.PROVIDER: ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system",
                     "ai.model.provider"),
    Field.PROVIDER_MODEL: ("litellm.provider.model",),
    Field.REQUEST_MODEL: (
        "gen_ai.request.model", "llm.request.model_name", "llm.request.model", "ai.model.id",
        "embedding.request.model_name",
    ),
    Field.RESPONSE_MODEL: (
        "gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name",
        "llm.response.model", "ai.response.model", "langfuse.observation.model.name",
    ),
    Field.OPERATION: ("gen_ai.operation.name", "ai.operationId", "llm.request.type"),
    Field.KIND: (
        "openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type", "langsmith.span.kind",
    ),
    Field.INPUT: (
        "gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens",
        "ai.usage.inputTokens", "ai.usage.promptTokens", "llm.usage.prompt_tokens",
        "gen_ai.aggregated_usage.input_tokens", "ai.usage.tokens",
    ),
    Field.OUTPUT: (
        "gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens",
        "ai.usage.outputTokens", "ai.usage.completionTokens", "llm.usage.completion_tokens",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    Field.TOTAL: (
        "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total",
        "ai.usage.totalTokens",
    ),
    Field.CACHE_READ: (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read", "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens", "llm.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
    ),
    Field.CACHE_WRITE: (
        "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens",
        "llm.usage.cache_creation_input_tokens", "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
        "gen_ai.aggregated_usage.cache_write.input_tokens",
    ),
    Field.CACHE_WRITE_5M: (
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
        "gen_ai.usage.details.ephemeral_5m_input_tokens",
    ),
    Field.CACHE_WRITE_1H: (
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.details.ephemeral_1h_input_tokens",
    ),
    Field.REASONING: (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning", "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens", "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thinking_tokens", "llm.usage.reasoning_tokens",
    ),
    Field.AUDIO_INPUT: (
        "gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
    ),
    Field.AUDIO_OUTPUT: (
        "gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
    ),
    Field.AUDIO_CACHE_READ: ("gen_ai.usage.audio.cache_read.input_tokens",),
    Field.IMAGE_INPUT: ("gen_ai.usage.image.input_tokens",),
    Field.RESPONSE_ID: ("gen_ai.response.id", "llm.response.id", "ai.response.id"),
    Field.TIER: (
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier",
        "anthropic.response.service_tier", "gen_ai.cost.service_tier", "aws.bedrock.response.service_tier",
    ),
    Field.REQUEST_TIER: (
        "openai.request.service_tier", "gen_ai.openai.request.service_tier", "gen_ai.request.service_tier",
        "anthropic.request.service_tier",
    ),
    Field.STREAM: (
        "gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "langsmith.request.streaming",
    ),
    Field.FINISH: (
        "gen_ai.response.finish_reasons", "anthropic.message.stop_reason", "llm.finish_reason",
        "gen_ai.response.finish_reason", "llm.response.finish_reason", "ai.response.finishReason",
    ),
    Field.FIRST_CHUNK: (
        "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token",
        "gen_ai.client.operation.time_to_first_chunk", "langfuse.observation.completion_start_time",
        "ai.response.msToFirstChunk",
    ),
    Field.ERROR_TYPE: ("error.type",),
    Field.HTTP_STATUS: ("http.response.status_code", "error.code", "http.status_code"),
    Field.CLAIMED_COST: (
        "gen_ai.cost.total_cost", "operation.cost", "gen_ai.usage.cost", "llm.cost.total", "llm.usage.cost",
    ),
    Field.COST_AMOUNT: ("gen_ai.usage.cost.amount",),
    Field.COST_SOURCE: ("gen_ai.usage.cost.source",),
    Field.USAGE_TEXT: (
        "metadata.usage_object", "langfuse.observation.usage_details", "langsmith.metadata.usage_metadata",
    ),
    Field.INPUT_DETAILS: ("gen_ai.usage.input_token_details",),
    Field.OUTPUT_DETAILS: ("gen_ai.usage.output_token_details",),
    Field.PARAMETERS: ("llm.invocation_parameters", "langfuse.observation.model.parameters"),
    Field.METADATA: ("metadata",),
    Field.TEMPERATURE: (
        "gen_ai.request.temperature", "llm.request.temperature", "ai.settings.temperature",
        "langsmith.metadata.ls_temperature",
    ),
    Field.INTERACTIVE: (INTERACTIVE_KEY,),
    Field.PROMPT_HASH: ("spanbudget.prompt.hash",),
    Field.PREFIX_HASH: ("spanbudget.prefix.hash",),
}  # fmt: skip

FINISH_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed", "finished"), "stop"
    ),
    **dict.fromkeys(("max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
                    "length"),
    **dict.fromkeys(("tool_use", "tool_call", "function_call", "malformed_function_call"), "tool_calls"),
    **dict.fromkeys(
        ("safety", "content_filtered", "guardrail_intervened", "recitation", "blocklist",
         "prohibited_content", "spii", "image_safety"),
        "content_filter",
    ),
}  # fmt: skip
"""Finish reasons under one name, in lower case with `_` for `-`; what is not here keeps its own."""

CONTENT: Final[Mapping[str, tuple[str, ...]]] = {
    "system": ("gen_ai.system_instructions", "llm.system_prompt"),
    "tools": ("gen_ai.tool.definitions", "ai.prompt.tools"),
    "messages": ("gen_ai.input.messages", "ai.prompt.messages"),
    "request": ("gen_ai.prompt", "ai.prompt", "input.value", "langfuse.observation.input", "ai.value",
                "ai.values"),
    "parameters": ("llm.invocation_parameters", "langfuse.observation.model.parameters",
                   "embedding.invocation_parameters"),
}  # fmt: skip
"""Where contents of a request stand, whole, as text (mostly JSON) or as values; read only where the
application opted into hashes. `request` is read where there are no messages."""
CONTENT_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "tools": ("llm.tools.", "llm.request.functions."),
    "messages": ("llm.input_messages.", "gen_ai.prompt.", "llm.prompts.", "embedding.embeddings."),
}
"""The same where each part of the contents is an attribute of its own: `<prefix><number>.<part>`."""
CONTENT_PARAMETERS: Final[Mapping[str, str]] = {
    **{
        f"gen_ai.request.{name}": name
        for name in ("temperature", "top_p", "top_k", "seed", "stop_sequences", "presence_penalty",
                     "frequency_penalty", "choice.count", "encoding_formats", "reasoning_effort")
    },
    "gen_ai.output.type": "output.type",
    "gen_ai.openai.request.response_format": "response_format",
    **{
        name: name
        for name in ("temperature", "top_p", "top_k", "seed", "stop", "stop_sequences", "presence_penalty",
                     "frequency_penalty", "n", "encoding_format", "reasoning_effort", "reasoning",
                     "response_format", "tool_choice", "dimensions", "thinking")
    },
}  # fmt: skip
"""Parameters that make another request of the same contents: attributes, and keys of `parameters`. The
model, the length of the answer and whether it streams do not."""

RARE_FIELDS: Final = slice(Field.CACHE_WRITE_5M, Field.OUTPUT_DETAILS + 1)
"""Fields that hardly a span has; next to each other, so that one look tells."""
TEXT_FIELDS: Final = (Field.USAGE_TEXT, Field.INPUT_DETAILS, Field.OUTPUT_DETAILS)
"""Fields that hold several counts in one text."""

LABEL_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": (
        "user.id", "enduser.id", "gen_ai.user", "gen_ai.request.user", "llm.user", "langfuse.user.id",
        "metadata.user_api_key_end_user_id", "metadata.user_api_key_user_id",
    ),
    "session": (
        "gen_ai.conversation.id", "session.id", "langfuse.session.id", "langsmith.trace.session_id",
    ),
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment", "langfuse.environment"),
    "team": ("team", "team.id", "team.name", "metadata.user_api_key_team_alias",
             "metadata.user_api_key_team_id"),
    "feature": ("feature", "feature.name"),
}  # fmt: skip

LABEL_PREFIXES: Final = (
    "traceloop.association.properties.", "ai.telemetry.metadata.", "langsmith.metadata.",
    "langfuse.trace.metadata.", "langfuse.observation.metadata.",
)  # fmt: skip
LABEL_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user_id", "userId", "user"),
    "session": ("session_id", "sessionId", "thread_id", "conversation_id"),
    "team": ("team", "team_id"),
    "feature": ("feature",),
}
RESOURCE_FIRST: Final = frozenset({"service", "environment"})
"""Labels which the resource knows better than the span: some emitters repeat them wrongly on spans."""

INFERENCE: Final = frozenset(
    {
        "chat", "generate_content", "text_completion", "completion", "embeddings", "embedding", "responses",
        "rerank", "message", "messages", "LLM", "EMBEDDING", "RERANKER", "generation", "llm",
        "ai.generateText.doGenerate", "ai.streamText.doStream", "ai.generateObject.doGenerate",
        "ai.streamObject.doStream", "ai.embed.doEmbed", "ai.embedMany.doEmbed", "image_generation",
        "acompletion", "atext_completion", "aembedding", "aresponses", "anthropic_messages",
    }
)  # fmt: skip
"""Operations and span kinds that are one call to a model. Any other one may repeat its children's usage."""

EMBEDDINGS: Final = frozenset(
    {"embeddings", "embedding", "EMBEDDING", "ai.embed.doEmbed", "ai.embedMany.doEmbed", "aembedding"}
)

CacheReport: TypeAlias = Literal["yes", "no", "when_present"]


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """What is known about the spans of one instrumentation scope.

    Attributes:
        input_includes_cache: True where the input count includes cached tokens, False where it does not,
            None where nobody measured it.
        cache_read: `yes`: an absent count is 0; `no`: it is never reported; `when_present`: an absent count
            is unknown.
        cache_write: The same for cache writes.
        cache_write_openai: The same for cache writes of OpenAI models, where it differs.
        known: False for a scope that nobody measured.
        sets_ok: Complete calls have the status OK, so an unset status is an aborted call.
        sets_finish: Complete chat calls have a finish reason, so none with usage is an aborted stream.
        guesses_streams: Puts its own guess where a stream had no usage; a guess has no cache counts.
        plus_one_versions: Versions (prefixes) whose Anthropic streams count one output token too many.
        double_reasoning_versions: Versions (prefixes) that add reasoning to output twice for `provider/model`
            names.
        double_reasoning: True where other versions may do so too.
        doubts_zero_write: A cache write of 0 is also what it says when it lost the number (Anthropic, and
            only where there is a response id: its streams have none, and are right).
        output_from_total: The output count lacks the thoughts; the total less the input has them.
        cache_methods: Values of `rpc.method` whose spans tell all cache counts; None: it does not depend.
        provider: Provider of every span of this scope, where the span does not say it.
        tier_vouches: A service tier on the span proves that its details are complete.
        id_hides_cache: Spans with a response id never have cache counts.
        ignore: True where the spans of this scope are not to be counted.
    """

    input_includes_cache: bool | None = None
    cache_read: CacheReport = "when_present"
    cache_write: CacheReport = "when_present"
    cache_write_openai: CacheReport | None = None
    known: bool = True
    sets_ok: bool = False
    sets_finish: bool = False
    guesses_streams: bool = False
    plus_one_versions: tuple[str, ...] = ()
    double_reasoning_versions: tuple[str, ...] = ()
    double_reasoning: bool = False
    doubts_zero_write: bool = False
    output_from_total: bool = False
    cache_methods: tuple[str, ...] | None = None
    provider: str | None = None
    tier_vouches: bool = False
    id_hides_cache: bool = False
    ignore: bool = False

    @property
    def plain(self) -> bool:
        """Whether whole counts of such a scope need no second thought."""
        return (
            self.input_includes_cache is True
            and self.known
            and not (
                self.cache_read != "yes"
                or self.cache_write != "yes"
                or self.cache_write_openai is not None
                or self.sets_ok
                or self.sets_finish
                or self.guesses_streams
                or self.plus_one_versions
                or self.double_reasoning
                or self.doubts_zero_write
                or self.id_hides_cache
                or self.output_from_total
            )
        )


UNKNOWN_SCOPE: Final = ScopeRule(known=False)
_FULL: Final = ScopeRule(input_includes_cache=True, cache_read="yes", cache_write="yes")

RULES: Final[Mapping[str, ScopeRule]] = {
    "opentelemetry.instrumentation.genai.openai": replace(_FULL, provider="openai"),
    "opentelemetry.instrumentation.genai.anthropic": replace(_FULL, sets_finish=True, provider="anthropic"),
    "opentelemetry.instrumentation.genai.langchain": replace(
        _FULL, cache_read="when_present", tier_vouches=True
    ),
    "opentelemetry.instrumentation.genai.bedrock": replace(_FULL, input_includes_cache=False),
    "opentelemetry.instrumentation.google_genai": replace(_FULL, cache_write="yes"),
    "opentelemetry.instrumentation.openai_v2": replace(
        _FULL, cache_read="no", cache_write="no", provider="openai"
    ),
    "opentelemetry.util.genai.handler": replace(_FULL, cache_read="no", cache_write="no"),
    "com.anthropic.sdk.python": replace(_FULL, sets_ok=True, sets_finish=True, provider="anthropic"),
    "opentelemetry.instrumentation.openai.v1": replace(_FULL, cache_write="no", provider="openai"),
    "opentelemetry.instrumentation.anthropic": replace(
        _FULL, plus_one_versions=("0.62.",), provider="anthropic"
    ),
    "opentelemetry.instrumentation.langchain": replace(
        _FULL, cache_read="when_present", cache_write="when_present", doubts_zero_write=True
    ),
    "opentelemetry.instrumentation.bedrock": replace(_FULL, input_includes_cache=False, id_hides_cache=True),
    "opentelemetry.instrumentation.botocore.bedrock-runtime": replace(
        _FULL,
        input_includes_cache=False,
        cache_read="when_present",
        cache_write="when_present",
        cache_methods=("Converse", "ConverseStream"),
    ),
    "opentelemetry.instrumentation.google_generativeai": replace(_FULL, output_from_total=True),
    "strands.telemetry.tracer": _FULL,
    "agent_framework": _FULL,
    "opentelemetry.instrumentation.openai_agents": replace(_FULL, cache_write="no", sets_ok=True),
    "openinference.instrumentation.google_genai": replace(_FULL, sets_ok=True),
    "openinference.instrumentation.openai_agents": replace(
        _FULL, cache_read="when_present", cache_write="when_present", sets_ok=True
    ),
    "openinference.instrumentation.litellm": replace(_FULL, cache_write_openai="when_present", sets_ok=True),
    "openinference.instrumentation.openai": replace(_FULL, sets_ok=True, provider="openai"),
    "openinference.instrumentation.anthropic": replace(
        _FULL, sets_ok=True, sets_finish=True, provider="anthropic"
    ),
    "openinference.instrumentation.langchain": replace(
        _FULL, cache_write_openai="when_present", sets_ok=True
    ),
    "openinference.instrumentation.bedrock": replace(_FULL, sets_ok=True),
    "openlit.instrumentation.openai": replace(_FULL, guesses_streams=True, provider="openai"),
    "openlit.instrumentation.anthropic": replace(
        _FULL, input_includes_cache=False, guesses_streams=True, provider="anthropic"
    ),
    "pydantic-ai": replace(_FULL, sets_finish=True),
    "gcp.vertex.agent": replace(
        _FULL, cache_write_openai="when_present", double_reasoning_versions=("2.13.",), double_reasoning=True
    ),
    "litellm": replace(_FULL, cache_read="no", cache_write="no"),
    "gen_ai": _FULL,
    "ai": _FULL,
    "langsmith": replace(_FULL, cache_write_openai="when_present"),
    "langfuse-sdk": _FULL,
}

PREFIX_RULES: Final[Mapping[str, ScopeRule]] = {
    "openinference.instrumentation.": replace(
        _FULL, cache_read="when_present", cache_write="when_present", sets_ok=True
    ),
    "opentelemetry.instrumentation.genai.": replace(
        _FULL, cache_read="when_present", cache_write="when_present"
    ),
}
"""Families whose every measured member includes cached tokens in its input."""

DETACHED_SCOPES: Final = frozenset({"litellm"})
"""Scopes whose streams start a trace of their own, whatever span is active."""

UNLINKED_SCOPES: Final = frozenset(
    {
        "com.anthropic.sdk.python", "openinference.instrumentation.anthropic",
        "openinference.instrumentation.langchain", "opentelemetry.instrumentation.anthropic",
        "opentelemetry.instrumentation.langchain",
    }
)  # fmt: skip
"""Scopes that stand beside another span of the same call instead of above or below it: without a span of the
application around both, they are roots of two traces."""

LITELLM_RULE: Final = RULES["litellm"]
LITELLM_MARKS: Final = ("litellm.call_id", "metadata.usage_object")
"""LiteLLM writes on the application's own span where one is active, so its rule follows its attributes."""

OPERATION_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("LLM", "llm", "generation", "completion", "acompletion", "responses", "aresponses", "message",
         "messages", "anthropic_messages", "ai.generateText.doGenerate", "ai.streamText.doStream",
         "ai.generateObject.doGenerate", "ai.streamObject.doStream"),
        "chat",
    ),
    **dict.fromkeys(EMBEDDINGS, "embeddings"),
    "atext_completion": "text_completion",
    "RERANKER": "rerank",
}  # fmt: skip
"""Operations under one name; what is not here keeps its own."""


def rule_for(scope: str, rules: Mapping[str, ScopeRule]) -> ScopeRule | None:
    """The rule of a scope: its own, its family's, or None."""
    rule = rules.get(scope)
    if rule is not None:
        return rule
    return next((rule for prefix, rule in PREFIX_RULES.items() if scope.startswith(prefix)), None)


NOT_LLM_MARKS: Final = ("db.system", "db.system.name", "messaging.system")
HTTP_MARKS: Final = ("http.request.method", "http.method")
LLM_MARKS: Final = (
    "gen_ai.", "llm.", "openinference.", "ai.", "traceloop.", "langsmith.", "langfuse.", "anthropic.", "aws.",
)  # fmt: skip


def may_be_llm(name: str, kind: object, attributes: Mapping[str, object] | None) -> bool:
    """Whether a span that starts now may turn out to carry usage.

    Some emitters write usage on whatever span is active, so almost nothing can be ruled out at the start:
    only database, messaging and RPC spans, and HTTP client spans that are named after their method.

    Args:
        name: Name of the span.
        kind: Its `SpanKind`, or None.
        attributes: Its attributes at the start.
    """
    if not attributes:
        return True
    if any(key.startswith(LLM_MARKS) for key in attributes):
        return True
    if any(mark in attributes for mark in NOT_LLM_MARKS) or attributes.get("rpc.system") == "grpc":
        return False
    if getattr(kind, "name", kind) != "CLIENT":
        return True
    method = next((attributes[mark] for mark in HTTP_MARKS if mark in attributes), None)
    return method is None or not name.startswith((str(method), "HTTP"))
