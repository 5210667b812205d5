"""Counts what a ledger already holds for a budget that is new to it, or that was defined anew."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.rows import entry_of
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.totals import change_rows
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.ledger import Entry

_META_PREFIX: Final = "budget:"
_PAGE: Final = 500
_logger = logging.getLogger(__name__)


def definition(budget: Budget) -> str:
    """A digest of what decides which calls a budget counts; limits and policies do not."""
    told = (budget.name, budget.selector.terms, budget.per, budget.period.text)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def count_existing(ledger: SqliteLedger, budgets: Sequence[Budget], now_ns: int) -> list[str]:
    """Counts the current windows of budgets whose definition the ledger does not know.

    A budget that is added in the middle of a month begins with what the month has cost so far. Windows that
    have closed keep what was counted when they were open. All processes on a ledger should have the same
    budgets: what another process appends is put only against the budgets that it knows.

    Args:
        ledger: The ledger; it is locked for writing while entries are counted, where there are any to count.
        budgets: The configured budgets.
        now_ns: Nanoseconds since the epoch; says which windows are current.

    Returns:
        The names of the budgets that were counted.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    if not (changed := _changed(ledger, budgets)):
        return []
    with ledger.writing() as connection:
        changed = _changed(ledger, budgets)  # another process may just have done it
        since = {budget.name: budget.period.span(now_ns).start_ns for budget in changed}
        for name, start_ns in since.items():
            connection.execute(statements.FORGET_SPEND, (name, start_ns))
        book = BudgetBook(changed)
        seen, last = -1, connection.execute(statements.SEQ_RANGE_ALL).fetchone()[1]
        earliest = min(since.values(), default=0)
        while last is not None and seen < last:
            page = connection.execute(statements.ENTRY_PAGE, (seen, last, earliest, None)).fetchall()
            if not page:
                break
            seen = page[-1][0]
            ledger.add_spend(
                connection, change_rows([_windowed(entry_of(row[1:]), book, since) for row in page])
            )
        for budget in changed:
            connection.execute(statements.SET_META, (_META_PREFIX + budget.name, definition(budget)))
    names = [budget.name for budget in changed]
    if names and last is not None:
        _logger.info("Counted the ledger's entries for the budgets %s", ", ".join(names))
    return names


def _changed(ledger: SqliteLedger, budgets: Sequence[Budget]) -> list[Budget]:
    with ledger.reading() as connection:
        known = {
            budget.name: connection.execute(statements.GET_META, (_META_PREFIX + budget.name,)).fetchone()
            for budget in budgets
        }
    return [budget for budget in budgets if known[budget.name] != (definition(budget),)]


def _windowed(entry: Entry, book: BudgetBook, since: dict[str, int]) -> Entry:
    """The entry with the current windows that it belongs to."""
    windows = book.windows_of(entry.priced.call)
    return entry._replace(windows=tuple(key for key in windows if key.start_ns >= since[key.budget]))
