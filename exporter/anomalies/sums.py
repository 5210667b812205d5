"""From tallies of the ledger to slots of series."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spanbudget.exporter.alerting.counters import call_of
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.ledger.tallies import Tally, TallyQuestion
from spanbudget.processors import names_out as names
from spanbudget.processors.budgets import BUDGET_LABEL, CHILD_LABEL, Budget, BudgetBook
from spanbudget.processors.selectors import CallIdentity
from spanbudget.rules.anomalies.slots import Slot

_MEMO_MAX: Final = 20_000
"""Combinations of labels whose series are remembered."""


@dataclass(slots=True)
class Sum:
    """What the calls of a series come to.

    Attributes:
        cost: Pico-USD.
        requests: Calls.
        failed: Those that failed.
        tokens: Tokens of all kinds.
        duration_ns: Their durations, added up.
    """

    cost: int = 0
    requests: int = 0
    failed: int = 0
    tokens: int = 0
    duration_ns: int = 0

    def add(self, tally: Tally) -> None:
        """Adds a tally; a reversal's is negative."""
        self.cost += tally.cost
        self.requests += tally.requests
        self.failed += tally.requests if tally.failed else 0
        self.tokens += tally.input + tally.cache_read + tally.cache_write + tally.output
        self.duration_ns += tally.duration_ns

    def join(self, more: "Sum") -> None:
        """Adds another sum."""
        self.cost += more.cost
        self.requests += more.requests
        self.failed += more.failed
        self.tokens += more.tokens
        self.duration_ns += more.duration_ns

    def slot(self, start_ms: int) -> Slot:
        """As a slot: a call that was taken back later than it was booked leaves no less than nothing."""
        return Slot(
            start_ms,
            max(0, self.cost) / names.PICO,
            max(0, self.requests),
            min(max(0, self.failed), max(0, self.requests)),
            max(0, self.tokens),
            max(0, self.duration_ns) / names.NANO,
        )


class Router:
    """Knows the series of each tally.

    Args:
        budgets: The budgets that are watched.
        dimensions: Labels whose values are series of their own.
        further: Labels that tallies tell apart beside these.
    """

    def __init__(
        self, budgets: Sequence[Budget], dimensions: Sequence[str], further: Sequence[str] = ()
    ) -> None:
        self._book = BudgetBook(budgets)
        self._told = {budget.name: _same_for_all(budget) for budget in budgets}
        self._dimensions = tuple(dimensions)
        self._memo: dict[object, tuple[SeriesName, ...]] = {}
        used = [label for budget in budgets for label, _ in budget.selector.terms]
        used += [label for budget in budgets for label in budget.per]
        asked = dict.fromkeys([*self._dimensions, *further, *used, BUDGET_LABEL, CHILD_LABEL])
        labels = tuple(label for label in asked if label not in CallIdentity._fields)
        self._question = TallyQuestion(labels, ())

    @property
    def question(self) -> TallyQuestion:
        """What tallies must tell apart."""
        return self._question

    def series_of(self, tally: Tally) -> tuple[SeriesName, ...]:
        """The totals that count the calls of a tally, and their parts that hold them."""
        key = tally[1:7], tally.labels
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO_MAX:
                self._memo.clear()
            found = self._memo[key] = tuple(self._series(tally))
        return found

    def values_of(self, tally: Tally, dimensions: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(dimension, value) of the dimensions that the calls of a tally have."""
        labels = dict(tally.labels)
        for dimension in dimensions:
            value = getattr(tally, dimension) if dimension in CallIdentity._fields else labels.get(dimension)
            if value is not None:
                yield dimension, value

    def add(self, sums: dict[SeriesName, Sum], tallies: Iterable[Tally]) -> None:
        """Adds tallies to the sums of their series."""
        for tally in tallies:
            for name in self.series_of(tally):
                found = sums.get(name)
                if found is None:
                    found = sums[name] = Sum()
                found.add(tally)

    def _series(self, tally: Tally) -> Iterator[SeriesName]:
        parts = list(self.values_of(tally, self._dimensions))
        for key in self._book.windows_of(call_of(tally)):
            yield SeriesName(key.budget, key.child)
            for dimension, value in parts:
                if dimension not in self._told[key.budget]:
                    yield SeriesName(key.budget, key.child, dimension, value)


def _same_for_all(budget: Budget) -> frozenset[str]:
    """The labels of which all calls of a budget, or of its child, have one value: no part differs there."""
    fixed = (label for label, values in budget.selector.terms if len(values) == 1 and "*" not in values[0])
    return frozenset((*budget.per, *fixed))


def spend_of(sums: Mapping[SeriesName, Sum]) -> dict[SeriesName, float]:
    """US dollars by series."""
    return {name: max(0, found.cost) / names.PICO for name, found in sums.items()}
