"""How full every budget is, by what a ledger says was spent."""

from typing import Protocol

from spanbudget.processors.budgets import BudgetBook, BudgetState
from spanbudget.processors.ledger import NO_SPEND, Spend


class ChildSpend(Protocol):
    """Who knows what budgets have spent."""

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget, over the windows that start in `[first_ns, last_ns]`."""
        ...


def budget_states(budgets: BudgetBook, spends: ChildSpend, now_ns: int) -> list[BudgetState]:
    """How full every budget and every child is; children of a template without spend are not there yet."""
    states: list[BudgetState] = []
    for budget in budgets.budgets:
        starts = budget.period.slices(now_ns)
        spent = spends.spend_by_child(budget.name, budget.period.text, starts[0], starts[-1])
        if not budget.per:
            spent.setdefault("", NO_SPEND)
        states += [
            budgets.state(budget.name, child, spend, now_ns)
            for child, spend in spent.items()
            if spend.requests or not budget.per  # a child whose only call was reversed is none
        ]
    return states
