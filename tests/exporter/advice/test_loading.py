"""Calls of a ledger as the table that advice reads: exact, bounded, and only those that were asked for."""

import pandas as pd
import pytest
from planted_spans import HOUR_NS, SECOND_NS

from spanbudget.exporter.advice.loading import load_calls
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.budgets import ORPHANED_LEASE, Budget
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.content_hash import ContentHasher
from spanbudget.processors.ledger import Entry, entry_id
from spanbudget.processors.periods import Period
from spanbudget.processors.selectors import Selector
from spanbudget.rules.advice.calls import COLUMNS, read_calls

NOW_NS = 1_795_435_200_000_000_000


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request, tmp_path):
    postgres = request.param == "postgres"
    opened = open_ledger(
        request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path}/a.db"
    )
    yield opened
    opened.close()


def entry(number, kind="call", cost=100, **changes):
    """A call that ended `number` seconds before now."""
    end_ns = NOW_NS - number * SECOND_NS
    call = LLMCall(
        *(number + 1, number + 1, 5, "scope", "openai", "gpt-5", "gpt-5", "gpt-5-2025", "chat", False),
        *("default", Usage(input=10, cache_read=4, output=3), "exact", (), end_ns - SECOND_NS, end_ns),
        *(False, None, (("service", "shop"), ("user", f"u{number % 2}"))),
    )._replace(**changes)
    return Entry(entry_id(call, kind), kind, PricedCall(call, cost, 40, 10, 0, 50, "p", "exact", ()), ())


def loaded(ledger, *entries, **options):
    ledger.append(list(entries))
    return load_calls(ledger, NOW_NS - 30 * HOUR_NS, NOW_NS + 1, **options)


def test_every_column_comes_from_the_ledger(ledger):
    hashes = ContentHasher(b"k" * 16)
    prompt, prefix = hashes.hashes({
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "s" * 30_000,
        "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "u" * 30_000,
    })  # fmt: skip
    assert prompt is not None
    found = loaded(
        ledger,
        entry(
            1, prompt_hash=prompt, prefix_hash=prefix, finish_reason="length", error_type="Timeout",
            interactive=False, deterministic=True, failed=True, tier="flex",
            usage=Usage(input=1000, cache_read=200, cache_write=300, cache_write_1h=300, output=9,
                        reasoning=4),
        ),
    ).frame  # fmt: skip
    assert COLUMNS.keys() <= set(found.columns)
    row = found.iloc[0].to_dict()
    told = {
        "trace_id": f"{2:032x}", "span_id": f"{2:016x}", "parent_id": f"{5:016x}", "provider": "openai",
        "model": "gpt-5", "operation": "chat", "tier": "flex", "failed": True, "error_type": "Timeout",
        "finish_reason": "length", "interactive": False, "deterministic": True, "input": 1000,
        "cache_read": 200, "cache_write": 300, "cache_write_1h": 300, "output": 9, "reasoning": 4,
        "cost": 100,
        "cost_input": 40, "cost_output": 50, "label.service": "shop", "label.user": "u1",
        "prompt_hash": prompt.to_bytes(8, "big", signed=True),
    }  # fmt: skip
    assert {name: row[name] for name in told} == told
    assert found["cache_write_5m"].isna().all()
    assert row["prefix_tokens"] == pytest.approx(750, abs=10)
    assert len(read_calls(found)) == 1


def test_what_is_unknown_stays_unknown(ledger):
    found = loaded(ledger, entry(1, cost=None, usage=Usage()), entry(2, labels=())).frame
    row = found.iloc[0]
    assert all(pd.isna(row[name]) for name in ("input", "output", "cost", "interactive", "deterministic"))
    assert row["tier"] is None
    assert found.iloc[1]["label.user"] is None
    assert "prompt_hash" not in found.columns
    assert len(read_calls(found)) == 2


def test_reversed_calls_sums_of_agents_and_leases_are_left_out(ledger):
    gone = entry(1)
    found = loaded(
        ledger, gone, entry(2), entry(3, aggregate=True), entry(4, operation=ORPHANED_LEASE),
        gone._replace(id=entry_id(gone.priced.call, "reversal"), kind="reversal"),
    )  # fmt: skip
    assert list(found.frame["span_id"]) == [f"{3:016x}"]
    assert found.sums == {"agent": 1, "lease": 1}


def test_a_call_that_was_cut_short_failed(ledger):
    found = loaded(ledger, entry(1, reasons=("aborted_stream",)), entry(2, reasons=("tier_requested_only",)))
    assert list(found.frame["failed"]) == [True, False]


def test_an_empty_ledger_is_an_empty_table(ledger):
    found = loaded(ledger)
    assert (len(found.frame), found.complete) == (0, True)
    assert len(read_calls(found.frame)) == 0


@pytest.mark.parametrize("calls_max", [1, 5, 7])
def test_the_newest_calls_are_read_and_it_is_said_that_there_are_more(ledger, calls_max):
    found = loaded(ledger, *(entry(number) for number in range(8)), calls_max=calls_max)
    assert list(found.frame["end_ns"]) == [NOW_NS - number * SECOND_NS for number in range(calls_max)]
    assert not found.complete
    assert found.since_ns == NOW_NS - (calls_max - 1) * SECOND_NS


def test_what_fits_is_complete_and_covers_the_time_since_the_first_call(ledger):
    found = loaded(ledger, *(entry(number) for number in range(8)), calls_max=8)
    assert (len(found.frame), found.complete, found.since_ns) == (8, True, NOW_NS - 7 * SECOND_NS)


ALL = Budget(name="all", max_cost=1, period=Period("total"))
EACH = Budget(name="each", max_cost=1, per=("user",), period=Period("daily"))
NONE = Budget(name="none", selector=Selector.of({"service.name": ["other"]}), max_cost=1)


@pytest.mark.parametrize(
    ("only", "child", "expected"),
    [(None, None, 6), ("all", None, 6), ("each", "user=u1", 3), ("each", "user=u9", 0), ("none", None, 0)],
)
def test_the_calls_of_a_budget_or_a_child_are_chosen(ledger, only, child, expected):
    entries = [entry(number) for number in range(6)]
    found = loaded(ledger, *entries, budgets=(ALL, EACH, NONE), only=only, child=child)
    assert len(found.frame) == expected
    assert int(found.budgets["all"].sum()) == expected
    assert int(found.budgets["none"].sum()) == 0


def test_texts_that_a_database_cannot_hold_come_back(ledger):
    row = loaded(ledger, entry(1, model="\ud800", labels=(("user", 'a"\0\\'),))).frame.iloc[0]
    assert (row["model"], row["label.user"]) == ("\ud800", 'a"\0\\')
