"""From spans to entries: what stands in the ledger, whatever came in which order, and after a restart."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spans import (
    LLMETRY_OPENAI,
    NOON_NS,
    Books,
    agent,
    booked,
    genai,
    inference_chat,
    openai_chat,
    span,
)

from spanbudget.processors import names_out as names
from spanbudget.processors.booking import UNPRICED_MODELS_MAX
from spanbudget.processors.budgets import Budget
from spanbudget.processors.counting import CallCounter
from spanbudget.processors.ledger import MemoryLedger
from spanbudget.processors.periods import Period

HOUR_NS = 3_600_000_000_000

FLOW = [
    agent(1, (3300, 230), at=(0, 60)),
    inference_chat(2, read=400, parent=1, at=(1, 20)),
    openai_chat(3, parent=2, read=400, at=(2, 19), response_id="c-1"),
    inference_chat(4, (1500, 120), parent=1, at=(21, 40)),
    openai_chat(5, (1500, 120), parent=4, at=(22, 39), response_id="c-2"),
    span(6, parent=1, at=(41, 55)),
    openai_chat(7, (900, 50), parent=6, at=(42, 64), response_id="c-3"),
]


@settings(max_examples=80, deadline=None)
@given(st.permutations(FLOW), st.integers(1, 7))
def test_the_total_is_the_same_in_any_order_and_in_any_batches(spans, batch) -> None:
    """Per token: input 1,000, cache read 100, output 8,000 pico-USD; 500 + 400 cached + 60, 1500 + 120,
    900 + 50.

    (500 + 1500 + 900) * 1,000 + 400 * 100 + (60 + 120 + 50) * 8,000 = 2,900,000 + 40,000 + 1,840,000
    """
    books = Books().book(spans, batch=batch)
    books.check_sums()
    assert books.tokens() == [(500, 400, 0, 60), (900, 0, 0, 50), (1500, 0, 0, 120)]
    assert sum(entry.priced.cost or 0 for entry in books.standing()) == 4_780_000


def test_a_restatement_reverses_and_books_again_and_sums_to_the_truth() -> None:
    """First 900 * 1,000 + 60 * 8,000 = 1,380,000; then 500 * 1,000 + 400 * 100 + 60 * 8,000 = 1,020,000."""
    blind = span(2, genai(), scope="opentelemetry.instrumentation.openai_v2", parent=1, at=(1, 9))
    books = booked([blind, inference_chat(1, read=400, at=(0, 10))])
    lines = [(entry.kind, entry.priced.cost) for entry in books.ledger.entries()]
    assert lines == [("call", 1_380_000), ("reversal", 1_380_000), ("call", 1_020_000)]


@pytest.mark.parametrize("cut", range(1, len(FLOW)))
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_restart_between_any_two_spans_does_not_count_twice(cut, seed) -> None:
    spans = [*FLOW[:-1], openai_chat(7, (900, 50), parent=6, at=(42, 54), response_id="c-3")]
    if seed is not None:
        random.Random(seed).shuffle(spans)
    else:
        spans.sort(key=lambda one: one.end_ns)
    ledger = MemoryLedger()
    Books(ledger).book(spans[:cut])
    books = Books(ledger).book(spans[cut:])
    books.check_sums()
    assert books.tokens() == [(500, 400, 0, 60), (900, 0, 0, 50), (1500, 0, 0, 120)]


@pytest.mark.parametrize("seed", range(4))
def test_booking_the_same_spans_again_changes_nothing(seed) -> None:
    ledger = MemoryLedger()
    Books(ledger).book(random.Random(seed).sample(FLOW, len(FLOW)))
    before = list(ledger.entries())
    for again in range(3):
        books = Books(ledger).book(random.Random(seed + again).sample(FLOW, len(FLOW)))
        books.check_sums()
    standing = books.tokens()
    assert standing == [(500, 400, 0, 60), (900, 0, 0, 50), (1500, 0, 0, 120)]
    same = Books(ledger).book(random.Random(seed).sample(FLOW, len(FLOW)))
    assert len(list(same.ledger.entries())) >= len(before)
    assert same.tokens() == standing


def test_a_response_id_is_known_after_memory_has_forgotten_it() -> None:
    ledger = MemoryLedger()
    books = Books(ledger, CallCounter(max_entries=1))
    first = openai_chat(2, response_id="c-1", at=(1, 9))
    books.book([first, openai_chat(3, trace=8, at=(20, 21))])
    assert not books.counter.knows(first.trace_id, first.span_id)
    twin = span(4, genai(response_id="c-1"), scope=LLMETRY_OPENAI, trace=9, at=(0, 10))
    later = Books(ledger).book([twin])
    assert later.reasons() == ["response_id"]
    assert len(later.tokens()) == 2


@pytest.mark.parametrize(("age_ns", "entries"), [(HOUR_NS - 1, 1), (HOUR_NS, 1), (HOUR_NS + 1, 0)])
def test_a_call_older_than_the_retention_is_refused_and_counted(age_ns, entries) -> None:
    call = openai_chat(2)
    books = Books(retention_ns=HOUR_NS).book([call], now_ns=call.end_ns + age_ns)
    assert len(list(books.ledger.entries())) == entries
    assert books.tallies(names.SPANS_REJECTED.name) == ({} if entries else {"too_old": 1})


def test_a_span_that_knows_more_about_a_refused_call_books_nothing_either() -> None:
    blind = span(2, genai(), scope="opentelemetry.instrumentation.openai_v2", parent=1, at=(1, 9))
    books = Books(retention_ns=HOUR_NS)
    books.book([blind, inference_chat(1, read=400, at=(0, 10))], now_ns=NOON_NS + 2 * HOUR_NS)
    assert list(books.ledger.entries()) == []


@pytest.mark.parametrize(("delay_hours", "late"), [(0, {}), (1, {}), (24, {"closed_window": 1})])
def test_a_span_for_a_window_that_has_closed_is_booked_and_counted_as_late(delay_hours, late) -> None:
    """Noon plus one hour is the same day; noon plus 24 hours is the next."""
    daily = Budget(name="daily", max_cost=10**12, period=Period("daily"))
    books = Books(budgets=[daily]).book([openai_chat(2)], now_ns=NOON_NS + delay_hours * HOUR_NS)
    assert len(books.tokens()) == 1
    assert books.tallies(names.SPANS_LATE.name) == late


def test_a_call_without_a_price_is_booked_and_counted_by_model() -> None:
    books = booked([openai_chat(2, model="unpriced-1"), openai_chat(3, trace=2, model="unpriced-1")])
    assert [entry.priced.cost for entry in books.standing()] == [None, None]
    assert books.tallies(names.CALLS_UNPRICED.name) == {"unpriced-1": 2}


def test_models_without_a_price_are_named_up_to_a_bound() -> None:
    models = UNPRICED_MODELS_MAX + 3
    books = booked(openai_chat(n, trace=n, model=f"unpriced-{n}") for n in range(1, models + 1))
    tallies = books.tallies(names.CALLS_UNPRICED.name)
    assert len(tallies) == UNPRICED_MODELS_MAX + 1
    assert tallies["other"] == 3


def test_every_span_is_counted_under_what_became_of_it() -> None:
    books = booked([*sorted(FLOW, key=lambda one: one.end_ns), FLOW[2], span(90)])
    assert books.tallies(names.SPANS_COUNTED.name) == {"exact": 3}
    assert books.tallies(names.SPANS_MERGED.name) == {"ancestor": 2, "aggregate_exceeds": 1}
    assert books.tallies(names.SPANS_SKIPPED.name) == {"no_call": 2, "duplicate_span": 1}
    assert len(books.bookings) == 3 + 3 + 3
