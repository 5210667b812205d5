"""Does the sum of the entries equal the running totals? It must, at every moment."""

from collections.abc import Iterator
from typing import Final, Protocol

from spanbudget.processors.budgets import BudgetBook
from spanbudget.processors.ledger import Entry, Spend, SpendKey, entry_spend

ENTRIES_MAX: Final = 20_000
"""Entries that are summed, at most; a ledger with more in its current windows is not checked."""


class Summed(Protocol):
    """A ledger whose entries and totals are compared."""

    def entries(self, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Entry]:
        """All entries whose call ended in a time."""
        ...

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget in some windows."""
        ...


def drift_of(ledger: Summed, budgets: BudgetBook, now_ns: int, *, entries_max: int = ENTRIES_MAX) -> int:
    """How much the entries of the current windows differ from the running totals, pico-USD, all budgets.

    The differences are added without their signs, so that two faults never cancel out.

    Args:
        ledger: The ledger.
        budgets: All budgets.
        now_ns: Nanoseconds since the epoch; chooses the windows. Windows still grow while they are summed, so
            only windows of the last closed moment are compared: entries that come in between are not.
        entries_max: Above so many entries nothing is compared, and 0 is answered.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    before = _totals(ledger, budgets, now_ns)
    since_ns = min((key.start_ns for key in before), default=now_ns)
    sums: dict[SpendKey, int] = {}
    for count, entry in enumerate(ledger.entries(since_ns=since_ns)):
        if count >= entries_max:
            return 0
        for key in entry.windows or budgets.windows_of(entry.priced.call):
            sums[key] = sums.get(key, 0) + entry_spend(entry).cost
    if _totals(ledger, budgets, now_ns) != before:
        return 0  # somebody wrote in between; the next look will tell
    return sum(abs(total - sums.get(key, 0)) for key, total in before.items())


def _totals(ledger: Summed, budgets: BudgetBook, now_ns: int) -> dict[SpendKey, int]:
    totals: dict[SpendKey, int] = {}
    for budget in budgets.budgets:
        if budget.period.kind == "rolling":
            continue
        start_ns, text = budget.period.window(now_ns).start_ns, budget.period.text
        for child, spend in ledger.spend_by_child(budget.name, text, start_ns, start_ns).items():
            totals[SpendKey(budget.name, child, text, start_ns)] = spend.cost
    return totals
