"""The calls that one run of the program has touched in a PostgreSQL ledger, for its report at the end."""

from collections.abc import Iterable, Iterator

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.postgres_entries import PostgresEntryLedger
from spanbudget.exporter.ledger.postgres_values import integers, read_entry
from spanbudget.exporter.ledger.touched import BEFORE_ALL
from spanbudget.processors.ledger import Entry


class PostgresTouchedCalls:
    """See `touched.Touched`; a connection that is lost takes the marks along, and the next use says so.

    Args:
        ledger: An open ledger; a forked child needs a new one.

    Raises:
        LedgerError: This user may not make temporary tables.
    """

    def __init__(self, ledger: PostgresEntryLedger) -> None:
        self._session = ledger.session
        with self._session.lend() as connection:
            connection.execute(sql.CREATE_TOUCHED)

    def touch(self, entries: Iterable[Entry]) -> None:
        """See `touched.Touched.touch`."""
        keys = [(one.priced.call.end_ns, one.id) for one in entries]
        ends = integers(end_ns for end_ns, _ in keys)
        with self._session.lend() as connection:
            connection.execute(sql.TOUCH, (ends, [entry_key for _, entry_key in keys]))

    def standing(self) -> Iterator[Entry]:
        """See `touched.Touched.standing`; reads 500 at a time."""
        seen: tuple[int, int] = (BEFORE_ALL, 0)
        while True:
            with self._session.lend() as connection:
                page = connection.execute(sql.TOUCHED_PAGE, seen).fetchall()
            if not page:
                return
            seen = (page[-1][0], page[-1][1])
            for row in page:
                yield read_entry(row[2:])
