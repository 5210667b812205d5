"""Money for reasoning that short answers hardly need."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding
from spanbudget.rules.advice.group_stats import counts, quantile
from spanbudget.rules.advice.scene import Scene

_REASONING_SHARE: Final = 0.8
"""Above this share of the output, reasoning is most of what is paid for."""
_VISIBLE_MAX: Final = 200
"""An answer with fewer visible tokens is short."""
_REASONING_MIN: Final = 256
"""Reasoning of fewer tokens is the least that models do; lowering the effort saves nothing."""
_PLACE_SHARE: Final = 0.2
"""Fewer of the calls of a place than this share are chance: hard questions among others."""


def _find(scene: Scene) -> Finding:
    """What the calls would have cost with the reasoning of the lowest quarter of their place."""
    calls, prices = scene.calls, scene.prices
    reasoning, output = calls.tokens["reasoning"], calls.tokens["output"]
    rows = np.flatnonzero(scene.answered & (reasoning >= 0) & (output > 0))
    thought, visible = reasoning[rows], output[rows] - reasoning[rows]
    excess = (
        (thought > _REASONING_SHARE * output[rows]) & (visible < _VISIBLE_MAX) & (thought > _REASONING_MIN)
    )
    places = scene.places[rows]
    low = quantile(places, thought, 0.25)
    often = (counts(places, excess) >= _PLACE_SHARE * counts(places))[places]
    chosen = excess & often & (thought > low)
    rows, more = rows[chosen], (thought - low)[chosen]
    now = prices.rates(rows)
    saving = np.where(now.reasoning >= 0, more * now.reasoning, np.nan) * prices.discounts(rows, now)
    return finding(calls, rows, saving)


def _explain(group: Group) -> str:
    return (
        f"In {group.calls:,} calls more than 80 % of the output was reasoning, before answers of fewer than"
        f" {_VISIBLE_MAX} tokens. With the reasoning of the lowest quarter of such calls they would have cost"
        f" {display_usd(group.cost - group.saving)} instead of {display_usd(group.cost)}."
    )


def _how(group: Group) -> str:
    if group.provider == "anthropic":
        return "Lower the budget_tokens of thinking or the effort, and compare answers."
    if group.provider in {"gcp.gemini", "gcp.vertex_ai"}:
        return "Lower thinking_budget or thinking_level, and compare answers."
    return 'Lower the reasoning effort (`reasoning_effort="low"`), and compare answers.'


REASONING_EXCESS: Final = Kind(
    "reasoning_excess", "Lower the reasoning effort", "hypothesis", _find, _explain, _how, upper_bound=True
)
