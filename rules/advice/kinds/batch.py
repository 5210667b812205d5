"""Batch or flex prices for calls that nobody waits for."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.processors.rates import standard_tier
from spanbudget.rules.advice.calls import Bools, Codes
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding, unexamined
from spanbudget.rules.advice.scene import Scene

_TIERS: Final = ("flex", "batch")
"""Where both cost the same, flex: the call stays as it is, and steps that need the last answer can use it."""
_HOW: Final[Mapping[str, str]] = {
    "openai": 'Set service_tier="flex" with a long timeout, or use the Batch API (24 h).',
    "azure.ai.openai": "Use a Global Batch deployment (24 h).",
    "anthropic": "Send the requests through the Message Batches API (24 h).",
    "gcp.gemini": "Send the requests through the Batch API of Gemini (24 h).",
    "gcp.vertex_ai": "Send the requests as a batch prediction job.",
    "aws.bedrock": "Send the requests as a batch inference job, or use the flex service tier.",
    "mistral_ai": "Send the requests through the Batch API (24 h).",
}


def _find(scene: Scene) -> Finding:
    """What calls of the standard tier without anybody waiting would have cost at the cheaper tiers."""
    calls, prices = scene.calls, scene.prices
    eligible = scene.answered & _standard(calls.texts["tier"])
    rows = np.flatnonzero(eligible & (calls.interactive == 0))
    now = prices.rates(rows)
    best, chosen = np.zeros(len(rows)), np.full(len(rows), -1, dtype=np.int64)
    unpriced = np.zeros(len(calls), dtype=np.bool_)
    unpriced[rows] = True
    for code, tier in enumerate(_TIERS):
        other = prices.rates(rows, tier=tier)
        saving = np.where(other.tiered, prices.saved(rows, now, other), np.nan)
        unpriced[rows[~np.isnan(saving)]] = False
        better = np.nan_to_num(saving) > best
        best[better], chosen[better] = saving[better], code
    unknown = "nothing tells whether somebody waits: no SERVER, CONSUMER or batch span above the call"
    return finding(
        calls,
        rows,
        best,
        variants=Codes(chosen, _TIERS),
        unexamined=(
            *unexamined("batch", eligible & (calls.interactive < 0), unknown),
            *unexamined("batch", unpriced, "no batch or flex price is known for the model at that time"),
        ),
    )


def _standard(tiers: Codes) -> Bools:
    """Whether each tier is the standard one."""
    standard = np.array([standard_tier(str(name)) is None for name in tiers.names] + [True], dtype=np.bool_)
    found: Bools = standard[tiers.codes]
    return found


def _explain(group: Group) -> str:
    return (
        f"Nobody waited for {group.calls:,} calls that cost {display_usd(group.cost)}; at {group.variant}"
        f" prices they would have cost {display_usd(group.cost - group.saving)}."
    )


def _how(group: Group) -> str:
    return _HOW.get(group.provider, f"Use the {group.variant} tier of the provider.")


BATCH: Final = Kind(
    "batch", "Use {variant} prices where nobody waits", "counterfactual", _find, _explain, _how
)
