"""Overrides laid over a price source, and the book's order of truth; amounts in pico-USD."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbudget.processors.call import NO_USAGE, TOKENS_MAX, ZERO_USAGE, LLMCall, Usage
from spanbudget.processors.overrides import COUNTERS_MAX, PLANS_MAX, PriceBook, PriceOverride
from spanbudget.processors.rates import (
    NO_RATES,
    BucketRates,
    RateCard,
    RateHistory,
    RateSegment,
    charge,
    completed,
)

LIST = RateCard(
    "list:gpt-5",
    (BucketRates(input=1_250_000, cache_read=125_000, output=10_000_000),),
    web_search=10_000_000_000,
)
LONG = RateCard(
    "list:long",
    (
        BucketRates(-1, 3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000),
        BucketRates(200_000, 6_000_000, 600_000, 7_500_000, 12_000_000, 22_500_000),
    ),
)


class ListSource:
    """A price source of two models that counts how often it is asked."""

    version = "list"

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str, str | None]] = []

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        self.asked.append((provider, model, tier))
        card = {"gpt-5": LIST, "long": LONG}.get(model)
        return None if card is None else RateHistory((RateSegment(0, ((0, card),)),))


def ns(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 10**9


def call_of(usage: Usage, **changes) -> LLMCall:
    end = ns(2026, 11, 23)
    call = LLMCall(
        1, 2, 0, "test", "openai", "gpt-5", "m", "m", "chat", False, None, usage, "exact", (), end, end,
        False, None, (),
    )  # fmt: skip
    return call._replace(**changes)


def used(**buckets: int) -> Usage:
    return Usage(**{"input": 0, "cache_read": 0, "cache_write": 0, "output": 0, **buckets})


def contract(**fields) -> PriceOverride:
    numbers = {
        name: value if name in ("provider", "model", "starts") else Decimal(str(value))
        for name, value in fields.items()
    }
    return PriceOverride(**{"provider": "openai", "model": "gpt-5*", **numbers})


def price(usage: Usage, *overrides: PriceOverride, **changes):
    return PriceBook(ListSource(), overrides).price(call_of(usage, **changes))


USAGE = used(input=1000, cache_read=500, output=100)


def test_the_table_prices_what_nothing_overrides() -> None:
    """1,000 x 1.25M + 500 x 0.125M + 100 x 10M = 2,312.5M."""
    priced = price(USAGE)
    assert priced[1:] == (
        2_312_500_000,
        1_250_000_000,
        62_500_000,
        0,
        1_000_000_000,
        "list:gpt-5",
        "exact",
        (),
    )
    assert type(priced).__name__ == "PricedCall"


def test_an_override_names_rates_per_1m_tokens_and_keeps_the_list_price_of_the_rest() -> None:
    """1,000 x 1M + 500 x 0.125M (list) + 100 x 8M = 1,862.5M."""
    override = contract(input=1, output=8)
    priced = price(USAGE, override)
    assert (priced.cost, priced.confidence) == (1_862_500_000, "exact")
    assert priced.price_id == f"override:{override.id}/list:gpt-5"


def test_a_discount_is_off_every_rate_named_or_listed_and_off_fees() -> None:
    """8 % off: 1,000 x 0.92M + 500 x 0.115M + 100 x 9.2M + 2 x 9,200M = 20,297.5M."""
    priced = price(USAGE, contract(input=1, discount_percent=8), web_searches=2)
    assert priced.cost == 920_000_000 + 57_500_000 + 920_000_000 + 18_400_000_000
    assert priced.confidence == "exact"


def test_a_discount_alone_is_off_the_list_price() -> None:
    """12.5 % off 2,312.5M = 2,023.4375M; 0.125M x 0.875 = 109,375 per token, still whole."""
    priced = price(USAGE, contract(discount_percent="12.5"))
    assert (priced.cost, priced.confidence) == (2_023_437_500, "exact")


def test_a_discount_that_leaves_a_fraction_of_a_pico_usd_is_rounded_half_even_and_estimated() -> None:
    """One third of a percent off 125,000 is 124,583.33…: 124,583."""
    override = contract(discount_percent=Decimal(1) / 3)
    priced = price(used(cache_read=1), override)
    assert (priced.cost, priced.reasons) == (124_583, ("price_rounded",))


def test_a_discount_on_nothing_falls_through() -> None:
    assert price(USAGE, contract(model="*", discount_percent=8), model="unknown").reasons == ("no_price",)
    priced = price(
        USAGE, contract(discount_percent=8), contract(model="*", input=1, output=1), model="gpt-5x"
    )
    assert priced.cost == 1_600_000_000


def test_buckets_that_neither_names_are_full_input_and_flagged_never_free() -> None:
    """Unknown to the table: 1,000 x 1M + 500 x 1M (cache as input) + 100 x 2M = 1,700M."""
    override = contract(model="mine", input=1, output=2)
    priced = price(USAGE, override, model="mine")
    assert (priced.cost, priced.confidence) == (1_700_000_000, "estimated")
    assert (priced.reasons, priced.price_id) == (("cache_priced_as_input",), f"override:{override.id}")
    audio = price(used(input=10, audio_input=5), override, model="mine")
    assert audio.reasons == ("bucket_unpriced",)
    half = price(used(output=10), contract(model="mine", input=1), model="mine")
    assert half.reasons == ("bucket_unpriced",)


def test_zero_is_free_because_somebody_wrote_it() -> None:
    priced = price(USAGE, contract(model="mine", input=0, cache_read=0, output=0), model="mine")
    assert (priced.cost, priced.confidence) == (0, "exact")


def test_cache_writes_have_one_rate_or_two() -> None:
    """10 + 10 tokens: one rate of 2M → 40M; an hour at 4M → 60M; only 5m named: 1h as 5m, flagged."""
    usage = used(cache_write=20, cache_write_5m=10, cache_write_1h=10)
    names = {"model": "mine", "input": 1, "output": 1}
    assert price(usage, contract(**names, cache_write=2), model="mine").cost == 40_000_000
    assert price(usage, contract(**names, cache_write=2, cache_write_1h=4), model="mine").cost == 60_000_000
    only_5m = price(usage, contract(**names, cache_write_5m=2), model="mine")
    assert (only_5m.cost, only_5m.reasons) == (40_000_000, ("cache_1h_priced_as_5m",))


def test_a_rate_holds_for_every_length_of_prompt() -> None:
    """Input at 1M for both lengths; output keeps its list price, 15M up to 200,000 and 22.5M above."""
    override = contract(model="long", input=1)
    assert price(used(input=200_000, output=1), override, model="long").cost == 200_015_000_000
    assert price(used(input=200_001, output=1), override, model="long").cost == 200_001_000_000 + 22_500_000


def test_requests_and_searches_have_prices() -> None:
    """0.012 USD a call and 3 searches at 5 USD per 1,000: 12,000M + 15,000M + 1 x 1.25M."""
    priced = price(used(input=1), contract(request="0.012", web_search=5), web_searches=3)
    assert priced.cost == 12_000_000_000 + 15_000_000_000 + 1_250_000


@pytest.mark.parametrize(
    ("provider", "model", "hit"),
    [
        ("openai", "gpt-5*", True),
        ("OpenAI", "GPT-5", True),
        ("*", "*", True),
        ("open*", "*-5", True),
        ("openai", "gpt-5.*", False),
        ("openai", "gpt", False),
        ("azure.ai.openai", "gpt-5", False),
    ],
)
def test_patterns(provider, model, hit) -> None:
    assert contract(provider=provider, model=model, input=1).covers("openai", "gpt-5") is hit


def test_an_unknown_provider_is_matched_by_the_star_only() -> None:
    assert contract(provider="*", input=1).covers(None, "gpt-5")
    assert not contract(provider="openai", input=1).covers(None, "gpt-5")
    assert not contract(model="gpt-[45]", input=1).covers("openai", "gpt-5")


def test_the_first_match_wins() -> None:
    first, second = contract(input=2), contract(model="*", input=3)
    assert price(used(input=1), first, second).cost == 2_000_000
    assert price(used(input=1), second, first).cost == 3_000_000


@pytest.mark.parametrize(
    ("end_ns", "cost"),
    [
        (ns(2026, 1, 1) - 1, 9_000_000),  # before the history: the next match
        (ns(2026, 1, 1), 2_000_000),
        (ns(2026, 6, 1) - 1, 2_000_000),
        (ns(2026, 6, 1), 3_000_000),
    ],
)
def test_dated_overrides_of_one_pattern_are_a_history(end_ns, cost) -> None:
    history = (
        contract(input=3, starts=date(2026, 6, 1)),
        contract(input=2, starts=date(2026, 1, 1)),
        contract(model="*", input=9),
    )
    assert price(used(input=1), *history, end_ns=end_ns).cost == cost


def test_a_call_before_the_first_start_is_at_the_list_price() -> None:
    override = contract(input=3, starts=date(2026, 6, 1))
    assert price(used(input=1), override, end_ns=ns(2026, 6, 1) - 1).cost == 1_250_000


def test_rates_of_an_override_are_a_guess_on_another_tier_and_a_discount_is_not() -> None:
    assert price(used(input=1), contract(input=1), tier="flex").reasons == ("override_tier_unspecified",)
    assert price(used(input=1), contract(input=1), tier="default").reasons == ()
    assert price(used(input=1), contract(discount_percent=8), tier="flex").reasons == ()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": -1},
        {"input": "NaN"},
        {"output": "Infinity"},
        {"input": 1_000_001},
        {"discount_percent": 101},
    ],
)
def test_impossible_overrides_are_refused(fields) -> None:
    with pytest.raises(ValueError, match="price of openai gpt-5"):
        contract(**fields)


def test_the_id_of_an_override_changes_with_its_content_only() -> None:
    assert contract(input="1.0").id == contract(input=1).id
    assert contract(input=1).id != contract(input=2).id
    assert len(contract(input=1).id) == 8


# The order of truth


def test_an_override_beats_a_reported_cost_which_beats_the_table() -> None:
    assert price(used(input=1), contract(input=1), reported_cost=7).cost == 1_000_000
    reported = price(used(input=1), reported_cost=7)
    assert (reported.cost, reported.price_id, reported.confidence) == (7, "reported:openai", "exact")
    assert price(USAGE, model="unknown", reported_cost=7).cost == 7
    assert price(NO_USAGE, model=None, provider=None, reported_cost=7).price_id == "reported:unknown"


def test_an_override_that_cannot_price_a_call_leaves_it_to_the_reported_cost() -> None:
    assert price(used(output=1), contract(model="mine", input=1), model="mine", reported_cost=7).cost == 7


def test_a_reported_zero_is_believed_only_where_the_rates_agree() -> None:
    assert price(ZERO_USAGE, reported_cost=0)[1:] == (0, 0, 0, 0, 0, "reported:openai", "exact", ())
    doubted = price(used(input=1), reported_cost=0)
    assert (doubted.cost, doubted.confidence, doubted.reasons) == (1_250_000, "estimated", ("reported_zero",))
    assert price(used(input=1), model="unknown", reported_cost=0).reasons == ("no_price",)


@pytest.mark.parametrize("reported", [-1, 10**18 + 1])
def test_an_impossible_reported_cost_is_counted_and_ignored(reported) -> None:
    book = PriceBook(ListSource())
    assert book.price(call_of(used(input=1), reported_cost=reported)).cost == 1_250_000
    assert book.counters == {"reported_invalid:test": 1}


@pytest.mark.parametrize(
    ("claimed", "counters"),
    [
        (100_000_000_000, {}),  # 0.1 USD, as ours
        (101_000_000_000, {}),  # 1 % above is agreed
        (101_000_000_001, {"claimed_differs:test": 1}),
        (99_000_000_000, {}),
        (98_999_999_999, {"claimed_differs:test": 1}),
        (0, {"claimed_zero:test": 1}),
        (None, {}),
    ],
)
def test_claimed_costs_are_compared_and_counted_never_taken(claimed, counters) -> None:
    """80,000 x 1.25M = 100,000M."""
    book = PriceBook(ListSource())
    assert book.price(call_of(used(input=80_000), claimed_cost=claimed)).cost == 100_000_000_000
    assert book.counters == counters


@pytest.mark.parametrize(("claimed", "differs"), [(2_250_000, False), (2_250_001, True), (250_000, False)])
def test_claims_are_not_compared_below_a_millionth_of_a_usd(claimed, differs) -> None:
    """One token costs 1.25M; 1M more or less is a float's rounding."""
    book = PriceBook(ListSource())
    book.price(call_of(used(input=1), claimed_cost=claimed))
    assert bool(book.counters) is differs


def test_a_refused_call_costs_nothing_whatever_its_model() -> None:
    for model in ("gpt-5", "unknown", None):
        refused = price(ZERO_USAGE, model=model, failed=True, reasons=("not_billed",))
        assert refused[1:] == (0, 0, 0, 0, 0, "not_billed", "exact", ())
    assert price(used(input=1), reasons=("not_billed",)).cost == 1_250_000


@pytest.mark.parametrize(
    ("usage", "changes", "reason"),
    [
        (USAGE, {"model": "unknown"}, "no_price"),
        (USAGE, {"model": None}, "no_model"),
        (NO_USAGE, {"usage_confidence": "unknown"}, "usage_unknown"),
        (NO_USAGE, {}, "usage_unknown"),
        (used(input=10, audio_input=1), {}, "bucket_unpriced"),
        (used(input=-1), {}, "usage_invalid"),
        (used(input=1, output=TOKENS_MAX + 1), {}, "usage_invalid"),
    ],
)
def test_what_has_no_price_says_why_and_is_counted(usage, changes, reason) -> None:
    book = PriceBook(ListSource())
    priced = book.price(call_of(usage, **changes))
    assert priced[1:] == (None, 0, 0, 0, 0, None, "unpriced", (reason,))
    assert book.counters == {f"unpriced:{reason}": 1}


def test_partly_known_usage_is_priced_as_far_as_it_is_known() -> None:
    priced = price(Usage(output=10), usage_confidence="unknown")
    assert (priced.cost, priced.confidence) == (100_000_000, "estimated")


def test_a_doubt_of_the_price_itself_is_on_every_charge() -> None:
    class Borrowed(ListSource):
        def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
            history = super().compile(provider, model, tier) or NO_RATES
            return history.mapped(lambda card, _: card and replace(card, reasons=("provider_fallback",)))

    priced = PriceBook(Borrowed()).price(call_of(USAGE))
    assert (priced.cost, priced.confidence, priced.reasons) == (
        2_312_500_000,
        "estimated",
        ("provider_fallback",),
    )


# The book's memory


def test_the_source_is_asked_once_for_each_key_unknown_models_included() -> None:
    source = ListSource()
    book = PriceBook(source)
    for _ in range(3):
        for model in ("gpt-5", "unknown"):
            book.price(call_of(USAGE, model=model, tier="Flex"))
    assert source.asked == [("openai", "gpt-5", "flex"), ("openai", "unknown", "flex")]
    assert book.card("openai", "gpt-5", "Flex", 0) is not None
    assert len(source.asked) == 2


def test_memory_is_bounded() -> None:
    source = ListSource()
    book = PriceBook(source)
    for number in range(PLANS_MAX + 1):
        book.price(call_of(USAGE, model=f"m{number}"))
        book.price(call_of(used(input=1), scope=f"scope{number}", claimed_cost=0))
    assert len(book.counters) <= COUNTERS_MAX + 2
    assert sum(book.counters.values()) == 2 * PLANS_MAX + 2
    assert book.counters["claimed_zero:other"] > 0
    assert len(source.asked) >= PLANS_MAX + 2


COUNT = st.sampled_from([None, 0, 0, 1, 5, 10])
LARGE = st.sampled_from([None, 0, 10, 199_999, 200_000, 200_001, TOKENS_MAX, TOKENS_MAX + 1, -1])
USAGES = st.builds(
    Usage, input=LARGE, cache_read=LARGE, cache_write=COUNT, cache_write_5m=COUNT, cache_write_1h=COUNT,
    output=LARGE, reasoning=COUNT, audio_input=st.sampled_from([None, 0, 0, 1]),
)  # fmt: skip


@settings(max_examples=1000)
@given(USAGES, st.sampled_from(["gpt-5", "long"]), st.sampled_from(["exact", "estimated"]))
def test_the_plain_case_is_the_same_as_the_careful_one(usage, model, confidence) -> None:
    """The shortcut of `price` and `charge` must never differ, in amount, reasons or confidence."""
    call = call_of(usage, model=model, usage_confidence=confidence)
    priced = PriceBook(ListSource()).price(call)
    if all(count is None for count in (usage.input, usage.cache_read, usage.cache_write, usage.output)):
        assert priced.reasons == ("usage_unknown",)
    else:
        assert priced == charge(call, completed(LIST if model == "gpt-5" else LONG))
