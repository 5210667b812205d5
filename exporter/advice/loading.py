"""The calls of a window, from the ledger into the table that advice reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spanbudget.exporter.advice.call_table import PLACES, CallTable
from spanbudget.exporter.ledger.call_pages import PagedLedger, call_pages
from spanbudget.exporter.ledger.rows import labels_of
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.budgets import ORPHANED_LEASE, Budget, BudgetBook
from spanbudget.processors.ledger import SpendKey
from spanbudget.processors.selectors import CallIdentity

CALLS_MAX: Final = 500_000
"""Calls that are read unless another bound is asked for; a table of so many takes about 500 MB."""
_CHILDREN_ALL: Final = 1 << 62
"""Children of a template that are told apart here: all, as they are looked at once."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The calls of a window.

    Attributes:
        frame: See `spanbudget.rules.advice.calls.COLUMNS`; labels under `label.<name>`.
        budgets: For each budget that was asked about, which rows it counts.
        since_ns: Start of the time that the table covers, nanoseconds since the epoch: the first call that is
            there, where that is later than what was asked for.
        until_ns: Its end.
        complete: False where older calls of the window were left out, because there are too many.
        sums: Entries that are no single call, which were left out: `agent`, `lease` → how many.
    """

    frame: pd.DataFrame
    budgets: Mapping[str, NDArray[np.bool_]]
    since_ns: int
    until_ns: int
    complete: bool
    sums: Mapping[str, int]


def load_calls(
    ledger: SqliteLedger | PagedLedger,
    since_ns: int,
    until_ns: int,
    *,
    budgets: Sequence[Budget] = (),
    only: str | None = None,
    child: str | None = None,
    calls_max: int = CALLS_MAX,
) -> Loaded:
    """Reads calls, the newest first, until there are enough.

    Args:
        ledger: An open ledger.
        since_ns: Start of the window, nanoseconds since the epoch.
        until_ns: End of the window.
        budgets: Budgets whose calls are told apart.
        only: Only the calls that this one of them counts.
        child: Only those of this child of it.
        calls_max: Most calls, 1 or more.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    chooser = _Chooser(budgets, only, child)
    table = CallTable()
    complete, oldest_ns = True, until_ns
    for page in call_pages(ledger, since_ns, until_ns):
        table.add(chooser.chosen(page))
        oldest_ns = page[-1][1]
        if table.rows > calls_max:
            complete = False
            break
    frame = table.frame(calls_max)
    if not complete:
        oldest_ns = int(frame["end_ns"].to_numpy().min())
    covered_ns = max(since_ns, min(oldest_ns, until_ns - 1))
    return Loaded(frame, chooser.members(calls_max), covered_ns, until_ns, complete, chooser.sums)


class _Chooser:
    """Chooses the rows of pages that are calls and are wanted.

    Attributes:
        sums: Entries that are no single call, so far: kind → how many.
    """

    def __init__(self, budgets: Sequence[Budget], only: str | None, child: str | None) -> None:
        self.sums: Counter[str] = Counter()
        self._book = BudgetBook(budgets, children_max=_CHILDREN_ALL)
        self._only = only
        self._child = child
        self._counted: list[frozenset[str]] = []  # for each chosen row the budgets that count it

    def chosen(self, page: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows of a page that are wanted."""
        calls = self._calls(page)
        if not self._book.budgets:
            return calls
        chosen = []
        for row in calls:
            keys = self._keys(row)
            if self._wants(keys):
                chosen.append(row)
                self._counted.append(frozenset(key.budget for key in keys))
        return chosen

    def members(self, calls_max: int) -> dict[str, NDArray[np.bool_]]:
        """For each budget, which of the first so many rows it counts."""
        return {
            budget.name: np.array(
                [budget.name in names for names in self._counted[:calls_max]], dtype=np.bool_
            )
            for budget in self._book.budgets
        }

    def _calls(self, page: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows that are one call; an agent's sum is not, nor what a lost process held."""
        aggregate, operation = PLACES["aggregate"], PLACES["operation"]
        calls = []
        for row in page:
            if row[operation] == ORPHANED_LEASE:
                self.sums["lease"] += 1
            elif row[aggregate]:
                self.sums["agent"] += 1
            else:
                calls.append(row)
        return calls

    def _keys(self, row: Sequence[Any]) -> Sequence[SpendKey]:
        """The totals that a call belongs to."""
        provider, model, asked, answered, operation, tier = row[PLACES["provider"] : PLACES["tier"] + 1]
        identity = CallIdentity(provider, model, asked, answered, tier, operation)
        return self._book.windows(labels_of(row[PLACES["labels"]]), identity, row[PLACES["end_ns"]])

    def _wants(self, keys: Sequence[SpendKey]) -> bool:
        if self._only is None:
            return True
        return any(key.budget == self._only and self._child in (None, key.child) for key in keys)
