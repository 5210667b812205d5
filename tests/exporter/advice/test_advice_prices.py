"""Which models are sizes of one another, and that prices of the configuration go first."""

import pytest

from spanbudget.exporter.advice.prices import AdvicePrices, family_of
from spanbudget.exporter.config import Config, parse_config

PRICES = AdvicePrices(Config())
NOW_NS = 1_795_435_200_000_000_000


@pytest.mark.parametrize(
    ("provider", "model", "among", "not_among"),
    [
        ("openai", "gpt-5", {"gpt-5-mini", "gpt-5-nano"}, {"gpt-5", "gpt-5-image-mini", "gpt-5.4-mini"}),
        ("openai", "gpt-4o-2024-08-06", {"gpt-4o-mini"}, {"gpt-4o-mini-audio-preview", "gpt-4.1-mini"}),
        ("anthropic", "claude-opus-4-5", {"claude-haiku-4-5"}, {"claude-opus-4-1", "claude-3-haiku"}),
        ("anthropic", "claude-opus-4-8", {"claude-haiku-4-5"}, {"claude-opus-4-5", "claude-3-haiku"}),
        ("gcp.gemini", "gemini-2.5-pro", {"gemini-2.5-flash"}, {"gemini-2.5-pro-tts", "gemini-1.5-flash"}),
    ],
)
def test_smaller_models_of_the_family_are_found(provider, model, among, not_among):
    found = set(PRICES.alternatives(provider, model))
    assert among <= found
    assert not found & not_among


def test_a_model_without_relatives_or_without_a_price_has_none():
    assert PRICES.alternatives("openai", "no-such-model") == ()
    assert PRICES.alternatives("nobody", "gpt-5") == ()


def test_names_are_parted_into_size_and_stem():
    assert family_of("claude-opus-4-5-20251101") == ("opus", "claude-4-5")
    assert family_of("gemini-2.5-flash-lite") == ("flash-lite", "gemini-2.5")
    assert family_of("gpt-4o") == ("", "gpt-4o")
    assert family_of("mini") == ("mini", "")


def test_a_price_of_the_configuration_goes_before_the_table():
    config = parse_config("prices: [{provider: openai, model: gpt-5, input: 7}]", "a.yaml")
    card = AdvicePrices(config).card("openai", "gpt-5", None, NOW_NS)
    assert card is not None
    assert card.rates[0].input == 7_000_000
    listed = PRICES.card("openai", "gpt-5", None, NOW_NS)
    assert listed is not None
    assert listed.rates[0].input == 1_250_000
