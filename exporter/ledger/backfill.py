"""Counts what a ledger already holds for a budget that is new to it, or that was defined anew."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, runtime_checkable

from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.ledger import Entry, Ledger

_META_PREFIX: Final = "budget:"
_logger = logging.getLogger(__name__)


class Recount(Protocol):
    """A transaction that excludes every other writer."""

    def noted(self, keys: Iterable[str]) -> Mapping[str, str]:
        """See `RecountedLedger.noted`."""
        ...

    def forget(self, budget: str, start_ns: int) -> None:
        """Deletes the totals of a budget's windows that start at a time or later."""
        ...

    def pages(self, since_ns: int) -> Iterator[Sequence[Entry]]:
        """All entries whose call ended at a time or later, a few hundred at a time."""
        ...

    def add(self, entries: Sequence[Entry]) -> None:
        """Adds entries to the totals of their windows."""
        ...

    def note(self, key: str, value: str) -> None:
        """Keeps a text in `meta`."""
        ...


@runtime_checkable
class RecountedLedger(Protocol):
    """A ledger whose totals can be counted anew."""

    def noted(self, keys: Iterable[str]) -> Mapping[str, str]:
        """The texts of `meta` under some keys; a key without one is missing."""
        ...

    def recounting(self) -> AbstractContextManager[Recount]:
        """Begins to count anew; committed at the end, or without a trace."""
        ...


def definition(budget: Budget) -> str:
    """A digest of what decides which calls a budget counts; limits and policies do not."""
    told = (budget.name, budget.selector.terms, budget.per, budget.period.text)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def count_existing(ledger: Ledger, budgets: Sequence[Budget], now_ns: int) -> list[str]:
    """Counts the current windows of budgets whose definition the ledger does not know.

    A budget that is added in the middle of a month begins with what the month has cost so far. Windows that
    have closed keep what was counted when they were open. All processes on a ledger should have the same
    budgets: what another process appends is put only against the budgets that it knows.

    Args:
        ledger: The ledger; it is locked for writing while entries are counted, where there are any to count.
            One in memory holds nothing from before.
        budgets: The configured budgets.
        now_ns: Nanoseconds since the epoch; says which windows are current.

    Returns:
        The names of the budgets that were counted.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    if not isinstance(ledger, RecountedLedger) or not _changed(ledger, budgets):
        return []
    found = False
    with ledger.recounting() as recount:
        changed = _changed(recount, budgets)  # another process may just have done it
        since = {budget.name: budget.period.span(now_ns).start_ns for budget in changed}
        for name, start_ns in since.items():
            recount.forget(name, start_ns)
        book = BudgetBook(changed)
        for page in recount.pages(min(since.values())) if since else ():
            found = True
            recount.add([_windowed(entry, book, since) for entry in page])
        for budget in changed:
            recount.note(_META_PREFIX + budget.name, definition(budget))
    if found:
        _logger.info("Counted the ledger's entries for the budgets %s", ", ".join(since))
    return list(since)


def _changed(store: RecountedLedger | Recount, budgets: Sequence[Budget]) -> list[Budget]:
    known = store.noted(_META_PREFIX + budget.name for budget in budgets)
    return [budget for budget in budgets if known.get(_META_PREFIX + budget.name) != definition(budget)]


def _windowed(entry: Entry, book: BudgetBook, since: dict[str, int]) -> Entry:
    """The entry with the current windows that it belongs to."""
    windows = book.windows_of(entry.priced.call)
    return entry._replace(windows=tuple(key for key in windows if key.start_ns >= since[key.budget]))
