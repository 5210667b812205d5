"""What a reservation books and what a span tells are one call, in any order and after a restart."""

from itertools import permutations

import pytest
from made_spans import MS, NOON_NS, TRACE, Books, genai, openai_chat, span

from spanbudget.processors.booking import Observed
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import MemoryLedger
from spanbudget.processors.names_out import HELD_PRICE, TOLD_PRICE
from spanbudget.processors.spans import STATUS_ERROR

HELD, TOLD = 7_000_000_000, 5_000_000_000
PRICED = 900 * 1_000 + 60 * 8_000
"""900 tokens of input at 1,000 pico-USD and 60 of output at 8,000."""


def settlement(
    price_id: str | None,
    cost: int | None,
    *,
    usage: Usage = NO_USAGE,
    parent: int = 2,
    failed: bool = False,
    reasons: tuple[str, ...] = (),
) -> Observed:
    """As the worker makes it of a reservation in whose block span 2 began."""
    call = LLMCall(
        TRACE, 99, parent, "spanbudget", "openai", "gpt-5", "gpt-5", None, "chat", False, None, usage,
        "unknown" if usage is NO_USAGE else "exact", reasons, NOON_NS, NOON_NS + 1_001 * MS, failed, None, (),
        cost if price_id == TOLD_PRICE else None,
    )  # fmt: skip
    sure = "unpriced" if cost is None else "exact" if price_id == TOLD_PRICE else "estimated"
    return Observed(call, False, PricedCall(call, cost, 0, 0, 0, 0, price_id, sure, ()))  # type: ignore[arg-type]


TELLING = openai_chat(2, at=(1, 1000))
SILENT = span(2, genai(None, None), scope="opentelemetry.instrumentation.genai.openai", at=(1, 1000))
OTHER = span(2, at=(1, 1000))


def total(books: Books) -> tuple[int, int]:
    books.check_sums()
    return len(books.standing()), sum(entry.priced.cost or 0 for entry in books.standing())


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("one", "settled", "cost"),
    [
        (TELLING, settlement(TOLD_PRICE, TOLD), TOLD),
        (TELLING, settlement(HELD_PRICE, HELD), PRICED),
        (SILENT, settlement(TOLD_PRICE, TOLD), TOLD),
        (SILENT, settlement(TOLD_PRICE, 0), 0),
        (SILENT, settlement(HELD_PRICE, HELD), HELD),
        (OTHER, settlement(HELD_PRICE, HELD), HELD),
        (OTHER, settlement(TOLD_PRICE, TOLD), TOLD),
    ],
    ids=["told", "held", "silent-told", "silent-free", "silent-held", "no-call-held", "no-call-told"],
)
def test_a_settlement_and_its_span_are_one_call(one, settled, cost, order, *, restart: bool) -> None:
    ledger = MemoryLedger()
    books = Books(ledger)
    for which in order:
        books.book([(one, settled)[which]])
        if restart:
            books = Books(ledger)
    assert total(Books(ledger)) == (1, cost)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_span_around_the_call_and_the_call_and_its_settlement_are_one(order) -> None:
    """Span 2 began first in the block, as that of a framework does; the call is below it."""
    inner = openai_chat(3, parent=2, at=(2, 999))
    given = [span(2, at=(1, 1000)), inner, settlement(HELD_PRICE, HELD)]
    assert total(Books().book([given[place] for place in order])) == (1, PRICED)


def test_a_call_that_was_not_billed_frees_what_was_held() -> None:
    refused = span(
        2, genai(None, None), scope="opentelemetry.instrumentation.genai.openai", at=(1, 1000),
        status=STATUS_ERROR, description="Error code: 402",
    )  # fmt: skip
    assert total(Books().book([refused, settlement(HELD_PRICE, HELD)])) == (1, 0)
