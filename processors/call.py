"""The records of one LLM call: its usage, the call, and the call with its price.

All records are immutable. Unknown is `None` together with a reason, never 0 and never "".

They are named tuples, not frozen dataclasses, because one of each is made for every span: a frozen dataclass
of this size takes five times as long to make. A changed copy is `record._replace(…)`.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

UsageConfidence: TypeAlias = Literal["exact", "estimated", "unknown"]
CostConfidence: TypeAlias = Literal["exact", "estimated", "unpriced"]
Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Attribution labels, sorted by name; hashable, so that matches can be remembered."""

TOKENS_MAX: Final = 1_000_000_000
"""Most tokens of one bucket that are believed; no model has a context near it, and above it int64 could
overflow."""


class Usage(NamedTuple):
    """Token counts of one call in disjoint buckets; `input + cache_read + cache_write + output` is all.

    Attributes:
        input: Prompt tokens that were neither read from nor written to a cache.
        cache_read: Prompt tokens read from the provider's cache.
        cache_write: Prompt tokens written to the provider's cache, of any lifetime.
        cache_write_5m: The part of `cache_write` with a lifetime of 5 minutes; None where not reported.
        cache_write_1h: The part of `cache_write` with a lifetime of 1 hour; None where not reported.
        output: Tokens of the answer, visible and reasoning together.
        reasoning: The part of `output` that was reasoning.
        audio_input: The part of `input` that was audio.
        audio_output: The part of `output` that was audio.
        audio_cache_read: The part of `cache_read` that was audio.
        image_input: The part of `input` that was images.

    Every count is an integer from 0 to `TOKENS_MAX`, or None where the span does not tell.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    audio_cache_read: int | None = None
    image_input: int | None = None

    @property
    def total(self) -> int:
        """All known tokens, 0 to 4 * `TOKENS_MAX`."""
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0) + (self.output or 0)

    @property
    def prompt(self) -> int:
        """All known tokens of the prompt, cached or not."""
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0)


NO_USAGE: Final = Usage()
ZERO_USAGE: Final = Usage(
    input=0, cache_read=0, cache_write=0, cache_write_5m=0, cache_write_1h=0, output=0, reasoning=0
)


class LLMCall(NamedTuple):
    """One call to a model, as one span describes it.

    Attributes:
        trace_id: 128-bit trace id.
        span_id: 64-bit span id.
        parent_id: Span id of the parent, 0 where there is none.
        scope: Name of the instrumentation scope that made the span.
        provider: Normalised provider (`openai`, `anthropic`, `aws.bedrock`, …); None where unknown.
        model: The model that is priced, normalised; None where unknown.
        request_model: The model asked for, as the span spells it.
        response_model: The model that answered, as the span spells it.
        operation: `chat`, `embeddings`, `generate_content`, `invoke_agent`, …
        aggregate: True for agent, workflow and chain spans: their usage may repeat their children's.
        tier: Service tier (`default`, `flex`, `priority`, `batch`, …); None where not reported.
        usage: The token buckets.
        usage_confidence: Whether the buckets are exact, estimated or unknown.
        reasons: Why they are not exact, and what was corrected; names, in no order of importance.
        start_ns: Start, nanoseconds since the epoch.
        end_ns: End, nanoseconds since the epoch.
        failed: True where the call ended in an error.
        response_id: The id which the provider gave to the answer; None where not reported.
        labels: Attribution labels, sorted by name.
        reported_cost: Cost in pico-USD that the provider's API itself returned; None where it did not.
        claimed_cost: Cost in pico-USD that an instrumentation computed; a cross-check, never the truth.
        web_searches: Web searches that the provider bills by request; None where not reported.
        prompt_hash: Hash of the whole request, int64; None unless the application opted in.
        prefix_hash: Hash of its system instructions and tools, and in the lowest byte their share of the
            prompt; see `content_hash.split_prefix`. None as above.
        finish_reason: Why the answer ended, under one name (`stop`, `length`, `tool_calls`,
            `content_filter`, …); None where not reported.
        error_type: Class or code of the error, never its message; None where there was none.
        interactive: True where somebody waits for the answer, False where nobody does, None where nothing
            tells.
        deterministic: True where temperature 0 was asked for, False for any other; None where not reported.
    """

    trace_id: int
    span_id: int
    parent_id: int
    scope: str
    provider: str | None
    model: str | None
    request_model: str | None
    response_model: str | None
    operation: str
    aggregate: bool
    tier: str | None
    usage: Usage
    usage_confidence: UsageConfidence
    reasons: tuple[str, ...]
    start_ns: int
    end_ns: int
    failed: bool
    response_id: str | None
    labels: Labels
    reported_cost: int | None = None
    claimed_cost: int | None = None
    web_searches: int | None = None
    prompt_hash: int | None = None
    prefix_hash: int | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    interactive: bool | None = None
    deterministic: bool | None = None

    def label(self, name: str) -> str | None:
        """The value of a label, None where the call has no such label."""
        return next((value for key, value in self.labels if key == name), None)


class PlainCall(LLMCall):
    """A call that needs no second thought when it is priced; only `SpanReader` makes one.

    Its usage is exact and checked: input, cache read and output are counts, nothing was written to a cache,
    no part has a price of its own. It has no reasons, no reported or claimed cost and no web searches.
    """

    __slots__ = ()

    def _replace(  # type: ignore[override]
        self, **changes: object
    ) -> LLMCall:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A changed copy, which is an ordinary call: the promises above may not hold for it."""
        return LLMCall(*self)._replace(**changes)  # type: ignore[arg-type]


class PricedCall(NamedTuple):
    """A call and what it cost.

    Attributes:
        call: The call.
        cost: Total in pico-USD, 0 or more; None where it could not be priced.
        cost_input: The part of `cost` for `usage.input`, pico-USD.
        cost_cache_read: The part of `cost` for `usage.cache_read`, pico-USD.
        cost_cache_write: The part of `cost` for `usage.cache_write`, pico-USD.
        cost_output: The part of `cost` for `usage.output`, pico-USD.
        price_id: Which price it was: source, version and entry; None where unpriced.
        confidence: Whether the cost is exact, estimated or missing.
        reasons: Why the cost is not exact, beyond the reasons of the usage.

    The parts may sum to less than `cost`: per-request fees and tool fees belong to no bucket.
    """

    call: LLMCall
    cost: int | None
    cost_input: int
    cost_cache_read: int
    cost_cache_write: int
    cost_output: int
    price_id: str | None
    confidence: CostConfidence
    reasons: tuple[str, ...]


SpanAttributes: TypeAlias = Mapping[str, object]
