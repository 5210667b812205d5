"""The whole table against genai-prices' own arithmetic, and the resolving of names."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import pytest
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Usage as GenaiUsage
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.exporter.price_compiling import FoundModel
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.call import LLMCall, Usage
from spanbudget.processors.rates import charge, completed

TABLE = GenaiPriceTable()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday, outside every daily window
TIERS = ("batch", "fast", "flex", "priority")

ROUNDED = {
    # float junk of HuggingFace's and OpenRouter's own price lists: more than 12 decimals of USD per token
    "huggingface_together/Qwen/Qwen3-VL-8B-Instruct",
    "huggingface_together/deepseek-ai/DeepSeek-V4-Flash-0731",
    "huggingface_together/meta-llama/Llama-3.3-70B-Instruct",
    "openrouter/google/gemini-2.5-flash",
    "openrouter/google/gemini-2.5-flash-image",
    "openrouter/google/gemini-2.5-flash-lite",
    "openrouter/google/gemini-2.5-flash-lite:batch",
    "openrouter/google/gemini-2.5-flash:batch",
    "openrouter/google/gemini-3-flash-preview",
    "openrouter/google/gemini-3-flash-preview:batch",
    "openrouter/google/gemini-3.1-flash-lite",
    "openrouter/google/gemini-3.1-flash-lite:batch",
    "openrouter/google/gemini-3.5-flash",
    "openrouter/google/gemini-3.5-flash-lite",
    "openrouter/google/gemini-3.5-flash-lite:batch",
    "openrouter/google/gemini-3.5-flash:batch",
    "openrouter/google/gemini-3.6-flash",
    "openrouter/google/gemini-3.6-flash:batch",
    "openrouter/google/gemini-3.7-flash",
    "openrouter/google/gemini-3.7-flash:batch",
    "openrouter/google/gemini-3.8-flash",
    "openrouter/google/gemini-3.8-flash:batch",
    "openrouter/~google/gemini-flash-latest",
}


class Mix(NamedTuple):
    """One usage, as we and as genai-prices spell it."""

    name: str
    ours: Usage
    theirs: dict[str, int]


def mix(name: str, **ours: int) -> Mix:
    usage = Usage(**{"input": 0, "cache_read": 0, "cache_write": 0, "output": 0, **ours})
    theirs = {
        "input_tokens": usage.prompt,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_tokens": usage.output,
        "output_reasoning_tokens": usage.reasoning,
        "input_audio_tokens": (usage.audio_input or 0) + (usage.audio_cache_read or 0),
        "cache_audio_read_tokens": usage.audio_cache_read,
        "output_audio_tokens": usage.audio_output,
        "input_image_tokens": usage.image_input,
    }
    return Mix(name, usage, {key: value for key, value in theirs.items() if value})


MIXES = (
    mix("plain", input=1234, output=567, reasoning=89),
    mix("read", input=1000, cache_read=3001, output=7),
    mix("write 5m", input=11, cache_write=2003, cache_write_5m=2003, cache_write_1h=0, output=13),
    mix("write 1h", input=11, cache_write=3000, cache_write_5m=999, cache_write_1h=2001, output=13),
    mix(
        "everything",
        input=901,
        cache_read=77,
        cache_write=55,
        cache_write_5m=33,
        cache_write_1h=22,
        output=41,
    ),
    mix("image", input=1000, image_input=300, output=41),
    mix("no answer", input=815),
)
AUDIO = (
    mix("audio", input=1000, audio_input=400, output=300, audio_output=200),
    mix(
        "audio read",
        input=1000,
        audio_input=400,
        cache_read=70,
        audio_cache_read=30,
        output=300,
        audio_output=200,
    ),
)


def moments(model: ModelInfo) -> list[datetime]:
    """Now, and just before and at every edge of every date and daily window."""
    edges = [NOON]
    prices = model.prices if isinstance(model.prices, list) else []
    for one in (*prices, *(model.price_variants or ())):
        if isinstance(one.constraint, StartDateConstraint):
            edges.append(datetime.combine(one.constraint.start_date, datetime.min.time(), tzinfo=UTC))
        if isinstance(one.constraint, TimeOfDateConstraint):
            windows = (one.constraint.start_time, one.constraint.end_time)
            edges += [datetime.combine(NOON.date(), edge, tzinfo=UTC) for edge in windows]
            edges += [datetime(2026, 8, 1, edge.hour, edge.minute, tzinfo=UTC) for edge in windows]
    around = {edge - timedelta(microseconds=1) for edge in edges[1:]} | set(edges)
    return sorted(around)


def thresholds(model: ModelInfo) -> set[int]:
    prices = [model.prices] if isinstance(model.prices, ModelPrice) else [one.prices for one in model.prices]
    every = (*prices, *(one.prices for one in model.price_variants or ()))
    values = (value for price in every for value in vars(price).values())
    return {step.start for value in values if isinstance(value, TieredPrices) for step in value.tiers}


def long_mixes(model: ModelInfo) -> Iterator[Mix]:
    """Prompts below, at and just above each threshold; with cached tokens that lift a prompt above it."""
    for start in thresholds(model):
        for prompt in (start - 1, start, start + 1):
            yield mix(f"prompt {prompt}", input=prompt, output=3)
            yield mix(
                f"cached {prompt}", input=prompt - 1500, cache_read=1000, cache_write=500, cache_write_1h=500
            )


def call_of(usage: Usage, end: datetime) -> LLMCall:
    end_ns = (end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return LLMCall(
        1, 2, 0, "test", "openai", "m", "m", "m", "chat", False, None, usage, "exact", (), end_ns, end_ns,
        False, None, (),
    )  # fmt: skip


def genai_pico(
    model: ModelInfo, provider: Provider, usage: dict[str, int], when: datetime, tier: str | None
) -> Decimal:
    """genai-prices' total in pico-USD, not rounded."""
    context = dict.fromkeys(("processing", "service_tier", "speed"), tier) if tier else None
    with localcontext() as wide:
        wide.prec = 60
        price = model.calc_price(
            GenaiUsage(**usage), provider, genai_request_timestamp=when, price_context=context
        )
        return price.total_price.scaleb(12)


def speaks(model: ModelInfo, when: datetime) -> bool:
    return (
        model.get_prices(when).input_audio_mtok is not None
        and model.get_prices(when).output_audio_mtok is not None
    )


def compared() -> Iterator[tuple[str, Mix, Any, Any, Decimal]]:
    """Every model, tier, moment and mix: its name, our charge and genai-prices' amount."""
    for provider in TABLE.providers:
        for model in provider.models:
            found = FoundModel(provider, model)
            own_tiers = {value for one in model.price_variants or () for value in one.when.values()}
            mixes = (*MIXES, *long_mixes(model))
            for tier in (None, *(tier for tier in TIERS if tier in own_tiers)):
                history = TABLE.compile_model(found, tier)
                for when in moments(model):
                    for one in (*mixes, *(AUDIO if speaks(model, when) else ())):
                        call = call_of(one.ours, when)
                        card = history and history.at(call.end_ns)
                        priced = charge(call, completed(card)) if card else None
                        amount = genai_pico(model, provider, one.theirs, when, tier)
                        yield f"{provider.id}/{model.id}", one, card, priced, amount


@pytest.fixture(scope="module")
def everything() -> list[tuple[str, Mix, Any, Any, Decimal]]:
    return list(compared())


def test_every_model_costs_what_genai_prices_says_to_the_last_pico_usd(everything) -> None:
    different = {
        name
        for name, _, _, priced, amount in everything
        if priced is not None and priced.cost is not None and priced.cost != amount
    }
    assert different == ROUNDED
    assert len({name for name, *_ in everything}) == 2330
    assert (
        sum(priced is not None and priced.cost == amount for _, _, _, priced, amount in everything) > 25_000
    )


def test_what_was_rounded_is_flagged_and_half_a_pico_usd_per_token_off_at_most(everything) -> None:
    for name, one, _, priced, amount in everything:
        if priced is not None and priced.cost is not None and priced.cost != amount:
            assert "price_rounded" in priced.reasons, name
            assert priced.confidence == "estimated"
            assert abs(priced.cost - amount) <= Decimal(one.ours.total) / 2
        elif name not in ROUNDED and priced is not None:
            assert "price_rounded" not in priced.reasons


def test_what_has_no_rate_is_unpriced_where_genai_prices_gives_it_away(everything) -> None:
    for name, one, card, priced, amount in everything:
        if priced is None:
            assert amount == 0, name
        elif priced.cost is None:
            assert priced.reasons == ("bucket_unpriced",)
            rates = completed(card).rates_for(one.ours.prompt)
            assert rates.output is None or rates.input is None or one.name.startswith("audio")


def test_a_cost_in_a_daily_window_is_flagged_at_weekends_only() -> None:
    """2026-11-20 is a Friday; deepseek-v4-pro's peak is 01:00-04:00 UTC, which comments call weekday-only."""
    history = TABLE.compile("deepseek", "deepseek-v4-pro", None)
    assert history is not None
    reasons = {}
    for day in (20, 21, 22, 23):
        for hour in (0, 1, 4):
            card = history.at(call_of(Usage(), datetime(2026, 11, day, hour, tzinfo=UTC)).end_ns)
            assert card is not None
            reasons[day, hour] = card.reasons
    weekend = {(21, 1), (22, 1)}
    assert {key for key, value in reasons.items() if value == ("weekend_upper_bound",)} == weekend
    assert {value for key, value in reasons.items() if key not in weekend} == {()}


@pytest.mark.parametrize(
    ("provider", "model", "seller", "known_as", "doubts"),
    [
        ("openai", "gpt-4o", "openai", "gpt-4o", ()),
        ("openai", "GPT-4o", "openai", "gpt-4o", ()),
        ("azure.ai.openai", "gpt-4o", "azure", "gpt-4o", ("provider_fallback",)),
        ("azure.ai.inference", "gpt-4o", "azure", "gpt-4o", ("provider_fallback",)),
        ("gcp.gen_ai", "gemini-2.5-pro", "google", "gemini-2.5-pro", ()),
        ("gcp.gemini", "gemini-2.5-pro", "google", "gemini-2.5-pro", ()),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google", "gemini-2.5-pro", ()),
        ("x_ai", "grok-4", "x-ai", "grok-4-0709", ()),
        ("moonshot_ai", "kimi-k2-0905-preview", "moonshotai", "kimi-k2-0905-preview", ()),
        ("mistral_ai", "mistral-large-latest", "mistral", "mistral-large", ()),
        ("openai", "gpt-5.2-20251211", "openai", "gpt-5.2", ()),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::x", "openai", "ft:gpt-4o-mini", ()),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::x", "openai", "gpt-4.1", ("fine_tune_base_price",)),
        ("gcp.gemini", "gemini-3.8-flash-cyber", "google", "gemini-3.8-flash", ("name_prefix_match",)),
        (None, "gpt-4o", "openai", "gpt-4o", ()),
        (None, "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", ()),
    ],
)
def test_names_resolve(provider, model, seller, known_as, doubts) -> None:
    found = TABLE.find(provider, model)
    assert found is not None
    assert (found.provider.id, found.model.id, found.doubts) == (seller, known_as, doubts)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-9-turbo"),
        ("openai", "gpt-4o-2099-01-01"),
        ("azure.ai.openai", "my-prod-deployment"),
        ("ibm.watsonx.ai", "granite-13b"),
        ("my_gateway", "gpt-4o"),
        (None, "openai/gpt-4o"),
        (None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (None, "llama-3.3-70b"),
        ("openai", ""),
        ("openai", "ft:"),
    ],
)
def test_names_that_nobody_knows_have_no_price(provider, model) -> None:
    assert TABLE.compile(provider, model, None) is None


def test_every_id_of_a_model_resolves_as_in_genai_prices() -> None:
    for provider in TABLE.providers:
        for model in provider.models:
            theirs = provider.find_model(model.id, all_providers=TABLE.providers)
            if theirs is not None:  # a few ids are not among their own model's names
                found = TABLE.find(provider.id, model.id)
                assert found is not None
                assert found.model is theirs


@pytest.mark.parametrize(
    ("tier", "day", "price_id", "reasons"),
    [
        (None, 13, "openai/gpt-5", ()),
        ("default", 13, "openai/gpt-5", ()),
        ("auto", 13, "openai/gpt-5", ()),
        ("flex", 11, "openai/gpt-5", ("tier_unpriced",)),
        ("flex", 12, "openai/gpt-5#flex@2026-10-12", ()),
        ("FLEX", 13, "openai/gpt-5#flex@2026-10-12", ()),
        ("scale", 13, "openai/gpt-5", ("tier_unpriced",)),
    ],
)
def test_price_ids_name_tier_and_date(tier, day, price_id, reasons) -> None:
    """The tiers of gpt-5 are priced from 2026-10-12 on; before it a flex call is at the standard price."""
    history = TABLE.compile("openai", "gpt-5", tier)
    assert history is not None
    card = history.at(call_of(Usage(), datetime(2026, 10, day, tzinfo=UTC)).end_ns)
    assert card is not None
    assert (card.price_id, card.reasons) == (f"genai-prices:0.2.3:{price_id}", reasons)


@given(st.sampled_from([None, "openai", "aws.bedrock", "gcp.gemini", "fireworks", "x"]), st.text(max_size=40))
def test_any_name_can_be_looked_up(provider, model) -> None:
    assert TABLE.compile(provider, model, None) is None or model


def test_a_borrowed_price_names_its_owner() -> None:
    history = TABLE.compile("azure.ai.openai", "gpt-4o", None)
    assert history is not None
    card = history.segments[-1].cards[0][1]
    assert (card.price_id, card.reasons) == ("genai-prices:0.2.3:openai/gpt-4o", ("provider_fallback",))


def test_models_that_are_sold_as_free_are_free_and_models_without_a_price_are_not() -> None:
    free = TABLE.compile("openrouter", "deepseek/deepseek-r1:free", None)
    assert free is not None
    assert charge(call_of(Usage(input=5, output=5), NOON), completed(free.segments[0].cards[0][1])).cost == 0
    assert TABLE.compile("openai", "whisper-1", None) is None


def test_a_description_lists_tiers_dates_and_rates() -> None:
    (listing,) = TABLE.describe("openai", "gpt-5")
    assert (listing.provider, listing.model, listing.deprecated) == ("openai", "gpt-5", False)
    standard = listing.rows[0]
    assert (standard.tier, standard.starts, standard.prompt_above) == (None, None, -1)
    assert standard.usd_per_mtok == {
        "input": Decimal("1.25"), "cache_read": Decimal("0.125"), "output": Decimal(10),
    }  # fmt: skip
    assert {row.tier for row in listing.rows} == {None, "batch", "fast", "flex", "priority"}
    assert [row.reasons for row in listing.rows if row.tier == "flex"] == [("tier_unpriced",), ()]
    assert TABLE.describe("openai", "gpt-9-turbo") == ()


def test_a_description_without_a_provider_lists_everyone_who_sells_the_name() -> None:
    sellers = {listing.provider for listing in TABLE.describe(None, "deepseek/deepseek-v4-pro")}
    assert {"openrouter", "avian"} <= sellers


def test_the_table_is_imported_at_the_first_price_only() -> None:
    code = (
        "import sys; from spanbudget.exporter.price_table import GenaiPriceTable as T; t = T(); t.version;"
        "assert 'genai_prices' not in sys.modules; t.compile('openai', 'gpt-4o', None);"
        "assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
