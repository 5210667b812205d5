"""Strategies for spans that no instrumentation should make, and what must hold whatever was made of them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Booker
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.call import TOKENS_MAX, LLMCall, PricedCall, Usage
from spanbudget.processors.counting import CallCounter
from spanbudget.processors.dialects import (
    HTTP_MARKS,
    LABEL_SPELLINGS,
    LITELLM_MARKS,
    NOT_LLM_MARKS,
    OPERATION_NAMES,
    RULES,
    SPELLINGS,
    Field,
)
from spanbudget.processors.ledger import NO_SPEND, Entry, Ledger, MemoryLedger, Spend, SpendKey, entry_spend
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.periods import Period
from spanbudget.processors.reading import TIME_MAX_NS, SpanReader
from spanbudget.processors.spans import SpanRecord

NOW_NS = 1_795_435_200_000_000_000
RAW_KEYS = ("llm.openai.usage", "llm.openai.id", "llm.None.usage", "llm.anthropic.stop_reason", "rpc.method")
KEYS = sorted(
    {
        *(key for keys in (*SPELLINGS.values(), *LABEL_SPELLINGS.values()) for key in keys),
        *RAW_KEYS,
        *LITELLM_MARKS,
        *NOT_LLM_MARKS,
        *HTTP_MARKS,
    }
)
"""Every attribute name that means anything to the reader."""
COUNT_FIELDS = [field for field in range(Field.INPUT, Field.IMAGE_INPUT + 1) if field != Field.TOTAL]
"""Fields that hold a count; a total is not looked at where both of its parts are told."""
COUNT_KEYS = sorted(key for field in COUNT_FIELDS for key in SPELLINGS[field])
SCOPES = [*RULES, "openinference.instrumentation.new", "opentelemetry.instrumentation.genai.new", "app", ""]
WORDS = [
    *(
        "gpt-5",
        "gpt-4o",
        "openai/gpt-4o",
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "anthropic.claude-3:0",
        "house",
    ),
    *(
        "openai",
        "anthropic",
        "azure",
        "aws.bedrock",
        "gcp.gemini",
        "openrouter",
        "provider",
        "",
        " ",
        "\x00",
        "%,=~",
    ),
    *(
        "default",
        "flex",
        "priority",
        "batch",
        "true",
        "True",
        "stop",
        "1",
        "-1",
        "٣",
        "1e3",
        "nan",
        "9" * 400,
    ),
    *OPERATION_NAMES,
    *("invoke_agent", "AGENT", "CHAIN", "raw_gen_ai_request"),
]

integers = st.integers() | st.sampled_from(
    [
        0,
        1,
        -1,
        999,
        TOKENS_MAX,
        TOKENS_MAX + 1,
        2**31,
        2**53,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63),
        10**40,
        -(10**40),
    ]
)
texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=()), max_size=20)
scalars = st.none() | st.booleans() | integers | st.floats() | texts | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.tuples(inner),
    max_leaves=6,
)
counts = st.integers(0, 5_000) | scalars


def _usage_text(usage: Mapping[str, Any]) -> str:
    return json.dumps(usage)


usage_texts = st.dictionaries(
    st.sampled_from(
        [
            *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cost"),
            *("cache_read_input_tokens", "cache_creation_input_tokens", "input", "output", "service_tier"),
            *("prompt_tokens_details", "input_token_details", "completion_tokens_details", "server_tool_use"),
        ]
    ),
    st.integers(-5, 5_000) | st.floats() | st.none() | st.dictionaries(texts, st.integers(), max_size=2),
    max_size=5,
).map(_usage_text) | st.sampled_from(
    ["{", "[]", "null", "{'input': 1}", "{" * 2_000, "[" * 100_000, "input=3 x"]
)
attribute_maps = st.dictionaries(st.sampled_from(KEYS), values | usage_texts | counts, max_size=14)
sound_attributes = st.fixed_dictionaries(
    {
        "gen_ai.operation.name": st.sampled_from(["chat", "embeddings", "invoke_agent", "generate_content"]),
        "gen_ai.provider.name": st.sampled_from(["openai", "anthropic", "gcp.gemini", "openrouter"]),
        "gen_ai.request.model": st.sampled_from(
            ["gpt-5", "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "house"]
        ),
        "gen_ai.usage.input_tokens": st.integers(0, 400_000),
        "gen_ai.usage.output_tokens": st.integers(0, 5_000),
    },
    optional={
        "gen_ai.usage.cache_read.input_tokens": st.integers(0, 5_000),
        "gen_ai.usage.cache_write.input_tokens": st.integers(0, 5_000),
        "gen_ai.response.id": st.sampled_from(["r1", "r2", "r3"]),
        "gen_ai.response.finish_reasons": st.just(("stop",)),
        "user.id": st.sampled_from(["alice", "bob", "\ud800"]),
    },
)
attributes = (
    attribute_maps | sound_attributes | st.builds(lambda a, b: {**a, **b}, sound_attributes, attribute_maps)
)
times = st.integers(NOW_NS - 10**10, NOW_NS) | st.sampled_from(
    [0, -1, 1, -(10**30), NOW_NS, TIME_MAX_NS - 1, TIME_MAX_NS, 2**63, 10**40]
)
span_ids = st.integers(0, 6) | st.sampled_from([2**63, 2**64 - 1, 2**64, -1])
trace_ids = st.integers(0, 3) | st.sampled_from([2**128 - 1, 2**128, -1])

spans = st.builds(
    SpanRecord,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_id=span_ids,
    name=texts,
    scope=st.sampled_from(SCOPES) | texts,
    version=st.sampled_from(["", "1", "0.62.1", "2.13.0"]) | texts,
    start_ns=times,
    end_ns=times,
    status=st.integers(0, 2),
    description=st.none() | texts,
    attributes=attributes,
    resource=st.dictionaries(
        st.sampled_from(["service.name", "deployment.environment.name", "team"]), values, max_size=3
    ),
    exceptions=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    sampled=st.booleans(),
)
"""Spans with anything in them: ids 0, parents in a circle, times before the epoch, garbage everywhere."""


def sdk_span(record: SpanRecord) -> ReadableSpan:
    """The same span as the SDK hands it to a processor, but unchecked: the SDK would refuse most of it."""
    span = ReadableSpan(
        name=record.name,
        context=SpanContext(record.trace_id, record.span_id, is_remote=False, trace_flags=TraceFlags(1)),
        parent=SpanContext(record.trace_id, record.parent_id, is_remote=False) if record.parent_id else None,
        instrumentation_scope=InstrumentationScope(record.scope, record.version),
        status=Status(StatusCode.ERROR if record.status == 2 else StatusCode.UNSET),
        start_time=record.start_ns,
        end_time=record.end_ns,
    )
    span._attributes = dict(record.attributes)
    return span


def budgets() -> list[Budget]:
    """Budgets of every kind of period and one for each user."""
    return [
        Budget(name="all", max_cost=10**12, period=Period("total")),
        Budget(name="daily", max_tokens=10**6, period=Period("daily")),
        Budget(name="rolling", max_requests=10, period=Period("rolling", rolling_seconds=3_600)),
        Budget(name="per-user", max_cost=10**9, period=Period("monthly"), per=("user",)),
    ]


class House:
    """Everything from the reader to a ledger, without threads."""

    def __init__(self, ledger: Ledger | None = None, *, max_entries: int = 50_000) -> None:
        self.reader = SpanReader()
        self.ledger = ledger if ledger is not None else MemoryLedger()
        self.booker = Booker(
            reader=self.reader,
            counter=CallCounter(max_entries=max_entries),
            prices=PriceBook(GenaiPriceTable()),
            budgets=BudgetBook(budgets()),
        )
        self.booked = 0

    def book(self, records: Iterable[SpanRecord], batch: int = 3) -> None:
        """Books spans in batches as the pipeline does."""
        left = list(records)
        self.booked += len(left)
        while left:
            some, left = left[:batch], left[batch:]
            observed = [self.booker.read(one) for one in some]
            for since_ns, until_ns in self.booker.unloaded(observed, NOW_NS):
                self.booker.remember(self.ledger.standing(since_ns, until_ns, limit=1_000))
            bookings = [self.booker.book(one, NOW_NS) for one in observed]
            self.ledger.append([entry for booking in bookings for entry in booking.entries])

    def tallied(self, *metrics: names.Metric) -> int:
        """How many spans were tallied under metrics."""
        wanted = {metric.name for metric in metrics}
        return sum(count for (name, _), count in self.booker.tallies.items() if name in wanted)

    def check(self, seen: list[SpanRecord]) -> None:
        """Everything that must hold after these spans were booked."""
        entries = list(self.ledger.entries())
        for entry in entries:
            check_priced(entry.priced)
        assert self.tallied(names.SPANS_COUNTED, names.SPANS_MERGED, names.SPANS_SKIPPED) == self.booked
        check_pairs(entries)
        keys = {key for call in calls_of(entries) for key in self.booker._budgets.windows_of(call)}
        check_totals(entries, self.ledger.spend(keys))
        assert all(reason.isidentifier() and count > 0 for reason, count in self.reader.rejected.items())
        assert len(seen) == self.booked


def calls_of(entries: Iterable[Entry]) -> list[LLMCall]:
    return [entry.priced.call for entry in entries]


def check_priced(priced: PricedCall) -> None:
    """Money is whole and never negative, counts are in bounds, and exact means exact."""
    parts = (priced.cost_input, priced.cost_cache_read, priced.cost_cache_write, priced.cost_output)
    assert all(type(part) is int and part >= 0 for part in parts)
    if priced.cost is None:
        assert priced.confidence == "unpriced"
        assert priced.reasons
        assert not any(parts)
    else:
        assert type(priced.cost) is int
        assert 0 <= sum(parts) <= priced.cost
    check_call(priced.call)


def check_call(call: LLMCall) -> None:
    check_usage(call.usage)
    assert call.usage_confidence in ("exact", "estimated", "unknown")
    if call.usage_confidence == "exact":
        assert call.usage.input is not None
        assert call.usage.output is not None
    else:
        assert call.reasons
    assert 0 < call.start_ns <= call.end_ns < TIME_MAX_NS
    assert 0 < call.trace_id < 2**128
    assert 0 < call.span_id < 2**64
    assert 0 <= call.parent_id < 2**64
    for cost in (call.reported_cost, call.claimed_cost):
        assert cost is None or (type(cost) is int and cost >= 0)
    assert all(type(text) is str and text for label in call.labels for text in label)
    texts_of = (
        call.provider,
        call.model,
        call.request_model,
        call.response_model,
        call.tier,
        call.response_id,
    )
    assert all(text is None or type(text) is str for text in texts_of)


def check_usage(usage: Usage) -> None:
    for count in usage:
        assert count is None or (type(count) is int and 0 <= count <= TOKENS_MAX)
    for part, whole in (
        (usage.reasoning, usage.output),
        (usage.audio_input, usage.input),
        (usage.audio_output, usage.output),
        (usage.audio_cache_read, usage.cache_read),
        (usage.image_input, usage.input),
        (usage.cache_write_5m, usage.cache_write),
        (usage.cache_write_1h, usage.cache_write),
    ):
        assert part is None or (whole is not None and part <= whole)


def check_pairs(entries: list[Entry]) -> None:
    """No call is reversed that is not booked, none is booked twice, and a reversal is the exact negative."""
    booked = [entry for entry in entries if entry.kind == "call"]
    reversed_ = [entry for entry in entries if entry.kind == "reversal"]
    keys = Counter(
        (one.priced.call.end_ns, one.priced.call.trace_id, one.priced.call.span_id) for one in booked
    )
    assert not keys or max(keys.values()) == 1
    calls = {(one.priced.call.end_ns, one.id[:24]): entry_spend(one) for one in booked}
    for one in reversed_:
        known = calls[one.priced.call.end_ns, one.id[:24]]
        assert known.plus(entry_spend(one)) == NO_SPEND


def check_totals(entries: list[Entry], totals: Mapping[SpendKey, Spend]) -> None:
    """The running total of the budget over everything is the sum of all entries, and no total is negative."""
    for total in totals.values():
        assert min(total.cost, total.tokens, total.requests, total.estimated, total.unpriced) >= 0
        assert total.estimated <= total.cost
        assert total.unpriced <= total.requests
    whole = NO_SPEND
    for entry in entries:
        whole = whole.plus(entry_spend(entry))
    for name in ("all", "daily", "per-user"):
        summed = NO_SPEND
        for key, total in totals.items():
            if key.budget == name:
                summed = summed.plus(total)
        assert summed == whole, name
