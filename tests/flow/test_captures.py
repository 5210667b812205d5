"""Every capture of a real instrumentation against what the provider billed, call by call."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pytest

from spanbudget.exporter.config import Config
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.exporter.replay.span_json import SpanDecoder
from spanbudget.exporter.wiring import make_parts
from spanbudget.processors.call import LLMCall
from spanbudget.processors.ledger import Ledger, MemoryLedger
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.spans import SpanRecord

DATA = Path(__file__).parents[1] / "captures" / "data"
NAMES = sorted(
    path.name.removesuffix(".jsonl")
    for path in DATA.glob("*.jsonl")
    if not path.name.endswith(".expected.jsonl")
)
PRICES = PriceBook(GenaiPriceTable(), [])
Buckets = tuple[int, int, int, int]
NOTHING: Buckets = (0, 0, 0, 0)

CANNOT_TELL = {
    "openai-v2": "never reports cache counts",
    "openllmetry-openai": "never reports OpenAI's cache writes",
    "langchain-genai": "flex and priority lose cache reads and reasoning, and nothing names the tier",
    "agents-openllmetry": "has no usage on chat completions, and never reports OpenAI's cache writes",
    "langchain-openllmetry-both": "loses Anthropic's cache writes, and says 0 for them",
    "litellm-openinference": "never reports OpenAI's cache writes, nor any usage of Anthropic's streams",
    "google-adk-openinference": "never reports OpenAI's cache writes, and has only the last call of an agent",
    "langsmith": "never reports OpenAI's cache writes",
}
"""Captures whose emitter never tells counts that the price depends on; held to 0 wrong like all others."""


@cache
def spans_of(name: str) -> tuple[SpanRecord, ...]:
    decoder = SpanDecoder()
    lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    return tuple(span for line in lines for span in decoder.spans(json.loads(line)))


@cache
def truth_of(name: str) -> tuple[dict, ...]:
    lines = (DATA / f"{name}.expected.jsonl").read_text().splitlines()
    return tuple(row for row in map(json.loads, lines) if row["billed"])


def true_buckets(row: dict) -> Buckets:
    return row["uncached_input"], row["cache_read"], row.get("cache_write", 0), row["output"]


def buckets_of(call: LLMCall) -> Buckets:
    usage = call.usage
    return usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0


def replayed(spans: Iterable[SpanRecord], ledger: Ledger | None = None, batch: int = 64) -> list[LLMCall]:
    """The calls that stand after the spans went through a new reader, counter and booker."""
    ledger = ledger if ledger is not None else MemoryLedger()
    booker = make_parts(Config(), PRICES, retention=False).booker
    spans = list(spans)
    for start in range(0, len(spans), batch):
        observed = [booker.read(span) for span in spans[start : start + batch]]
        for since_ns, until_ns in booker.unloaded(observed, 0):
            booker.remember(ledger.standing(since_ns, until_ns, limit=10_000))
        bookings = [booker.book(one, 0) for one in observed]
        ledger.append([entry for booking in bookings for entry in booking.entries])
    return [entry.priced.call for entry in ledger.standing(0, 1 << 63, limit=10**6)]


def wrong_calls(name: str, calls: Sequence[LLMCall]) -> list[tuple[str | None, Buckets]]:
    """The calls said to be exact that equal no true call which another one does not equal already."""
    left = Counter(true_buckets(row) for row in truth_of(name))
    wrong = []
    for call in calls:
        told = buckets_of(call)
        if call.usage_confidence != "exact":
            continue
        if left[told]:
            left[told] -= 1
        elif told != NOTHING:
            wrong.append((call.model, told))
    return wrong


def exact_calls(name: str, calls: Sequence[LLMCall]) -> Counter[Buckets]:
    told = Counter(buckets_of(call) for call in calls if call.usage_confidence == "exact")
    return told & Counter(true_buckets(row) for row in truth_of(name))


def outcome(calls: Sequence[LLMCall]) -> list[tuple]:
    return sorted((call.model or "", call.usage_confidence, buckets_of(call)) for call in calls)


def on_some_span(name: str) -> Counter[Buckets]:
    """The true calls whose numbers a span of the case's own traces carries.

    Strictly: one span shows, as integers in attributes or in one usage text, the whole prompt (or, where the
    emitter leaves cached tokens out, the uncached prompt) and the output (for embeddings: the prompt); and
    where the true call read from or wrote to a cache, that number is on the same span too.
    """
    by_trace = defaultdict(list)
    cases: dict[object, list[int]] = {}
    for span in spans_of(name):
        by_trace[span.trace_id].append(span)
        if "test.case" in span.attributes:
            cases.setdefault(span.attributes["test.case"], []).append(span.trace_id)
    found: Counter[Buckets] = Counter()
    for row in truth_of(name):
        told = [numbers_on(span) for trace in cases.get(row["test_case"], ()) for span in by_trace[trace]]
        buckets = true_buckets(row)
        fresh, read, write, output = buckets
        if any(
            (fresh + read + write in numbers or fresh in numbers)
            and {count for count in (output, read, write) if count} <= numbers
            for numbers in told
        ):
            found[buckets] += 1
    return found


def numbers_on(span: SpanRecord) -> set[int]:
    """All whole numbers that a span tells under a usage key."""
    numbers: set[int] = set()
    for key, value in span.attributes.items():
        if not any(word in key for word in ("usage", "token")):
            continue
        if type(value) is int:
            numbers.add(value)
        elif isinstance(value, str) and value.startswith("{"):
            digits = "".join(letter if letter.isdigit() else " " for letter in value)
            numbers |= {int(word) for word in digits.split() if len(word) < 10}
    return numbers


def test_there_are_captures_and_each_has_its_truth() -> None:
    assert len(NAMES) >= 40
    assert set(CANNOT_TELL) <= set(NAMES)
    assert all(truth_of(name) for name in NAMES)


def test_most_true_calls_are_on_some_span() -> None:
    """So that the share of exact calls below is a share of something."""
    tellable = sum(on_some_span(name).total() for name in NAMES)
    assert tellable >= 0.85 * sum(len(truth_of(name)) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_exact_call_is_wrong_or_counted_twice(name) -> None:
    assert wrong_calls(name, replayed(spans_of(name))) == []


@pytest.mark.parametrize("name", NAMES)
def test_there_are_no_more_calls_with_tokens_than_were_billed(name) -> None:
    with_tokens = [call for call in replayed(spans_of(name)) if call.usage.total]
    assert len(with_tokens) <= len(truth_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_call_that_is_not_exact_names_a_reason(name) -> None:
    for call in replayed(spans_of(name)):
        assert call.usage_confidence == "exact" or call.reasons
        assert call.usage_confidence != "exact" or None not in (call.usage.input, call.usage.output)
        assert call.usage_confidence != "unknown" or None in (call.usage.input, call.usage.output)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(CANNOT_TELL)))
def test_nearly_every_call_whose_numbers_are_on_a_span_is_exact(name) -> None:
    tellable = on_some_span(name)
    exact = exact_calls(name, replayed(spans_of(name))) & tellable
    assert exact.total() >= 0.95 * tellable.total(), tellable - exact


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_shuffled_spans_make_no_wrong_and_no_doubled_call(name, seed) -> None:
    """Within their traces; the last seed shuffles the traces into each other as well."""
    rng = random.Random(seed)
    spans = list(spans_of(name))
    rng.shuffle(spans)
    if seed < 2:
        waiting = defaultdict(list)
        for span in spans:
            waiting[span.trace_id].append(span)
        spans = [waiting[span.trace_id].pop() for span in spans_of(name)]
    calls = replayed(spans)
    assert wrong_calls(name, calls) == []
    assert sum(bool(call.usage.total) for call in calls) <= len(truth_of(name))
    assert exact_calls(name, calls) == exact_calls(name, replayed(spans_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_two_replays_into_one_ledger_are_as_good_as_one(name) -> None:
    spans, ledger = spans_of(name), MemoryLedger()
    half = len(spans) // 2
    replayed(spans[:half], ledger)
    assert outcome(replayed(spans[half:], ledger)) == outcome(replayed(spans))


@pytest.mark.parametrize("name", NAMES)
def test_a_second_replay_changes_nothing(name) -> None:
    ledger = MemoryLedger()
    first = replayed(spans_of(name), ledger)
    entries = len(list(ledger.entries()))
    assert outcome(replayed(spans_of(name), ledger, batch=7)) == outcome(first)
    assert len(list(ledger.entries())) == entries
