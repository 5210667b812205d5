"""Calls, prices and entries for the tests of the ledgers."""

import random
from typing import Any

from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry, EntryKind, SpendKey, entry_id

START_NS = 1_790_000_000_000_000_000
MONTH = SpendKey("production", "", "monthly/UTC", START_NS)
DAY = SpendKey("per-user", "user=alice", "daily/UTC", START_NS)
ALL = SpendKey("global", "", "total", 0)


def a_call(number: int = 1, **changes: Any) -> LLMCall:
    call = LLMCall(
        trace_id=(0xABC << 116) + number,
        span_id=(0xF << 60) + number,
        parent_id=0,
        scope="opentelemetry.instrumentation.openai_v2",
        provider="openai",
        model="gpt-5-mini",
        request_model="gpt-5-mini",
        response_model="gpt-5-mini-2025-08-07",
        operation="chat",
        aggregate=False,
        tier="default",
        usage=Usage(input=100, cache_read=20, output=30),
        usage_confidence="exact",
        reasons=(),
        start_ns=START_NS + number * 1_000,
        end_ns=START_NS + number * 1_000 + 500,
        failed=False,
        response_id=f"chatcmpl-{number}",
        labels=(("team", "search"), ("user", "alice")),
    )
    return call._replace(**changes)


def priced(call: LLMCall, cost: int | None = 4_500_000, **changes: Any) -> PricedCall:
    confidence = "unpriced" if cost is None else "exact"
    price_id = None if cost is None else "genai-prices/2026-01/gpt-5-mini"
    parts = (0, 0, 0, 0) if cost is None else (cost // 2, 0, 0, cost - cost // 2)
    return PricedCall(call, cost, *parts, price_id, confidence, ())._replace(**changes)


def booked(
    number: int = 1,
    cost: int | None = 4_500_000,
    windows: tuple[SpendKey, ...] = (MONTH, DAY, ALL),
    kind: EntryKind = "call",
    **changes: Any,
) -> Entry:
    call = a_call(number, **changes)
    return Entry(entry_id(call, kind), kind, priced(call, cost), windows)


def reversed_entry(entry: Entry) -> Entry:
    return entry._replace(id=entry_id(entry.priced.call, "reversal"), kind="reversal")


def random_entries(seed: int, count: int) -> list[Entry]:
    """Entries with random ids, three windows each, labels and windows from a few."""
    rnd = random.Random(seed)
    made = []
    for number in range(count):
        call = a_call(
            number,
            trace_id=rnd.getrandbits(128),
            span_id=rnd.getrandbits(64),
            parent_id=rnd.getrandbits(64),
            usage=Usage(
                input=rnd.randrange(10_000), cache_read=rnd.randrange(100), output=rnd.randrange(2_000)
            ),
            response_id=f"chatcmpl-{rnd.getrandbits(112):029x}",
            labels=(("feature", "chat"), ("team", f"t{rnd.randrange(12)}")),
        )
        child = DAY._replace(child=f"user=u{rnd.randrange(12)}")
        made.append(Entry(entry_id(call), "call", priced(call, rnd.randrange(10**11)), (MONTH, child, ALL)))
    return made
