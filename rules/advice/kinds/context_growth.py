"""Money for histories that are sent again with every turn of a session."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, unexamined
from spanbudget.rules.advice.group_stats import counts, quantile
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.streams import streams_of

_TURNS_MIN: Final = 8
"""Shorter sessions have no history to speak of."""
_RISING_MIN: Final = 0.8
"""Share of the turns whose prompt is longer than the one before: the history is only ever added to."""
_GROWTH_MIN: Final = 5
"""The last prompt is this many times as long as the first: 4 times is what a dozen short turns come to."""


def _find(scene: Scene) -> Finding:
    """In sessions that only grow, the uncached input above the median of the place."""
    calls, prices = scene.calls, scene.prices
    sessions = calls.label("session").codes
    asked = scene.answered & ~scene.embeddings & (calls.tokens["input"] >= 0)
    rows = np.flatnonzero(asked & (sessions >= 0))
    found = streams_of(calls, rows, scene.places[rows], sessions[rows])
    prompt = calls.prompt[found.rows]
    turns, rises = counts(found.groups), counts(found.groups, found.follows & (prompt > found.before(prompt)))
    ends = np.append(~found.follows[1:], np.ones(min(len(prompt), 1), dtype=np.bool_))
    first, last = prompt[~found.follows], prompt[ends]
    grows = (
        (turns >= _TURNS_MIN)
        & (rises >= _RISING_MIN * (turns - 1))
        & (last >= _GROWTH_MIN * np.maximum(first, 1))
    )
    rows = found.rows[grows[found.groups]]
    fresh = calls.tokens["input"]
    usual = quantile(scene.places, np.where(asked, fresh, np.nan), 0.5)[rows]
    now = prices.rates(rows)
    more = np.maximum(fresh[rows] - usual, 0)
    saving = np.where(now.input >= 0, more * now.input, np.nan) * prices.discounts(rows, now)
    why = "no session label: attribute sessions to see how prompts grow"
    return finding(calls, rows, saving, unexamined=unexamined("context_growth", asked & (sessions < 0), why))


def _explain(group: Group) -> str:
    return (
        f"{group.calls:,} turns of sessions whose prompts only grow sent more uncached input than half of all"
        f" calls there; what is above that cost {display_usd(group.saving)} of {display_usd(group.cost)}."
    )


def _how(group: Group) -> str:
    caching = (
        " cache the history with cache_control on the last message," if group.provider == "anthropic" else ""
    )
    return (
        f"Send less of the history again:{caching} summarise older turns, or drop results of tools once used."
    )


CONTEXT_GROWTH: Final = Kind(
    "context_growth", "Keep long sessions short", "hypothesis", _find, _explain, _how, upper_bound=True
)
