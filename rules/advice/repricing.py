"""What calls would cost at other prices: the rates of many calls at once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spanbudget.processors.rates import RateCard
from spanbudget.rules.advice.calls import UNKNOWN, Bools, Calls, Ints

Floats = NDArray[np.float64]

_STEP_NS: Final = 900_000_000_000
"""Prices are asked for once in 15 minutes: every known change of a price is at a quarter of an hour."""
_TOKENS: Final = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
"""Buckets of tokens that are priced here, in the columns of a rate table."""
_NEVER: Final = np.iinfo(np.int64).max


class Repricer(Protocol):
    """Where prices come from. It never raises; `PriceBook.card` is the first method already."""

    def card(self, provider: str | None, model: str | None, tier: str | None, at_ns: int) -> RateCard | None:
        """The completed rates of a model then; None where nothing is priced.

        Args:
            provider: Normalised provider; None where unknown.
            model: Normalised name of the model; None where unknown.
            tier: Service tier; None for the standard one. A card of a tier that has no price of its own has
                the reason `tier_unpriced`.
            at_ns: Nanoseconds since the epoch.
        """
        ...

    def alternatives(self, provider: str, model: str) -> Sequence[str]:
        """Models of the same provider that could answer the same requests, such as the small one of a family.

        They need not be cheaper; which one is, is computed for the calls in question. Empty where none is
        known.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of some calls, each array as long as there are calls.

    Attributes:
        input: pico-USD per token, as the next five; -1 where not priced.
        cache_read: Of tokens read from a cache.
        cache_write_5m: Of tokens written to a cache for 5 minutes.
        cache_write_1h: Of tokens written to a cache for 1 hour.
        output: Of tokens of the answer.
        reasoning: Of reasoning tokens.
        prompt_above: The rates hold for longer prompts than this; -1 for the shortest.
        caches: Whether reading from a cache has a price of its own.
        hour: Whether writing to a cache for 1 hour has a price of its own.
        tiered: Whether the price is one of the tier that was asked for, not the standard one in its place.
    """

    input: Ints
    cache_read: Ints
    cache_write_5m: Ints
    cache_write_1h: Ints
    output: Ints
    reasoning: Ints
    prompt_above: Ints
    caches: Bools
    hour: Bools
    tiered: Bools

    def of(self, rows: Ints) -> "Rates":
        """The rates of some of the calls."""
        return Rates(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class Prices:
    """The rates of the calls of a window.

    Args:
        calls: The calls.
        repricer: Where prices come from.
    """

    def __init__(self, calls: Calls, repricer: Repricer) -> None:
        self._calls = calls
        self._repricer = repricer
        self._prompt = calls.prompt
        self._own = self._asked(np.arange(len(calls)), None, None, self._prompt)

    @property
    def unlisted(self) -> Bools:
        """Calls that cost something although no rate of their model is known: a provider reported it."""
        rates = self._own
        unlisted: Bools = (self._calls.cost > 0) & (np.maximum(rates.input, rates.output) < 0)
        return unlisted

    def rates(
        self,
        rows: Ints,
        *,
        model: str | None = None,
        tier: str | None = None,
        prompt: Ints | None = None,
    ) -> Rates:
        """The rates that hold for some calls when they ended.

        Args:
            rows: Which calls.
            model: Another model than each call's own.
            tier: Another service tier than each call's own.
            prompt: Other lengths of the prompts than they have, tokens.
        """
        if model is None and tier is None and prompt is None:
            return self._own.of(rows)
        return self._asked(rows, model, tier, self._prompt[rows] if prompt is None else prompt)

    def _asked(self, rows: Ints, model: str | None, tier: str | None, length: Ints) -> Rates:
        """The rates of some calls for prompts of these lengths."""
        cards, places = self._cards(rows, model, tier)
        above, table = _tables(cards)
        # The last range that begins below the length: ranges ascend, and the first begins at -1.
        ranges = np.maximum((length[:, None] > above[places]).sum(axis=1) - 1, 0)
        chosen = table[places, ranges]
        flags = np.array([_flags(card) for card in cards], dtype=np.bool_).reshape(-1, 3)[places]
        return Rates(
            **{name: chosen[:, place] for place, name in enumerate(_TOKENS)},
            prompt_above=above[places, ranges],
            caches=flags[:, 0],
            hour=flags[:, 1],
            tiered=flags[:, 2],
        )

    def alternatives(self, provider: str, model: str) -> Sequence[str]:
        """See `Repricer.alternatives`."""
        return self._repricer.alternatives(provider, model)

    def saved(self, rows: Ints, now: Rates, then: Rates) -> Floats:
        """What some calls would have cost less at other rates, pico-USD; negative where more, NaN if unknown.

        It is the call's real cost that shrinks, in proportion: a discount that the price list does not know
        stays.
        """
        saved: Floats = (self._at(rows, now) - self._at(rows, then)) * self.discounts(rows, now)
        return saved

    def discounts(self, rows: Ints, now: Rates) -> Floats:
        """What was paid for each call as a share of its list price; NaN where that is 0 or unknown."""
        listed = self._at(rows, now)
        discounts = np.full(len(rows), np.nan)
        np.divide(self._calls.cost_tokens[rows], listed, out=discounts, where=listed > 0)
        return discounts

    def _at(self, rows: Ints, rates: Rates) -> Floats:
        """What the tokens of some calls cost at these rates; NaN where one that is needed is not known."""
        tokens = self._calls.tokens
        total = np.zeros(len(rows))
        reasoning = np.maximum(tokens["reasoning"][rows], 0)
        for name in _TOKENS:
            count = reasoning if name == "reasoning" else np.maximum(tokens[name][rows], 0)
            if name == "output":
                count = np.maximum(count - reasoning, 0)
            rate = getattr(rates, name).astype(np.float64)
            total += np.where(count == 0, 0.0, np.where(rate < 0, np.nan, count * rate))
        return total

    def _cards(
        self, rows: Ints, model: str | None, tier: str | None
    ) -> tuple[Sequence[RateCard | None], Ints]:
        """The different cards of some calls, and for each call the place of its own."""
        texts = self._calls.texts
        steps = self._calls.end_ns[rows] // _STEP_NS
        none = np.full(len(rows), UNKNOWN, dtype=np.int64)
        parts = (
            texts["provider"].codes[rows],
            texts["model"].codes[rows] if model is None else none,
            texts["tier"].codes[rows] if tier is None else none,
            steps,
        )
        first, groups = grouped(*parts)
        cards: dict[RateCard | None, int] = {}
        places = []
        for row in rows[first].tolist():
            card = self._repricer.card(
                texts["provider"].at(row),
                texts["model"].at(row) if model is None else model,
                texts["tier"].at(row) if tier is None else tier,
                int(self._calls.end_ns[row]),
            )
            places.append(cards.setdefault(card, len(cards)))
        return list(cards), np.array(places, dtype=np.int64)[groups]


def grouped(*codes: Ints) -> tuple[Ints, Ints]:
    """Groups rows that have the same code in every array.

    Returns:
        For each group the place of its first row, and for each row the number of its group.
    """
    combined = np.zeros(len(codes[0]), dtype=np.int64)
    for part in codes if len(combined) else ():
        _, dense = np.unique(combined, return_inverse=True)
        low, high = int(part.min()), int(part.max())
        if (high - low + 1) * (int(dense.max()) + 1) > _NEVER:
            _, part = np.unique(part, return_inverse=True)  # noqa: PLW2901 - the same groups in fewer numbers
            low, high = 0, int(part.max())
        combined = dense * (high - low + 1) + (part - low)
    _, first, groups = np.unique(combined, return_index=True, return_inverse=True)
    return first.astype(np.int64), groups.astype(np.int64)


def _tables(cards: Sequence[RateCard | None]) -> tuple[Ints, Ints]:
    """Starts of the ranges of lengths (cards × ranges), and their rates (cards × ranges × buckets)."""
    widest = max((len(card.rates) for card in cards if card is not None), default=1)
    above = np.full((max(len(cards), 1), widest), _NEVER, dtype=np.int64)
    above[:, 0] = -1
    table = np.full((max(len(cards), 1), widest, len(_TOKENS)), UNKNOWN, dtype=np.int64)
    for place, card in enumerate(cards):
        for number, rates in enumerate(card.rates if card is not None else ()):
            above[place, number] = rates.prompt_above
            values = (getattr(rates, name) for name in _TOKENS)
            table[place, number] = [UNKNOWN if value is None else value for value in values]
    return above, table


def _flags(card: RateCard | None) -> tuple[bool, bool, bool]:
    """Whether a card prices cache reads, writes for an hour, and its tier, in its own right."""
    if card is None:
        return False, False, False
    guessed = {bucket for bucket, _ in card.doubts}
    priced = card.rates[0]
    tiered = "tier_unpriced" not in card.reasons and all(
        why != "override_tier_unspecified" for _, why in card.doubts
    )
    return (
        priced.cache_read is not None and ("cache_read", "cache_priced_as_input") not in card.doubts,
        priced.cache_write_1h is not None and "cache_write_1h" not in guessed,
        tiered,
    )
