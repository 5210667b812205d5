"""Charges at compiled rates: the arithmetic is in the docstrings, in pico-USD (1e-12 USD)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.call import NO_USAGE, TOKENS_MAX, ZERO_USAGE, LLMCall, Usage
from spanbudget.processors.rates import (
    DAY_NS,
    NO_RATES,
    WEEK_NS,
    BucketRates,
    RateCard,
    RateHistory,
    RateSegment,
    charge,
    completed,
    standard_tier,
)

SONNET = RateCard(
    "t:sonnet",
    (
        BucketRates(-1, 3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000),
        BucketRates(200_000, 6_000_000, 600_000, 7_500_000, 12_000_000, 22_500_000),
    ),
    web_search=10_000_000_000,
)
VOICE = RateCard(
    "t:voice",
    (
        BucketRates(
            input=4_000_000, cache_read=400_000, output=16_000_000, audio_input=32_000_000,
            audio_cache_read=500_000, audio_output=64_000_000, image_input=5_000_000,
        ),
    ),
)  # fmt: skip
THINKER = RateCard("t:thinker", (BucketRates(input=2_000_000, output=8_000_000, reasoning=3_000_000),))


def call_of(usage: Usage, **changes) -> LLMCall:
    call = LLMCall(
        1, 2, 0, "test", "anthropic", "m", "m", "m", "chat", False, None, usage, "exact", (), 10, 20, False,
        None, (),
    )  # fmt: skip
    return call._replace(**changes)


def used(**buckets: int) -> Usage:
    return Usage(**{"input": 0, "cache_read": 0, "cache_write": 0, "output": 0, **buckets})


def cost(usage: Usage, card: RateCard = SONNET, **changes) -> tuple[int | None, str, tuple[str, ...]]:
    priced = charge(call_of(usage, **changes), completed(card))
    return priced.cost, priced.confidence, priced.reasons


def test_each_bucket_has_its_rate_and_its_part_of_the_cost() -> None:
    """1,000 x 3.0M + 3,000 x 0.3M + 500 x 3.75M + 200 x 6M + 400 x 15M = 12,975M."""
    usage = used(
        input=1000, cache_read=3000, cache_write=700, cache_write_5m=500, cache_write_1h=200, output=400
    )
    priced = charge(call_of(usage), completed(SONNET))
    assert priced == (
        priced.call, 12_975_000_000, 3_000_000_000, 900_000_000, 3_075_000_000, 6_000_000_000, "t:sonnet",
        "exact", (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "rate"),
    [
        (used(input=199_999), 3_000_000),
        (used(input=200_000), 3_000_000),
        (used(input=200_001), 6_000_000),
        (used(input=100_000, cache_read=100_000), 3_000_000),
        (used(input=100_000, cache_read=100_001), 6_000_000),
        (used(input=100_000, cache_write=100_001, cache_write_1h=100_001), 6_000_000),
    ],
)
def test_the_whole_prompt_chooses_the_context_tier_and_the_whole_call_pays_it(usage, rate) -> None:
    """At 200,000 tokens every token costs 3M, above it every token 6M: not only those above."""
    assert charge(call_of(usage), completed(SONNET)).cost_input == usage.input * rate


@pytest.mark.parametrize(
    ("parts", "written", "reasons"),
    [
        ({}, 100 * 3_750_000, ("cache_ttl_unknown",)),
        ({"cache_write_5m": 100}, 100 * 3_750_000, ()),
        ({"cache_write_1h": 0}, 100 * 3_750_000, ()),
        ({"cache_write_1h": 100}, 100 * 6_000_000, ()),
        ({"cache_write_5m": 60}, 60 * 3_750_000 + 40 * 6_000_000, ()),
        ({"cache_write_5m": 60, "cache_write_1h": 40}, 60 * 3_750_000 + 40 * 6_000_000, ()),
        (
            {"cache_write_5m": 60, "cache_write_1h": 30},
            70 * 3_750_000 + 30 * 6_000_000,
            ("cache_ttl_unknown",),
        ),
    ],
)
def test_writes_of_unknown_lifetime_are_at_the_5_minute_rate_and_estimated(parts, written, reasons) -> None:
    """100 tokens: 3.75M each for 5 minutes, 6M each for 1 hour; what nobody tells is 3.75M."""
    expected = (written, "estimated" if reasons else "exact", reasons)
    assert cost(used(cache_write=100, **parts)) == expected


def test_an_unknown_lifetime_is_no_doubt_where_both_cost_the_same() -> None:
    card = RateCard("t", (BucketRates(input=10, cache_write_5m=12, cache_write_1h=12, output=1),))
    assert cost(used(cache_write=100), card) == (1200, "exact", ())


def test_tokens_without_a_rate_of_their_own_are_never_free() -> None:
    """Cached tokens without a rate are full input: 100 x 10; 1-hour writes are 5-minute writes: 100 x 12."""
    plain = RateCard("t", (BucketRates(input=10, output=20),))
    written = RateCard("t", (BucketRates(input=10, cache_write_5m=12, output=20),))
    assert cost(used(cache_read=100), plain) == (1000, "estimated", ("cache_priced_as_input",))
    assert cost(used(cache_write=100, cache_write_1h=100), plain) == (
        1000,
        "estimated",
        ("cache_priced_as_input",),
    )
    assert cost(used(cache_write=100, cache_write_1h=100), written) == (
        1200, "estimated", ("cache_1h_priced_as_5m",),
    )  # fmt: skip
    assert cost(used(input=100), plain) == (1000, "exact", ())


def test_audio_without_a_rate_is_unpriced_and_images_are_input() -> None:
    assert cost(used(input=100, audio_input=1)) == (None, "unpriced", ("bucket_unpriced",))
    assert cost(used(output=100, audio_output=1)) == (None, "unpriced", ("bucket_unpriced",))
    assert cost(used(input=100, image_input=40)) == (300_000_000, "exact", ())


def test_parts_of_a_bucket_are_taken_out_of_it() -> None:
    """Input 30 x 4M + 50 x 32M + 20 x 5M; read 60 x 0.4M + 40 x 0.5M; output 30 x 16M + 70 x 64M."""
    usage = used(
        input=100,
        audio_input=50,
        image_input=20,
        cache_read=100,
        audio_cache_read=40,
        output=100,
        audio_output=70,
    )
    priced = charge(call_of(usage), completed(VOICE))
    assert (priced.cost_input, priced.cost_cache_read, priced.cost_output) == (
        1_820_000_000, 44_000_000, 4_960_000_000,
    )  # fmt: skip
    assert priced.confidence == "exact"


def test_a_model_that_speaks_is_estimated_where_nobody_tells_how_much_was_audio() -> None:
    assert cost(used(input=100, output=100), VOICE) == (2_000_000_000, "estimated", ("part_unknown",))


def test_reasoning_has_its_own_rate_where_the_vendor_says_so() -> None:
    """40 x 8M + 60 x 3M = 500M; without a count of reasoning all is output, 800M, estimated."""
    assert cost(used(output=100, reasoning=60), THINKER) == (500_000_000, "exact", ())
    assert cost(used(output=100), THINKER) == (800_000_000, "estimated", ("part_unknown",))
    assert cost(used(output=100, reasoning=60)) == (1_500_000_000, "exact", ())


def test_fees_are_in_the_total_and_in_no_part() -> None:
    """5,000 for the request, 3 x 10,000M for the searches, 1 x 3M for the token."""
    priced = charge(call_of(used(input=1), web_searches=3), completed(replace(SONNET, request=5000)))
    assert (priced.cost, priced.cost_input) == (30_003_005_000, 3_000_000)
    unpriced = charge(call_of(used(input=1), web_searches=3), completed(THINKER))
    assert (unpriced.cost, unpriced.reasons) == (2_000_000, ("web_search_unpriced",))


@pytest.mark.parametrize(
    ("usage", "changes", "reasons"),
    [
        (Usage(input=10), {}, ("usage_partial",)),
        (Usage(output=10), {}, ("usage_partial",)),
        (Usage(input=10), {"operation": "embeddings"}, ()),
        (Usage(input=10, output=10), {}, ()),
        (used(input=10), {"usage_confidence": "estimated"}, ()),
        (used(input=10), {"usage_confidence": "unknown"}, ()),
        (used(input=10), {"reasons": ("tier_requested_only",)}, ()),
        (used(input=10), {"reasons": ("router_suffix",)}, ()),
    ],
)
def test_what_the_usage_does_not_tell_makes_the_cost_an_estimate(usage, changes, reasons) -> None:
    priced = charge(call_of(usage, **changes), completed(SONNET))
    exact = not reasons and not {"usage_confidence", "reasons"} & set(changes)
    assert priced.cost == (usage.input or 0) * 3_000_000 + (usage.output or 0) * 15_000_000
    assert (priced.confidence, priced.reasons) == ("exact" if exact else "estimated", reasons)


@pytest.mark.parametrize(
    "usage",
    [
        used(input=-1),
        used(output=-1),
        used(cache_read=-1),
        used(cache_write=-1),
        used(input=TOKENS_MAX + 1),
        used(input=10, audio_input=11),
        used(output=10, audio_output=11),
        used(cache_read=10, audio_cache_read=11),
        used(cache_write=10, cache_write_5m=6, cache_write_1h=5),
        used(cache_write=10, cache_write_1h=11),
        used(cache_write=10, cache_write_5m=11),
    ],
)
def test_impossible_usage_is_unpriced(usage) -> None:
    assert cost(usage, VOICE)[2] in (("usage_invalid",), ("bucket_unpriced",))
    assert cost(usage)[2] == ("usage_invalid",)


def test_the_largest_believed_counts_are_priced() -> None:
    assert cost(used(input=TOKENS_MAX, output=TOKENS_MAX))[0] == TOKENS_MAX * 28_500_000


def test_a_model_without_a_token_price_is_unpriced_even_for_no_tokens() -> None:
    assert cost(ZERO_USAGE, RateCard("t"))[2] == ("bucket_unpriced",)


def test_a_doubt_counts_only_where_its_bucket_does() -> None:
    card = replace(SONNET, doubts=(("cache_read", "price_rounded"),))
    assert cost(used(input=1), card)[2] == ()
    assert cost(used(cache_read=1), card)[2] == ("price_rounded",)
    assert cost(used(input=1), replace(SONNET, reasons=("provider_fallback",)))[1:] == (
        "estimated", ("provider_fallback",),
    )  # fmt: skip


def test_segments_are_half_open() -> None:
    """A new price holds from its first nanosecond on."""
    history = RateHistory((RateSegment(0, ((0, SONNET),)), RateSegment(DAY_NS, ((0, VOICE),))))
    cards = [history.at(moment) for moment in (0, DAY_NS - 1, DAY_NS, DAY_NS + 1)]
    assert cards == [SONNET, SONNET, VOICE, VOICE]
    assert NO_RATES.at(5) is None


def test_windows_are_of_the_utc_week_from_monday() -> None:
    """1970-01-05 was a Monday; Tuesday 01:00 to 02:00 is another card."""
    hour = DAY_NS // 24
    cards = ((0, SONNET), (DAY_NS + hour, VOICE), (DAY_NS + 2 * hour, SONNET))
    history = RateHistory((RateSegment(0, cards),))
    tuesday = 5 * DAY_NS
    for week in (0, 3000 * WEEK_NS):
        edges = (tuesday, tuesday + hour - 1, tuesday + hour, tuesday + 2 * hour - 1, tuesday + 2 * hour)
        assert [history.at(week + edge) for edge in edges] == [SONNET, SONNET, VOICE, VOICE, SONNET]
    assert history.at(0) == SONNET


@pytest.mark.parametrize("tier", [None, "", "default", "standard", "auto", "AUTO", "on_demand"])
def test_the_standard_tier_has_many_spellings(tier) -> None:
    assert standard_tier(tier) is None


def test_other_tiers_are_lower_case() -> None:
    assert standard_tier("Flex") == "flex"


COUNTS = st.integers(0, 20_000)
RATES = st.integers(0, 10**8)
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


@st.composite
def cards(draw) -> RateCard:
    rates = {bucket: draw(RATES) for bucket in BUCKETS}
    return RateCard("t", (BucketRates(-1, **rates), BucketRates(200_000, **rates)))


def usage_of(counts: dict[str, int]) -> Usage:
    return Usage(cache_write=counts["cache_write_5m"] + counts["cache_write_1h"], **counts)


@given(cards(), st.fixed_dictionaries(dict.fromkeys(BUCKETS, COUNTS)), st.sampled_from(BUCKETS))
def test_a_cost_adds_up_over_buckets_and_grows_with_each(card, counts, bucket) -> None:
    """Within one context tier: cost(a + b) = cost(a) + cost(b), one more token adds its rate."""
    card = completed(card)
    whole = charge(call_of(usage_of(counts)), card)
    alone = [
        charge(call_of(usage_of({**dict.fromkeys(BUCKETS, 0), one: counts[one]})), card) for one in BUCKETS
    ]
    more = charge(call_of(usage_of({**counts, bucket: counts[bucket] + 1})), card)
    assert whole.cost == sum(priced.cost or 0 for priced in alone) >= 0
    assert (more.cost or 0) - whole.cost == getattr(card.rates[0], bucket) >= 0
    assert whole.cost == sum(whole[2:6])


@given(
    st.builds(Usage, *[st.none() | st.integers(-5, 2 * TOKENS_MAX)] * 11),
    st.sampled_from([SONNET, VOICE, THINKER]),
)
def test_a_charge_never_raises_and_is_never_negative(usage, card) -> None:
    priced = charge(call_of(usage), completed(card))
    assert (priced.cost is None) == (priced.confidence == "unpriced") == (priced.price_id is None)
    assert priced.cost is None or priced.cost >= 0
    assert NO_USAGE.total == 0
