"""Rates of many calls at once are those that a price book gives for each."""

import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from planted_calls import DAY, HOUR, LONG, MINUTE, SINCE, Caller, table

from spanbudget.processors.overrides import PriceBook, PriceOverride
from spanbudget.processors.rates import BucketRates, RateCard, RateHistory, RateSegment
from spanbudget.rules.advice.calls import read_calls
from spanbudget.rules.advice.repricing import Prices, grouped

LONGER = BucketRates(LONG, 6, 2, 8, None, 30)


class Book(PriceBook):
    """Prices that change on the second day, at night and with the length of the prompt."""

    version = "changing"

    def __init__(self, *overrides: PriceOverride) -> None:
        super().__init__(self, overrides)

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        if model != "known":
            return None
        reasons = ("tier_unpriced",) if tier == "flex" else ()
        first = RateCard("first", (BucketRates(-1, 3, 1, 4, None, 15), LONGER), reasons=reasons)
        day = RateCard("day", (BucketRates(-1, 2, None, None, None, 12),))
        night = RateCard("night", (BucketRates(-1, 1, None, None, None, 6),))
        cards = tuple((d * DAY + at, card) for d in range(7) for at, card in ((0, night), (6 * HOUR, day)))
        return RateHistory((RateSegment(0, ((0, first),)), RateSegment(SINCE + DAY, cards)))

    def alternatives(self, provider: str, model: str) -> tuple[str, ...]:
        return ()


def some_calls() -> pd.DataFrame:
    make, pick = Caller(1, "priced"), random.Random(1)
    rows = []
    for _ in range(300):
        at, size = SINCE + pick.randrange(3 * DAY), pick.choice([0, 5, LONG, LONG + 1, 2 * LONG])
        rows.append(make.call(at - 3 * 10**9, input=size, output=7))
        rows[-1] |= {
            "model": pick.choice(["known", "known", "other", None]),
            "provider": pick.choice(["p", None]),
        }
    return table(rows)


def test_every_call_gets_the_rates_of_its_moment_and_length() -> None:
    frame, book = some_calls(), Book()
    calls = read_calls(frame)
    rates = Prices(calls, book).rates(np.arange(len(calls)))
    for place, row in enumerate(frame.to_dict("records")):
        model = row["model"] if isinstance(row["model"], str) else None
        card = book.card(row["provider"], model, None, row["end_ns"])
        wanted = BucketRates() if card is None else card.rates_for(row["input"])
        for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"):
            expected = getattr(wanted, name)
            assert getattr(rates, name)[place] == (-1 if expected is None else expected)
        assert rates.prompt_above[place] == wanted.prompt_above


def test_other_models_tiers_and_lengths_can_be_asked_for() -> None:
    frame = some_calls()
    frame["start_ns"] = frame["end_ns"] = SINCE + MINUTE
    calls = read_calls(frame)
    prices, rows = Prices(calls, Book()), np.arange(0, len(calls), 2)
    assert set(prices.rates(rows, model="known").output) == {15, 30}
    assert set(prices.rates(rows, model="other").output) == {-1}
    assert set(prices.rates(rows, model="known", prompt=np.full(len(rows), LONG)).output) == {15}
    assert not prices.rates(rows, model="known", tier="flex").tiered.any()
    assert prices.rates(rows, model="known", tier="batch").tiered.all()


def test_guesses_of_the_price_list_are_no_prices_of_a_cache() -> None:
    frame = some_calls()
    calls = read_calls(frame)
    rates = Prices(calls, Book()).rates(np.arange(len(calls)), model="known")
    early = calls.end_ns < SINCE + DAY
    assert (rates.caches == early).all()  # later cards price cached tokens as input, for want of a price
    assert not rates.hour.any()


def test_an_override_says_nothing_of_a_tier() -> None:
    calls = read_calls(some_calls())
    prices = Prices(calls, Book(PriceOverride("*", "known", input=Decimal(1))))
    rows = np.arange(len(calls))
    assert not prices.rates(rows, model="known", tier="batch").tiered.any()
    assert prices.rates(rows, model="known").tiered.all()


@pytest.mark.parametrize("size", [1, 2**61])
def test_groups_are_the_same_codes_whatever_their_size(size: int) -> None:
    pick = np.random.default_rng(1)
    codes = [pick.integers(-1, 4, 200) * size for _ in range(4)]
    first, groups = grouped(*codes)
    pairs = list(zip(*(part.tolist() for part in codes), strict=True))
    assert len(set(pairs)) == len(first) == len(set(groups.tolist()))
    assert all(pairs[first[group]] == pair for group, pair in zip(groups.tolist(), pairs, strict=True))
