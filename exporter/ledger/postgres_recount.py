"""Counts the totals of a PostgreSQL ledger anew; see `backfill`."""

from collections.abc import Iterable, Iterator, Sequence

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.postgres_spend import changes
from spanbudget.exporter.ledger.postgres_store import Connection
from spanbudget.exporter.ledger.postgres_values import escaped, fitting, read_entry, texts, unescaped
from spanbudget.processors.ledger import Entry


class PostgresRecount:
    """See `backfill.Recount`.

    Args:
        connection: A connection, inside a transaction that excludes other writers where anything is changed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def noted(self, keys: Iterable[str]) -> dict[str, str]:
        """See `backfill.Recount.noted`."""
        rows = self._connection.execute(sql.FIND_META, (texts(keys),)).fetchall()
        return {unescaped(key): unescaped(value) for key, value in rows}

    def forget(self, budget: str, start_ns: int) -> None:
        """See `backfill.Recount.forget`."""
        self._connection.execute(sql.FORGET_SPEND, (escaped(fitting(budget)), start_ns))

    def pages(self, since_ns: int) -> Iterator[list[Entry]]:
        """See `backfill.Recount.pages`."""
        [(_, last)] = self._connection.execute(sql.SEQ_RANGE_ALL).fetchall()
        seen = -1
        while last is not None and seen < last:
            asked = (seen, last, since_ns, None, None)
            page = self._connection.execute(sql.ENTRY_PAGE, asked).fetchall()
            if not page:
                return
            seen = page[-1][0]
            yield [read_entry(row[1:]) for row in page]

    def add(self, entries: Sequence[Entry]) -> None:
        """See `backfill.Recount.add`."""
        if statements := changes(entries)[0]:
            self._connection.run(*statements)

    def note(self, key: str, value: str) -> None:
        """See `backfill.Recount.note`."""
        self._connection.execute(sql.SET_META, (escaped(key), escaped(value)))
