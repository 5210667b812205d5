"""What pricing one call costs, in OTel spans with 15 attributes; the calls are as the reader makes them."""

import time
from collections.abc import Mapping
from typing import Any

from measure import Figure, Yardstick, chosen, median_ratio, tell, thread_us
from spans import call_attributes

from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.call import LLMCall
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.reading import SpanReader
from spanbudget.processors.spans import STATUS_UNSET, SpanRecord

ROUNDS = chosen(3, 31)
CALLS = chosen(200, 2_000)
OPENAI, ANTHROPIC, GOOGLE = (f"opentelemetry.instrumentation.{name}" for name in (
    "genai.openai", "genai.anthropic", "google_genai",
))  # fmt: skip
INPUT, READ = "gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens"

KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "plain": (OPENAI, {READ: None}),
    "with a cache read": (OPENAI, {INPUT: 2_000, READ: 1_024}),
    "with a cache write": (
        ANTHROPIC,
        {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.response.model": "claude-sonnet-4-5-20250929",
            INPUT: 9_000,
            READ: 4_000,
            "gen_ai.usage.cache_write.input_tokens": 2_000,
        },
    ),
    "in a longer context's tier": (
        GOOGLE,
        {
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-2.5-pro",
            "gen_ai.response.model": "gemini-2.5-pro",
            INPUT: 300_000,
            READ: None,
        },
    ),
    "of an unknown model": (
        OPENAI,
        {"gen_ai.request.model": "house-7b", "gen_ai.response.model": "house-7b"},
    ),
}


def calls_of(scope: str, changes: Mapping[str, Any]) -> list[LLMCall]:
    """Calls as a pipeline reads them, all different."""
    reader, now_ns = SpanReader(), time.time_ns()
    calls = []
    for number in range(CALLS):
        attributes = {**call_attributes(number), **changes}
        attributes = {key: value for key, value in attributes.items() if value is not None}
        times = (now_ns + number, now_ns + number + 1_000)
        call = reader.read(
            SpanRecord(
                number + 1, number + 1, 0, "chat", scope, "1", *times, STATUS_UNSET, None, attributes, {}
            )
        )
        if call is not None:
            calls.append(call)
    return calls


def price_all(book: PriceBook, calls: list[LLMCall]) -> None:
    price = book.price
    for call in calls:
        price(call)


def main() -> None:
    yardstick = Yardstick()
    yardstick.make(2_000)
    book = PriceBook(GenaiPriceTable())
    calls = {kind: calls_of(*how) for kind, how in KINDS.items()}
    pairs: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for some in calls.values():
        price_all(book, some)
    for _ in range(ROUNDS):
        for kind, some in calls.items():
            span_us = yardstick.us(500)
            pairs[kind].append((thread_us(lambda some=some: price_all(book, some), CALLS), span_us))  # type: ignore[misc]
    tell(Figure(f"pricing a call {kind}", "≤ 0.03", median_ratio(pairs[kind]), "spans", 3) for kind in KINDS)


if __name__ == "__main__":
    main()
