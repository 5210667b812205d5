"""How full every budget is, by what a ledger says was spent."""

from collections.abc import Iterable
from typing import Protocol

from spanbudget.processors.budget_state import BudgetState, Terms
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.ledger import NO_SPEND, Spend
from spanbudget.processors.limits import Amount, Pot


class ChildSpend(Protocol):
    """Who knows what budgets have spent."""

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget, over the windows that start in `[first_ns, last_ns]`."""
        ...

    def held(self, pots: Iterable[Pot]) -> dict[Pot, Amount]:
        """What calls in flight hold; a pot without holds is missing."""
        ...


class TermsOf(Protocol):
    """Who knows what holds for budgets beside their definition."""

    def terms_of(self, budget: Budget, pot: Pot, now_ns: int) -> Terms:
        """What holds for a budget, or a child of it, at a moment."""
        ...


def budget_states(
    budgets: BudgetBook, spends: ChildSpend, now_ns: int, terms: TermsOf | None = None
) -> list[BudgetState]:
    """How full every budget and every child is; children of a template without spend are not there yet.

    Args:
        budgets: All budgets.
        spends: Knows spend and holds.
        now_ns: Nanoseconds since the epoch.
        terms: Knows grants, suspensions and what was carried over; None where there are none.
    """
    states: list[BudgetState] = []
    for budget in budgets.budgets:
        starts = budget.period.slices(now_ns)
        spent = spends.spend_by_child(budget.name, budget.period.text, starts[0], starts[-1])
        if not budget.per:
            spent.setdefault("", NO_SPEND)
        # A child whose only call was reversed is none.
        found = {
            Pot(budget.name, child): spend
            for child, spend in spent.items()
            if spend.requests or not budget.per
        }
        held = spends.held(found) if budget.guards else {}
        states += [
            budgets.state(
                *pot,
                spend,
                now_ns,
                reserved=held[pot].cost if pot in held else 0,
                terms=terms.terms_of(budget, pot, now_ns) if terms is not None else None,
            )
            for pot, spend in found.items()
        ]
    return states
