"""Budgets as they were at any moment, from what the ledger says was spent; for restoring and backtests.

Limits are those of today: the ledger does not keep what they were. Grants, what was carried over and money
that was held are not replayed.
"""

from collections.abc import Iterable

from spanbudget.exporter.alerting.counters import call_of
from spanbudget.exporter.ledger.tallies import Tally
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.ledger import NO_SPEND, Spend, SpendKey
from spanbudget.processors.limits import Pot


class ReplayedBudgets:
    """Adds up tallies into the windows of budgets.

    Args:
        book: All budgets; for this alone, as it is used by one thread.
    """

    def __init__(self, book: BudgetBook) -> None:
        self._book = book
        self._spend: dict[SpendKey, Spend] = {}
        self._children: dict[str, set[str]] = {}

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets."""
        return self._book.budgets

    def pots_of(self, tally: Tally) -> tuple[Pot, ...]:
        """The budgets, and children, that count the calls of a tally."""
        return tuple(Pot(key.budget, key.child) for key in self._book.windows_of(call_of(tally)))

    def add(self, tallies: Iterable[Tally]) -> None:
        """Adds tallies to the windows of the time of their bucket."""
        for tally in tallies:
            spend = _spend_of(tally)
            for key in self._book.windows_of(call_of(tally)):
                self._spend[key] = self._spend.get(key, NO_SPEND).plus(spend)
                self._children.setdefault(key.budget, set()).add(key.child)

    def states(self, now_ns: int) -> list[BudgetState]:
        """The state of every budget, and of every child with calls in its window."""
        states: list[BudgetState] = []
        for budget in self._book.budgets:
            children = self._children.get(budget.name, set()) if budget.per else {""}
            for child in sorted(children):
                spend = self._spent(budget.name, child, now_ns)
                if spend.requests or not budget.per:
                    states.append(self._book.state(budget.name, child, spend, now_ns))
        return states

    def state_of(self, budget: str, spend: Spend, now_ns: int) -> BudgetState:
        """The state of a budget that has spent so much."""
        return self._book.state(budget, "", spend, now_ns)

    def _spent(self, budget: str, child: str, now_ns: int) -> Spend:
        spends = self._spend
        total = NO_SPEND
        for key in self._book.keys_at(budget, child, now_ns):
            spend = spends.get(key)
            if spend is not None:
                total = spend if total is NO_SPEND else total.plus(spend)
        return total


def _spend_of(tally: Tally) -> Spend:
    tokens = tally.input + tally.cache_read + tally.cache_write + tally.output
    estimated = tally.cost if tally.confidence == "estimated" else 0
    unpriced = tally.requests if tally.confidence == "unpriced" else 0
    return Spend(tally.cost, tokens, tally.requests, estimated, unpriced)
