"""The peaks of budgets as text, for the ledger to keep."""

import json
from collections.abc import Mapping, Sequence

from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.limits import Pot
from spanbudget.rules.budget_gauges import Peak


def peaks_text(peaks: Mapping[Pot, Peak], states: Sequence[BudgetState]) -> str:
    """The peaks that what is spent now does not tell: all others would come back by themselves."""
    kept = []
    for state in states:
        peak = peaks.get(Pot(state.budget, state.child))
        spent = state.spent
        if peak is not None and (peak.cost, peak.tokens, peak.requests) != (
            spent.cost, spent.tokens, spent.requests
        ):  # fmt: skip
            kept.append([state.budget, state.child, peak.start_ns, peak.cost, peak.tokens, peak.requests])
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else ""


def add_kept_peaks(peaks: dict[Pot, Peak], text: str) -> None:
    """Takes what was kept into account."""
    for budget, child, start_ns, cost, tokens, requests in json.loads(text) if text else ():
        known = peaks.get(Pot(budget, child))
        if known is None or known.start_ns != start_ns:
            peaks[Pot(budget, child)] = Peak(start_ns, cost, tokens, requests)
        else:
            known.cost = max(known.cost, cost)
            known.tokens = max(known.tokens, tokens)
            known.requests = max(known.requests, requests)
