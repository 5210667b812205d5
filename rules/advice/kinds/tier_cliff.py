"""Money for a few tokens too many: prompts just above the length from which every token costs more."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding
from spanbudget.rules.advice.scene import Scene

_NEAR: Final = 0.1
"""How far above the threshold a prompt may be, as a share of it, to be brought below it by trimming."""


def _find(scene: Scene) -> Finding:
    """What the calls' tokens would have cost at the rates below the threshold.

    Thresholds are those of the price list. The few tokens to trim are not counted as saved.
    """
    calls, prices = scene.calls, scene.prices
    rows = np.flatnonzero(scene.answered & (calls.prompt > 0))
    now = prices.rates(rows)
    near = (now.prompt_above > 0) & (calls.prompt[rows] <= now.prompt_above * (1 + _NEAR))
    rows, threshold = rows[near], now.prompt_above[near]
    saving = prices.saved(rows, prices.rates(rows), prices.rates(rows, prompt=threshold))
    return finding(calls, rows, saving)


def _explain(group: Group) -> str:
    return (
        f"{group.calls:,} prompts were at most 10 % longer than the length from which {group.model} charges"
        f" more for every token; below it they would have cost {display_usd(group.cost - group.saving)}"
        f" instead of {display_usd(group.cost)}."
    )


def _how(group: Group) -> str:
    model = group.where.get("model", "MODEL")
    return (
        "Cap what is retrieved or kept of the history a little below the threshold, which"
        f" `spanbudget prices {model}` names, or count tokens before the call and trim."
    )


TIER_CLIFF: Final = Kind(
    "tier_cliff", "Keep prompts below the long-context price", "exact", _find, _explain, _how
)
