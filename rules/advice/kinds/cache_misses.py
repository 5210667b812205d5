"""Money for prompts that should have been in the cache and were not."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.cache_schemes import HOUR, LIFETIMES_NS, MINUTES, PREFIX_TOKENS_MIN
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, unexamined
from spanbudget.rules.advice.group_stats import counts, quantile
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.streams import streams_of, warm

_EXPECTED_MIN: Final = 10
"""Fewest calls of a prefix that should have found it cached."""
_MISSES_MIN: Final = 0.3
"""Share of these that did not, from which on something is wrong: caches that work by themselves miss some."""


def _find(scene: Scene) -> Finding:
    """Calls that followed one with the same prefix within its lifetime, and read nothing from the cache.

    What they could have read is the prefix, and no more than what others with the same prefix did read.
    """
    calls, prices = scene.calls, scene.prices
    tokens, hashes = calls.tokens, calls.texts["prefix_hash"].codes
    told = scene.answered & ~scene.embeddings & (tokens["cache_read"] >= 0) & (tokens["input"] >= 0)
    known = (hashes >= 0) & (tokens["prefix_tokens"] >= 0)
    rows = np.flatnonzero(told & known & (tokens["prefix_tokens"] >= PREFIX_TOKENS_MIN))
    found = streams_of(calls, rows, scene.places[rows], hashes[rows])
    rows = found.rows
    read = tokens["cache_read"][rows]
    hour = counts(found.groups, tokens["cache_write_1h"][rows] > 0)[found.groups] > 0
    lives = np.where(hour, warm(calls, found, LIFETIMES_NS[HOUR]), warm(calls, found, LIFETIMES_NS[MINUTES]))
    missed = lives & (read == 0)
    expected, misses, hits = (counts(found.groups, chosen) for chosen in (lives, missed, read > 0))
    wrong = (expected >= _EXPECTED_MIN) & (misses >= _MISSES_MIN * expected) & (hits > 0)
    usual = quantile(found.groups, np.where(read > 0, read, np.nan), 0.5)
    chosen = missed & wrong[found.groups]
    rows, usual = rows[chosen], usual[chosen]
    now = prices.rates(rows)
    written = tokens["cache_write_5m"][rows] + tokens["cache_write_1h"][rows]
    size = np.minimum(np.minimum(usual, tokens["prefix_tokens"][rows]), tokens["input"][rows] + written)
    write_rate = np.where(tokens["cache_write_1h"][rows] > 0, now.cache_write_1h, now.cache_write_5m)
    paid = np.where(written * 2 >= size, write_rate, now.input)
    saving = np.where(now.caches, size * (paid - now.cache_read), np.nan) * prices.discounts(rows, now)
    why = "only hashes tell what a cache could have held: set hash_key under advice:"
    unknown = told & ~known & (calls.prompt >= PREFIX_TOKENS_MIN)
    return finding(calls, rows, saving, unexamined=unexamined("cache_misses", unknown, why))


def _explain(group: Group) -> str:
    return (
        f"{group.calls:,} calls read nothing from the cache although others with the same instructions and"
        f" tools had just put them there; hits would have saved {display_usd(group.saving)} of"
        f" {display_usd(group.cost)}."
    )


def _how(group: Group) -> str:
    if group.provider == "anthropic":
        return "Compare a miss with a hit: anything that changes before cache_control makes a miss."
    return (
        "Move what changes (date, user, retrieved text) behind instructions and tools, and send calls that"
        " share them with the same prompt_cache_key where there is one."
    )


CACHE_MISSES: Final = Kind(
    "cache_misses", "Find out why the cache is missed", "hypothesis", _find, _explain, _how, upper_bound=True
)
