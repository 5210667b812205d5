"""What this process's own calls cost each budget, by model: counters, and the durations of calls.

As in `series`, a counter shows the highest value that its true sum ever had: a restated call shows only its
net difference.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from spanbudget.processors import names_out as names
from spanbudget.processors.ledger import Entry, SpendKey
from spanbudget.processors.names_out import OTHER, OUTCOME_ERROR, OUTCOME_OK, UNKNOWN, Metric

BUDGET_SERIES_MAX: Final = 1_500
"""Most series; the SDK folds an instrument beyond 2000. Calls of further ones have the model `other`."""

Record = Callable[[Metric, float, Mapping[str, str]], None]
"""Takes a value of a histogram: the metric, the value in its unit, and the attributes."""


class BudgetKey(NamedTuple):
    """The dimensions of one series.

    Attributes:
        budget: Name of the budget.
        child: The child's text; "" for a plain budget.
        model: The model that was priced, `unknown` or `other`.
        outcome: `ok` or `error`.
        confidence: Confidence of the cost: `exact`, `estimated` or `unpriced`.
    """

    budget: str
    child: str
    model: str
    outcome: str
    confidence: str

    def attributes(self) -> dict[str, str]:
        """The attributes of its data points."""
        return {
            names.BUDGET: self.budget,
            names.BUDGET_CHILD: self.child,
            names.MODEL: self.model,
            names.OUTCOME: self.outcome,
            names.CONFIDENCE: self.confidence,
        }


@dataclass(slots=True)
class _Sums:
    cost: int = 0
    calls: int = 0
    shown_cost: int = 0
    shown_calls: int = 0


class BudgetSeriesBook:
    """Adds up what the pipeline books; one thread adds, any thread reads."""

    def __init__(self) -> None:
        self._sums: dict[BudgetKey, _Sums] = {}
        self._reading = threading.Lock()
        self.record: Record | None = None

    def begin_anew(self) -> None:
        """Forgets all: a forked child has made none of its parent's calls."""
        self._sums = {}
        self._reading = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Adds a booked call to its budgets, or takes a reversed one out."""
        priced = entry.priced
        call = priced.call
        sign = -1 if entry.kind == "reversal" else 1
        outcome = OUTCOME_ERROR if call.failed else OUTCOME_OK
        model = call.model or UNKNOWN
        for window in entry.windows:
            sums = self._of(window, model, outcome, priced.confidence)
            sums.cost += sign * (priced.cost or 0)
            sums.calls += sign
        if self.record is not None and sign > 0:
            self._record(entry, model, outcome, self.record)

    def _record(self, entry: Entry, model: str, outcome: str, record: Record) -> None:
        call = entry.priced.call
        seconds = max(0, call.end_ns - call.start_ns) / names.NANO
        labels = {names.MODEL: model, names.OUTCOME: outcome}
        told = {names.PROVIDER: call.provider or UNKNOWN, names.OPERATION: call.operation, **labels}
        record(names.REQUEST_DURATION, seconds, told)
        for window in entry.windows:
            whose = {names.BUDGET: window.budget, names.BUDGET_CHILD: window.child}
            record(names.BUDGET_REQUEST_DURATION, seconds, {**whose, **labels})

    def _of(self, window: SpendKey, model: str, outcome: str, confidence: str) -> _Sums:
        key = BudgetKey(window.budget, window.child, model, outcome, confidence)
        sums = self._sums.get(key)
        if sums is None:
            if len(self._sums) >= BUDGET_SERIES_MAX:
                key = BudgetKey(window.budget, OTHER if window.child else "", OTHER, outcome, confidence)
            sums = self._sums.setdefault(key, _Sums())
        return sums

    def totals(self) -> Iterator[tuple[Metric, Mapping[str, str], float]]:
        """(metric, attributes, value in the metric's unit) of every series; none ever decreases."""
        with self._reading:
            found: Sequence[tuple[BudgetKey, _Sums]] = list(self._sums.items())
            for _, sums in found:
                sums.shown_cost = max(sums.shown_cost, sums.cost)
                sums.shown_calls = max(sums.shown_calls, sums.calls)
        for key, sums in found:
            attributes = key.attributes()
            yield names.BUDGET_CALLS, attributes, sums.shown_calls
            yield names.BUDGET_COST_USD, attributes, sums.shown_cost / names.BUDGET_COST_USD.divisor
