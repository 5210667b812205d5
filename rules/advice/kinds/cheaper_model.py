"""A smaller model of the same provider for calls with short answers: the most that could be saved."""

from typing import Final

import numpy as np

from spanbudget.processors.money import display_usd
from spanbudget.rules.advice.calls import Codes, Ints
from spanbudget.rules.advice.finding import Finding, Group, Kind, finding
from spanbudget.rules.advice.group_stats import counts, quantile
from spanbudget.rules.advice.repricing import Floats
from spanbudget.rules.advice.scene import Scene

_SHORT_TOKENS: Final = 300
"""95 % of the visible answers are shorter: labels, extracted fields, routes, which small models often can."""
_CALLS_MIN: Final = 20
"""Fewest calls whose 95th percentile means anything."""
_SHARE_MIN: Final = 0.2
"""Smallest saving as a share of the cost that is worth an evaluation of another model."""


def _find(scene: Scene) -> Finding:
    """For each place with short answers, the alternative that would have cost least."""
    calls = scene.calls
    output = calls.tokens["output"]
    visible = output - np.maximum(calls.tokens["reasoning"], 0)
    known = (calls.texts["provider"].codes >= 0) & (calls.texts["model"].codes >= 0)
    rows = np.flatnonzero(scene.answered & ~scene.embeddings & (output >= 0) & known)
    places = scene.places[rows]
    short = (counts(places)[places] >= _CALLS_MIN) & (quantile(places, visible[rows], 0.95) < _SHORT_TOKENS)
    rows = rows[short]
    rows = rows[np.argsort(scene.places[rows], kind="stable")]
    parts: list[Ints] = np.split(rows, np.flatnonzero(np.diff(scene.places[rows])) + 1)
    saving, chosen, names = np.zeros(len(rows)), np.full(len(rows), -1, dtype=np.int64), dict[str, int]()
    at = 0
    for part in parts:
        best = _best(scene, part) if len(part) else None
        if best is not None:
            name, saved = best
            saving[at : at + len(part)] = saved
            chosen[at : at + len(part)] = names.setdefault(name, len(names))
        at += len(part)
    return finding(calls, rows, saving, variants=Codes(chosen, list(names)))


def _best(scene: Scene, rows: Ints) -> tuple[str, Floats] | None:
    """The alternative that saves most for these calls of one model, and what it saves for each."""
    calls, prices = scene.calls, scene.prices
    provider, model = (calls.texts[name].at(int(rows[0])) for name in ("provider", "model"))
    now, paid = prices.rates(rows), float(calls.cost[rows].astype(np.float64).sum())
    best: tuple[str, Floats] | None = None
    most = _SHARE_MIN * paid
    for name in prices.alternatives(provider, model):
        saved = prices.saved(rows, now, prices.rates(rows, model=name))
        total = float(saved.sum())
        if total >= most:  # never where a price is missing: NaN
            best, most = (name, saved), total
    return best


def _explain(group: Group) -> str:
    return (
        f"95 % of the answers of {group.calls:,} calls to {group.model} are shorter than {_SHORT_TOKENS}"
        f" tokens. The same tokens at {group.variant} would have cost"
        f" {display_usd(group.cost - group.saving)} instead of {display_usd(group.cost)}; whether it answers"
        " well enough has to be evaluated."
    )


def _how(group: Group) -> str:
    return f"Evaluate {group.variant} on these requests, then send a small share of them there first."


CHEAPER_MODEL: Final = Kind(
    "cheaper_model", "Try {variant} for short answers", "hypothesis", _find, _explain, _how, upper_bound=True
)
