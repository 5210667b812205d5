"""The durable ledger of one machine: a SQLite file that many processes append to."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.lookup import find
from spanbudget.exporter.ledger.rows import Encoder, Value, entry_of, has_rare, plain, storable
from spanbudget.exporter.ledger.sqlite_recount import SqliteRecount
from spanbudget.exporter.ledger.statements import APPEND_SIZES, SPEND_SIZES, sizes
from spanbudget.exporter.ledger.store import MEMORY, explained, open_store
from spanbudget.exporter.ledger.totals import change_rows, split, total_of
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.ledger import NO_SPEND, Appended, Entry, Spend, SpendKey

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1


class SqliteLedger:
    """A `Ledger` in a SQLite file, in write-ahead mode; see the protocol for what each method promises.

    Committed entries survive `kill -9` of every process; a power cut may take the commits since the last
    checkpoint (`synchronous=NORMAL`). Many processes may append to one file. The threads of one process may
    share one ledger, and then wait for each other. A forked child opens the file anew at its first use.

    Args:
        path: The file, created with mode 0600 where it is missing; ":memory:" for one that is not kept.
        busy_timeout_seconds: How long to wait for another process that writes, 0 or more.

    Raises:
        LedgerError: The file cannot be used; the message says why and what to do.
        LedgerSchemaError: A newer program wrote the file; nothing in it was touched.
    """

    def __init__(self, path: str | Path, *, busy_timeout_seconds: float = 5.0) -> None:
        self.path = MEMORY if str(path) == MEMORY else str(Path(path).absolute())
        self._busy_timeout_seconds = busy_timeout_seconds
        self._lock = threading.RLock()
        self._encoder = Encoder()
        self._pid = os.getpid()
        self._inherited: list[sqlite3.Connection | None] = []
        self._connection: sqlite3.Connection | None = self._open()
        self._append_sql = {
            (size, rare): statements.append_entries(size, rare=rare)
            for size in APPEND_SIZES
            for rare in (False, True)
        }
        self._spend_sql = {size: statements.append_spend(size) for size in SPEND_SIZES}

    def append(self, entries: Sequence[Entry]) -> Appended:
        """See `Ledger.append`."""
        return self.append_and(entries, None) if entries else Appended(frozenset(), {})

    def append_and(
        self, entries: Sequence[Entry], more: Callable[[sqlite3.Connection], None] | None
    ) -> Appended:
        """Appends entries, and does something else in the same transaction."""
        try:
            return self._append(entries, None, more)
        except (OverflowError, UnicodeEncodeError):
            return self._append(entries, storable, more)

    def standing(self, since_ns: int, until_ns: int, *, limit: int) -> list[Entry]:
        """See `Ledger.standing`."""
        times = (max(since_ns, _INT64_MIN), min(until_ns, _INT64_MAX))
        with self.reading() as connection:
            rows = connection.execute(statements.STANDING_OF_TIME, (*times, limit)).fetchall()
        return [entry_of(row) for row in reversed(rows)]

    def spend(self, keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
        """See `Ledger.spend`."""
        wanted = [tuple(storable(part) for part in key) for key in keys]
        with self.reading() as connection:
            return dict(map(total_of, find(connection, statements.find_spend, wanted)))

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget that has any, by child; a plain budget is the child "".

        Args:
            budget: Name of the budget.
            period: Canonical text of its period.
            first_ns: Start of the first window that is summed.
            last_ns: Start of the last window that is summed.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self.reading() as connection:
            rows = connection.execute(
                statements.SPEND_BY_CHILD, (budget, period, first_ns, last_ns)
            ).fetchall()
        spends: dict[str, Spend] = {}
        for key, spend in map(total_of, rows):
            spends[key.child] = spends.get(key.child, NO_SPEND).plus(spend)
        return spends

    def entries(self, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Entry]:
        """See `Ledger.entries`; the entries come without their windows, which the ledger does not keep.

        Reads 500 at a time and holds no transaction in between, so a slow reader stops no writer. What is
        appended after the first entry was read does not come.
        """
        everything = since_ns <= 0 and until_ns is None
        with self.reading() as connection:
            if everything:
                [(first, last)] = connection.execute(statements.SEQ_RANGE_ALL).fetchall()
            else:
                [(first, last)] = connection.execute(statements.SEQ_RANGE, (since_ns, until_ns)).fetchall()
        if first is None:
            return
        seen = first - 1
        while seen < last:
            with self.reading() as connection:
                page = connection.execute(statements.ENTRY_PAGE, (seen, last, since_ns, until_ns)).fetchall()
            if not page:
                return
            seen = page[-1][0]
            for row in page:
                yield entry_of(row[1:])

    def noted(self, keys: Iterable[str]) -> dict[str, str]:
        """See `backfill.RecountedLedger.noted`."""
        with self.reading() as connection:
            return SqliteRecount(self, connection).noted(keys)

    @contextmanager
    def recounting(self) -> Iterator[SqliteRecount]:
        """See `backfill.RecountedLedger.recounting`."""
        with self.writing() as connection:
            yield SqliteRecount(self, connection)

    def close(self) -> None:
        """See `Ledger.close`."""
        with self._mine():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lends the connection to one reader at a time, and explains the errors of SQLite."""
        with self._mine():
            connection = self._connection
            if connection is None:
                raise LedgerError(f"ledger {self.path}: it is closed; open it again")
            try:
                yield connection
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lends the connection inside a transaction that is committed at the end, or leaves no trace."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _append(
        self,
        entries: Sequence[Entry],
        fit: Callable[[Value], Value] | None,
        more: Callable[[sqlite3.Connection], None] | None,
    ) -> Appended:
        with self._mine():
            try:
                with self.writing() as connection:
                    if more is not None:
                        more(connection)
                    fresh = self._insert(connection, entries, fit)
                    counted, duplicates = (
                        (entries, frozenset[bytes]()) if fresh is None else split(entries, fresh)
                    )
                    rows = change_rows(counted)
                    spend = self.add_spend(
                        connection, rows if fit is None else [(*map(fit, row),) for row in rows]
                    )
            except BaseException:
                self._forget_shapes()
                raise
            if duplicates:
                spend = {
                    **self.spend({key for entry in entries for key in entry.windows} - spend.keys()),
                    **spend,
                }
            return Appended(duplicates, spend)

    def _insert(
        self, connection: sqlite3.Connection, entries: Sequence[Entry], fit: Callable[[Value], Value] | None
    ) -> set[tuple[int, bytes]] | None:
        """Inserts entries; None where all of them were new, or else the ends and ids of those that were."""
        if self._encoder.full(len(entries)) or fit is not None:
            self._forget_shapes()
        rare = has_rare(entries)
        inserted = 0
        # Each piece is encoded just before it is bound, while its values are in the processor's cache.
        for start, size in sizes(len(entries), APPEND_SIZES):
            params = self._encoder.encode(entries[start : start + size], rare=rare)
            for shape in self._encoder.fresh:
                connection.execute(statements.INSERT_SHAPE, shape if fit is None else (*map(fit, shape),))
            self._encoder.fresh.clear()
            piece = params if fit is None else [*map(fit, params)]
            inserted += connection.execute(self._append_sql[size, rare], piece).rowcount
        if inserted == len(entries):
            return None
        newest = connection.execute(statements.NEWEST_KEYS, (inserted,))
        return {(int(plain(end_ns) or 0), key) for end_ns, key in newest}

    def _forget_shapes(self) -> None:
        """Empties the table of shapes; after a rollback too, which took out the shapes that it had gained."""
        self._encoder.forget()
        with self.reading() as connection:
            connection.execute(statements.FORGET_SHAPES)

    def add_spend(
        self, connection: sqlite3.Connection, rows: list[tuple[Value, ...]]
    ) -> dict[SpendKey, Spend]:
        """Adds rows of `change_rows` to the totals, inside a transaction of `writing`."""
        totals: dict[SpendKey, Spend] = {}
        for start, size in sizes(len(rows), SPEND_SIZES):
            params = [value for row in rows[start : start + size] for value in row]
            totals.update(map(total_of, connection.execute(self._spend_sql[size], params).fetchall()))
        return totals

    def _open(self) -> sqlite3.Connection:
        connection = open_store(self.path, busy_timeout_seconds=self._busy_timeout_seconds)
        try:
            connection.execute(statements.CREATE_SHAPES)
        except sqlite3.Error as error:
            connection.close()
            raise explained(self.path, error) from error
        return connection

    def _mine(self) -> threading.RLock:
        """The lock of this process; a forked child drops what it inherited, and never closes it."""
        if self._pid != os.getpid():
            self._inherited.append(self._connection)
            self._lock = threading.RLock()
            self._encoder = Encoder()
            self._pid = os.getpid()
            if self._connection is not None:
                self._connection = self._open()
        return self._lock
