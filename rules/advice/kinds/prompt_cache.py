"""Prompt caching: turned on, turned off, or with the other lifetime."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.cache_schemes import HOUR, MINUTES, OFF, PREFIX_TOKENS_MIN, CacheUse, cache_use
from spanbudget.rules.advice.calls import Codes
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, spread, unexamined
from spanbudget.rules.advice.group_stats import counts, sums
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.suggestion import Unexamined

_SHARE_MIN: Final = 0.1
"""A scheme is better if it saves this share of what the tokens in question cost; less is weather."""
_CALLS_MIN: Final = 10
"""Fewest calls of a unit: what a cache would have saved for fewer is chance."""
_ON, _ON_LONG, _OFF, _LONGER, _SHORTER = (
    "on for 5 minutes",
    "on for 1 hour",
    "off",
    "1 hour instead of 5 minutes",
    "5 minutes instead of 1 hour",
)
_CHANGES: Final = {
    (OFF, MINUTES): _ON,
    (OFF, HOUR): _ON_LONG,
    (MINUTES, OFF): _OFF,
    (HOUR, OFF): _OFF,
    (MINUTES, HOUR): _LONGER,
    (HOUR, MINUTES): _SHORTER,
}
_VARIANTS: Final = (_ON, _ON_LONG, _OFF, _LONGER, _SHORTER)


def _find_on(scene: Scene) -> Finding:
    """Units that do without a cache: what one for 5 minutes or 1 hour would have saved."""
    calls = scene.calls
    long = scene.answered & ~scene.embeddings & (calls.prompt >= PREFIX_TOKENS_MIN)
    read, write = calls.tokens["cache_read"], calls.tokens["cache_write"]
    known = (calls.texts["prefix_hash"].codes >= 0) & (calls.tokens["prefix_tokens"] >= 0)
    plain = long & (read == 0) & (write <= 0) & ~known
    silent = "the spans do not tell how many tokens were cached"
    unlike = "only hashes tell which prompts begin alike: set hash_key under advice:"
    return _best(
        scene,
        cache_use(scene, used=False),
        *unexamined("prompt_cache_on", long & (read < 0), silent),
        *unexamined("prompt_cache_on", plain, unlike),
    )


def _find_change(scene: Scene) -> Finding:
    """Units that use a cache: whether none, or the other lifetime, would have cost less."""
    return _best(scene, cache_use(scene, used=True))


def _best(scene: Scene, use: CacheUse, *missing: Unexamined) -> Finding:
    """For each unit the scheme that would have cost least, from when its calls came and what they shared."""
    units = use.units
    simulated = {scheme: use.cost(scene, scheme) for scheme in (OFF, MINUTES, HOUR)}
    summed = {scheme: sums(units, cost) for scheme, cost in simulated.items()}
    paid, often = sums(units, use.paid), counts(units) >= _CALLS_MIN
    best, chosen = np.zeros(len(paid)), np.full(len(paid), -1, dtype=np.int64)
    gross = np.zeros(len(units))
    for (now, then), variant in _CHANGES.items():
        # Between two lifetimes only the lifetime counts, not that the cache did worse than it should have.
        base = paid if OFF in {now, then} else np.fmin(paid, summed[now])
        saving = np.nan_to_num(base - summed[then])
        better = (use.schemes == now) & often & (saving >= _SHARE_MIN * base) & (saving > best)
        best[better], chosen[better] = saving[better], _VARIANTS.index(variant)
        changed = better[units]
        gross[changed] = (use.paid - simulated[then])[changed]
    return finding(
        scene.calls,
        use.streams.rows,
        spread(gross, best, units),
        variants=Codes(chosen[units], _VARIANTS),
        unexamined=missing,
    )


def _explain(group: Group) -> str:
    figures = (
        f"{group.calls:,} calls that cost {display_usd(group.cost)} would have cost"
        f" {display_usd(group.cost - group.saving)}"
    )
    if group.variant == _OFF:
        return f"Writing to the cache cost more than reading from it saved: without it {figures}."
    if group.variant in {_ON, _ON_LONG}:
        return f"Many calls begin with the same instructions and tools: with a cache {figures}."
    return f"At the pace at which these prompts come back, keeping them for {group.variant}, {figures}."


def _how(group: Group) -> str:
    if group.variant == _OFF:
        return (
            "Remove cache_control (Bedrock: cachePoint) where prompts do not come back within the lifetime."
        )
    if group.variant == _SHORTER:
        return 'Remove "ttl": "1h" from cache_control; the 5 minutes begin anew with each use.'
    if group.variant in {_LONGER, _ON_LONG}:
        return 'Set cache_control to {"type": "ephemeral", "ttl": "1h"} after instructions and tools.'
    if group.provider == "anthropic":
        return 'Set cache_control to {"type": "ephemeral"} after instructions and tools, which come first.'
    if group.provider == "aws.bedrock":
        return "Add a cachePoint after the system prompt and the tools."
    return (
        "Providers that cache by themselves need instructions and tools first and byte for byte the same in"
        " every call (no date, no id); give calls that share them the same prompt_cache_key, where there is"
        " one."
    )


PROMPT_CACHE_ON: Final = Kind(
    "prompt_cache_on", "Cache prompts: {variant}", "counterfactual", _find_on, _explain, _how
)
PROMPT_CACHE_CHANGE: Final = Kind(
    "prompt_cache_change", "Change prompt caching: {variant}", "counterfactual", _find_change, _explain, _how
)
