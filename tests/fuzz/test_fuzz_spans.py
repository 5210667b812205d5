"""Whatever stands in a span: nothing is raised, no money is negative, and what is refused is counted."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nasty import COUNT_FIELDS, COUNT_KEYS, NOW_NS, House, check_call, counts, scalars, spans, values

from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.call import TOKENS_MAX, LLMCall
from spanbudget.processors.dialects import SPELLINGS
from spanbudget.processors.reading import TIME_MAX_NS, SpanReader
from spanbudget.processors.spans import SpanRecord

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
SOAK_EXAMPLES = 200 * int(os.environ.get("SOAK_ROUNDS", "50"))


def sound(
    attributes: dict[str, object], scope: str = "opentelemetry.instrumentation.genai.openai"
) -> SpanRecord:
    return SpanRecord(1, 2, 0, "chat", scope, "1", NOW_NS - 10**9, NOW_NS, 0, None, attributes, {})


@given(spans)
@settings(suppress_health_check=SLOW)
def test_any_span_is_read_as_a_sound_call_or_as_none(span):
    reader = SpanReader()
    call = reader.read(span)
    if call is not None:
        check_call(call)


def has_sound_ids(span: SpanRecord) -> bool:
    return 0 < span.trace_id < 2**128 and 0 < span.span_id < 2**64 and 0 <= span.parent_id < 2**64


@given(spans)
@settings(suppress_health_check=SLOW)
def test_a_call_that_is_refused_for_its_ids_or_times_is_counted(span):
    reader = SpanReader()
    whole = span._replace(trace_id=1, span_id=1, parent_id=0, end_ns=NOW_NS)
    if reader.read(span) is None and reader.read(whole) is not None:
        assert set(reader.rejected) & {"no_span_id", "bad_id", "bad_time"}
        assert not (has_sound_ids(span) and 0 < span.end_ns < TIME_MAX_NS)


def is_count(value: object) -> bool:
    """A whole number from 0 to the bound, written as a number or in digits."""
    if (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and len(value) <= 10 and value.isascii() and value.isdigit()
    ):
        value = int(value)
    return type(value) is int and 0 <= value <= TOKENS_MAX


def read_with_count(key: str, value: object) -> tuple[LLMCall | None, dict[str, int]]:
    """A plain call in which one count stands under one spelling, and what was refused."""
    field = next(field for field in COUNT_FIELDS if key in SPELLINGS[field])
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    }
    others = {name: known for name, known in attributes.items() if name not in SPELLINGS[field]}
    reader = SpanReader()
    return reader.read(sound({**others, key: value})), reader.rejected


@given(st.sampled_from(COUNT_KEYS), values | counts)
@settings(suppress_health_check=SLOW)
def test_a_count_that_is_no_count_is_refused_and_counted(key, value):
    assume(value is not None and value != "")
    call, rejected = read_with_count(key, value)
    assert rejected.get("bad_token_count", 0) == (0 if is_count(value) else 1)
    assert call is not None
    assert call.usage_confidence != "exact" or is_count(value)


@pytest.mark.parametrize(
    "key", ["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"]
)
@pytest.mark.parametrize("value", [False, b"", [], {}], ids=repr)
def test_what_is_false_is_no_count_of_0(key, value):
    call, rejected = read_with_count(key, value)
    assert rejected == {"bad_token_count": 1}
    assert call is not None
    assert call.usage_confidence != "exact"


@given(st.lists(spans, max_size=12))
@settings(suppress_health_check=SLOW)
def test_any_spans_are_booked_with_sums_that_agree(records):
    house = House()
    house.book(records)
    house.check(records)


@pytest.fixture(scope="module")
def ledger() -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(":memory:")) as opened:
        yield opened


def emptied(ledger: SqliteLedger) -> SqliteLedger:
    """The ledger without what an earlier example has left; quicker than a new one for each."""
    with ledger.writing() as connection:
        for table in ("entries", "spend"):
            connection.execute(f"DELETE FROM {table}")
    return ledger


@given(st.lists(spans, max_size=12))
@settings(suppress_health_check=SLOW)
def test_a_sqlite_ledger_books_what_one_in_memory_books(ledger, records):
    memory, durable = House(), House(emptied(ledger))
    memory.book(records)
    durable.book(records)
    durable.check(records)
    bare = [entry._replace(windows=()) for entry in memory.ledger.entries()]
    assert list(ledger.entries()) == bare
    keys = {key for entry in memory.ledger.entries() for key in entry.windows}
    assert ledger.spend(keys) == memory.ledger.spend(keys)


@given(st.lists(spans, max_size=12))
@settings(suppress_health_check=SLOW)
def test_spans_booked_twice_count_once(records):
    """By the same counter, and by a new one that has only the ledger to ask."""
    house = House()
    house.book(records)
    before = house.ledger.spend({key for entry in house.ledger.entries() for key in entry.windows})
    house.book(records)
    house.check([*records, *records])
    assert {key: total for key, total in house.ledger.spend(before).items() if total != before[key]} == {}


@given(st.lists(spans, max_size=12), st.integers(1, 5))
@settings(suppress_health_check=SLOW)
def test_a_counter_with_hardly_any_memory_keeps_the_sums(records, max_entries):
    house = House(max_entries=max_entries)
    house.book(records)
    house.check(records)


@given(scalars, scalars)
def test_a_cost_on_a_span_is_money_or_nothing(amount, source):
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 1,
    }
    reader = SpanReader()
    call = reader.read(
        sound({**attributes, "gen_ai.usage.cost.amount": amount, "gen_ai.usage.cost.source": source})
    )
    assert call is not None
    check_call(call)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@given(st.lists(spans, max_size=25), st.integers(1, 40))
@settings(suppress_health_check=SLOW, max_examples=SOAK_EXAMPLES, deadline=None)
def test_for_a_long_time_any_spans_are_booked_with_sums_that_agree(records, max_entries):
    house = House(max_entries=max_entries)
    house.book(records)
    house.check(records)
