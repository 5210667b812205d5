"""The connection to PostgreSQL that the threads of one process share: opened, lent, lost, opened again."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from spanbudget.exporter.ledger.postgres_store import Connection, Statement, explained, open_store
from spanbudget.exporter.ledger.server_url import shown
from spanbudget.processors.errors import LedgerError

_T = TypeVar("_T")
BEGIN: Final = Statement(b"BEGIN ISOLATION LEVEL READ COMMITTED")
"""Each statement sees what was committed before it, whatever the server's default is: see `take`."""
COMMIT: Final = Statement(b"COMMIT")

TRIES_MAX: Final = 5
"""How often a transaction is tried that the server breaks off because it is in the way of another one."""
_PAUSE_SECONDS_MAX: Final = 0.02
_CONFLICTS: Final = (errors.DeadlockDetected, errors.SerializationFailure)
SCAN_SECONDS: Final = 600
"""How long one statement may take that reads a whole ledger."""
_SCAN_LONG: Final = Statement(f"SET LOCAL statement_timeout = '{SCAN_SECONDS}s'".encode())
_DID_COMMIT: Final = b"SELECT pg_xact_status(%s::xid8)"


class Doubt(NamedTuple):
    """A transaction that was reported as failed and may have been committed.

    Attributes:
        transaction: Its number on the server.
        undo: Takes back what it did.
    """

    transaction: str
    undo: Sequence[Statement]


class PostgresSession:
    """Lends one connection to one thread at a time.

    A connection that is lost fails the call that finds out; the next one opens it again. A forked child opens
    one of its own at its first use, and never closes what it inherited.

    Args:
        url: `postgresql://user:password@host/database`.
        busy_timeout_seconds: How long to wait for a lock that another process holds, 0 or more.
        create: Whether tables are created where there are none.

    Raises:
        LedgerError: The ledger cannot be used; the message says why and what to do.
        LedgerSchemaError: A newer program wrote it; nothing in it was touched.
    """

    def __init__(self, url: str, *, busy_timeout_seconds: float, create: bool = True) -> None:
        self.name = shown(url)
        self._open: Callable[[], Connection] = partial(
            open_store, url, busy_timeout_seconds=busy_timeout_seconds, create=create
        )
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._inherited: list[Connection | None] = []
        self._closed = False
        self._doubts: list[Doubt] = []
        self._connection: Connection | None = self._open()

    def doubt(self, transaction: str, undo: Sequence[Statement]) -> None:
        """Remembers a transaction whose end was not seen; the next use undoes it where it was committed."""
        self._doubts.append(Doubt(transaction, undo))

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lends the connection, rolls back what was not committed, and explains the errors of PostgreSQL."""
        with self._mine():
            connection = self._connected()
            try:
                if self._doubts:
                    self._clear_doubts(connection)
                yield connection
            except psycopg.Error as error:
                raise explained(self.name, error) from error
            finally:
                self._tidy(connection)

    @contextmanager
    def scanning(self, *first: Statement) -> Iterator[Connection]:
        """Lends the connection inside a transaction whose statements may read a whole ledger.

        It is committed at the end, or leaves no trace.

        Args:
            first: Statements that it begins with, such as locks.
        """
        with self.lend() as connection, connection.patient(2 * SCAN_SECONDS):
            connection.run(BEGIN, _SCAN_LONG, *first)
            yield connection
            connection.run(COMMIT)

    def transact(self, work: Callable[[Connection], _T]) -> _T:
        """Does work that is one transaction, and again where the server broke it off for another one.

        Args:
            work: Begins and commits by itself, so that both can travel with other statements.
        """
        for _ in range(TRIES_MAX - 1):
            with self.lend() as connection, contextlib.suppress(*_CONFLICTS):
                return work(connection)
            # Not in step with the other one; no secret depends on it.
            time.sleep(random.uniform(0, _PAUSE_SECONDS_MAX))  # noqa: S311
        with self.lend() as connection:
            return work(connection)

    def close(self) -> None:
        """Closes the connection; closing twice does nothing."""
        with self._mine():
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _connected(self) -> Connection:
        if self._closed:
            raise LedgerError(f"ledger {self.name}: it is closed; open it again")
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _clear_doubts(self, connection: Connection) -> None:
        """Undoes what was committed after all; what the server has not ended yet is asked for again.

        A doubt is dropped before its undoing is sent: where that is lost too, too much stays held, never too
        little.
        """
        for doubt in tuple(self._doubts):
            status: Any = None
            # The number is unknown to a server that took over without the transaction.
            with contextlib.suppress(errors.DataError):
                row = connection.execute(_DID_COMMIT, (doubt.transaction,)).fetchone()
                status = row and row[0]
            if status == "in progress":
                continue
            self._doubts.remove(doubt)
            if status == "committed":
                connection.run(BEGIN, *doubt.undo, COMMIT)

    def _tidy(self, connection: Connection) -> None:
        """Rolls back what is open, and forgets a connection that is lost or in an unknown state."""
        if connection.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
            try:
                connection.rollback()
            except psycopg.Error:
                connection.close()
        if connection.closed:
            connection.close()
            self._connection = None

    def _mine(self) -> threading.RLock:
        """The lock of this process; a forked child drops what it inherited, and never closes it."""
        if self._pid != os.getpid():
            self._inherited.append(self._connection)
            self._connection = None
            self._lock = threading.RLock()
            self._doubts = []
            self._pid = os.getpid()
        return self._lock
