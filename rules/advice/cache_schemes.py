"""What a prompt cache costs under each scheme: without one, kept for 5 minutes, kept for 1 hour."""

from typing import Final, NamedTuple

import numpy as np

from spanbudget.rules.advice.calls import Bools, Ints
from spanbudget.rules.advice.group_stats import group_count, sums
from spanbudget.rules.advice.repricing import Floats, Rates, grouped
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.streams import SECOND_NS, Streams, streams_of, warm

OFF, MINUTES, HOUR = range(3)
"""The schemes."""
LIFETIMES_NS: Final = {MINUTES: 300 * SECOND_NS, HOUR: 3_600 * SECOND_NS}
PREFIX_TOKENS_MIN: Final = 1_024
"""The shortest prefix that OpenAI and most models of Anthropic cache; some want 2,048 or 4,096."""

_STEADY: Final = 1.1
"""Largest cached part of a unit in the smallest: tools and instructions vary by less, histories by more."""


class CacheUse(NamedTuple):
    """Calls whose prompts are or could be cached.

    A unit is what one setting of a program decides for: a place and, where hashes are known, one prefix.

    Attributes:
        streams: The calls, in streams that share what is cached: one session, or the same prefix.
        units: The unit of each call, in the order of `streams.rows`, as all that follow.
        size: Tokens that a cache holds for the call, or could hold.
        paid: What the call paid for these, pico-USD; NaN where unknown.
        rates: The rates.
        discounts: What was paid as a share of the list price.
        keyed: Whether the streams are known; where not, only the sums of the unit mean something.
        schemes: The scheme of each unit.
    """

    streams: Streams
    units: Ints
    size: Ints
    paid: Floats
    rates: Rates
    discounts: Floats
    keyed: Bools
    schemes: Ints

    def cost(self, scene: Scene, scheme: int) -> Floats:
        """What each call would have cost under a scheme, pico-USD; NaN where a price is missing.

        Under a lifetime a call reads what the last one of its stream had, where that still lives, and writes
        the rest.
        """
        if scheme == OFF:
            return self.size * _rate(self.rates.input) * self.discounts
        found = warm(scene.calls, self.streams, LIFETIMES_NS[scheme])
        read = np.where(found, np.minimum(self.streams.before(self.size), self.size), 0)
        write = _rate(self.rates.cache_write_1h if scheme == HOUR else self.rates.cache_write_5m)
        cost = (read * _rate(self.rates.cache_read) + (self.size - read) * write) * self.discounts
        possible = self.keyed & self.rates.caches & (self.rates.hour | (scheme != HOUR))
        return np.where(possible, cost, np.nan)


def cache_use(scene: Scene, *, used: bool) -> CacheUse:
    """How calls used prompt caches: those whose usage tells of caches.

    Args:
        scene: The calls.
        used: True for units that used a cache at all; False for those that did not, and could.
    """
    calls = scene.calls
    tokens, hashes = calls.tokens, calls.texts["prefix_hash"].codes
    told = scene.answered & ~scene.embeddings & (tokens["cache_read"] >= 0) & (tokens["input"] >= 0)
    short, long = tokens["cache_write_5m"], tokens["cache_write_1h"]
    held = tokens["cache_read"] + short + long
    rows = np.flatnonzero(told)
    _, units = grouped(scene.places[rows], hashes[rows])
    rows = rows[(sums(units, held[rows]) > 0)[units] == used]
    size = held if used else _prefixes(scene, rows)
    rows = rows[size[rows] > 0]
    # A history is cached with its session, and sessions take turns: equal instructions alone share less.
    sessions = calls.label("session").codes if used else np.full(len(calls), -1, dtype=np.int64)
    _, units = grouped(scene.places[rows], hashes[rows], (sessions[rows] >= 0).astype(np.int64))
    keyed = np.zeros(len(calls), dtype=np.bool_)
    keyed[rows] = (sessions[rows] >= 0) | ((hashes[rows] >= 0) & _steady(units, size[rows]))
    longer = sums(units, long[rows]) > sums(units, short[rows])
    streams = streams_of(calls, rows, units, sessions[rows])
    unit_of = np.zeros(len(calls), dtype=np.int64)
    unit_of[rows] = units
    rows = streams.rows
    rates = scene.prices.rates(rows)
    paid = size[rows] * _rate(rates.input)
    if used:
        read, written = (
            tokens["cache_read"][rows] * _rate(rates.cache_read),
            short[rows] * _rate(rates.cache_write_5m),
        )
        paid = read + written + long[rows] * _rate(rates.cache_write_1h)
    discounts = scene.prices.discounts(rows, rates)
    schemes = np.where(longer, HOUR, MINUTES) if used else np.full(len(longer), OFF)
    return CacheUse(
        streams, unit_of[rows], size[rows], paid * discounts, rates, discounts, keyed[rows], schemes
    )


def _prefixes(scene: Scene, rows: Ints) -> Ints:
    """For each call the tokens that all calls with its hash begin with: 0 where too few, or if one is silent.

    They are an estimate in each call, so the least of them counts.
    """
    calls = scene.calls
    hashes, told = calls.texts["prefix_hash"].codes, np.minimum(calls.tokens["prefix_tokens"], calls.prompt)
    rows = rows[hashes[rows] >= 0]
    _, units = grouped(scene.places[rows], hashes[rows])
    least = np.full(group_count(units), np.iinfo(np.int64).max)
    np.minimum.at(least, units, told[rows])
    common = least[units]
    prefixes = np.zeros(len(calls), dtype=np.int64)
    prefixes[rows] = np.where(common >= PREFIX_TOKENS_MIN, common, 0)
    return prefixes


def _steady(units: Ints, size: Ints) -> Bools:
    """Whether what the calls of each unit cached is always about as long: instructions, and no history."""
    count = group_count(units)
    least, most = np.full(count, np.iinfo(np.int64).max), np.zeros(count, dtype=np.int64)
    np.minimum.at(least, units, size)
    np.maximum.at(most, units, size)
    steady: Bools = (most <= _STEADY * least)[units]
    return steady


def _rate(rate: Ints) -> Floats:
    """A rate with NaN where it is not known."""
    known: Floats = np.where(rate < 0, np.nan, rate)
    return known
