"""The calls that one run of the program has touched, for its report at the end."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.lookup import find
from spanbudget.exporter.ledger.rows import entry_of, storable
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.ledger import Entry

if TYPE_CHECKING:
    from spanbudget.exporter.ledger.postgres_entries import PostgresEntryLedger

BEFORE_ALL: Final = -(2**63)


class Touched(Protocol):
    """Remembers entries in a temporary table, which goes away with the ledger's connection."""

    def touch(self, entries: Iterable[Entry]) -> None:
        """Marks entries that the ledger has; others are ignored, and so are those that were marked before."""
        ...

    def standing(self) -> Iterator[Entry]:
        """The marked calls that are not reversed, by end time, then in the order they were appended."""
        ...


def touched_calls(ledger: "SqliteLedger | PostgresEntryLedger") -> Touched:
    """A new memory of touched calls beside a ledger.

    Args:
        ledger: An open ledger; a forked child needs a new one.

    Raises:
        LedgerError: There is no room for temporary tables, or no right to make one.
    """
    if isinstance(ledger, SqliteLedger):
        return TouchedCalls(ledger)
    # Needs a driver that not everybody installs.
    from spanbudget.exporter.ledger.postgres_touched import PostgresTouchedCalls  # noqa: PLC0415

    return PostgresTouchedCalls(ledger)


class TouchedCalls:
    """Remembers entries in a temporary table, which goes away with the ledger's connection.

    Args:
        ledger: An open ledger; a forked child needs a new one.

    Raises:
        LedgerError: There is no room for temporary files.
    """

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        with ledger.reading() as connection:
            connection.execute(statements.CREATE_TOUCHED)

    def touch(self, entries: Iterable[Entry]) -> None:
        """Marks entries that the ledger has; others are ignored, and so are those that were marked before.

        Raises:
            LedgerError: There is no room for temporary files.
        """
        keys = [(storable(one.priced.call.end_ns), bytearray(one.id)) for one in entries]
        with self._ledger.reading() as connection:
            for _ in find(connection, statements.touch, keys):
                pass

    def standing(self) -> Iterator[Entry]:
        """The marked calls that are not reversed, by end time, then in the order they were appended.

        Reads 500 at a time. The entries come without their windows.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        seen = (BEFORE_ALL, 0)
        while True:
            with self._ledger.reading() as connection:
                page = connection.execute(statements.TOUCHED_PAGE, seen).fetchall()
            if not page:
                return
            seen = page[-1][:2]
            for row in page:
                yield entry_of(row[2:])
