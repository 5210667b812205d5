"""Counts the totals of a SQLite ledger anew; see `backfill`."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.rows import entry_of
from spanbudget.exporter.ledger.totals import change_rows
from spanbudget.processors.ledger import Entry

if TYPE_CHECKING:
    from spanbudget.exporter.ledger.sqlite import SqliteLedger


class SqliteRecount:
    """See `backfill.Recount`.

    Args:
        ledger: The ledger.
        connection: Its connection, inside a transaction where anything is changed.
    """

    def __init__(self, ledger: "SqliteLedger", connection: sqlite3.Connection) -> None:
        self._ledger = ledger
        self._connection = connection

    def noted(self, keys: Iterable[str]) -> dict[str, str]:
        """See `backfill.Recount.noted`."""
        rows = {key: self._connection.execute(statements.GET_META, (key,)).fetchone() for key in keys}
        return {key: row[0] for key, row in rows.items() if row is not None}

    def forget(self, budget: str, start_ns: int) -> None:
        """See `backfill.Recount.forget`."""
        self._connection.execute(statements.FORGET_SPEND, (budget, start_ns))

    def pages(self, since_ns: int) -> Iterator[list[Entry]]:
        """See `backfill.Recount.pages`."""
        seen, last = -1, self._connection.execute(statements.SEQ_RANGE_ALL).fetchone()[1]
        while last is not None and seen < last:
            asked = (seen, last, since_ns, None)
            page = self._connection.execute(statements.ENTRY_PAGE, asked).fetchall()
            if not page:
                return
            seen = page[-1][0]
            yield [entry_of(row[1:]) for row in page]

    def add(self, entries: Sequence[Entry]) -> None:
        """See `backfill.Recount.add`."""
        self._ledger.add_spend(self._connection, change_rows(entries))

    def note(self, key: str, value: str) -> None:
        """See `backfill.Recount.note`."""
        self._connection.execute(statements.SET_META, (key, value))
