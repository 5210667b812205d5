"""One connection to the ledger's database through SQLAlchemy: opened, lent, lost, opened again."""

import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from spanbudget.exporter.ledger.store import MEMORY, explained, open_store
from spanbudget.processors.errors import AlertStoreError, LedgerError

Insert = Callable[..., "sqlite.Insert | postgresql.Insert"]


class Database(ABC):
    """Lends one connection to one thread at a time, inside a transaction.

    A connection that is lost fails the call that finds out; the next one opens it again. A forked child opens
    one of its own at its first use, and never closes what it inherited.

    Attributes:
        name: What people call the ledger; without a password.
        insert: The insert of this database, which knows of conflicts.
    """

    name: str
    insert: Insert

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._inherited: list[Engine] = []
        self._closed = False
        self._engine = self._new_engine()
        with self.reading():  # opens it, and so tells what is wrong at once
            pass

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lends the connection inside a transaction that only reads.

        Raises:
            AlertStoreError: The database cannot be used.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lends the connection inside a transaction that is committed at the end, or leaves no trace.

        Raises:
            AlertStoreError: The database cannot be used, or refused.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    def close(self) -> None:
        """Closes the connection; closing twice does nothing."""
        with self._mine():
            self._closed = True
            self._engine.dispose()

    def pause(self, timeout_seconds: float) -> bool:
        """Keeps other threads out until this one calls `resume`; False when time ran out.

        A lock inside SQLite that another thread holds at a fork stays locked in the child for ever.
        """
        return self._mine().acquire(timeout=timeout_seconds)

    def resume(self) -> None:
        """Ends a `pause` of this thread."""
        self._lock.release()

    @abstractmethod
    def _new_engine(self) -> Engine:
        """An engine that opens one connection."""

    @abstractmethod
    def _explained(self, error: BaseException | None) -> LedgerError | None:
        """What an error of the driver means; None where it is not the driver's."""

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        with self._mine():
            if self._closed:
                raise AlertStoreError(f"ledger {self.name}: it is closed; open it again")
            try:
                with (
                    self._engine.connect() as connection,
                    connection.execution_options(writes=writes).begin(),
                ):
                    yield connection
            except LedgerError as error:
                raise AlertStoreError(str(error)) from error
            except DBAPIError as error:
                told = self._explained(error.orig)
                if told is None:
                    raise
                # Not from `error`, which shows what was bound.
                raise AlertStoreError(str(told)) from error.orig

    def _mine(self) -> threading.RLock:
        """The lock of this process."""
        if self._pid != os.getpid():
            self._inherited.append(self._engine)
            self._lock = threading.RLock()
            self._pid = os.getpid()
            self._engine = self._new_engine()
        return self._lock


class SqliteDatabase(Database):
    """A SQLite ledger, beside the ledger's own connection.

    Args:
        path: The file, created with mode 0600 where it is missing; ":memory:" for a database of its own.
        busy_timeout_seconds: How long to wait for another process that writes, 0 or more.

    Raises:
        LedgerError: The file cannot be used.
    """

    insert = staticmethod(sqlite.insert)

    def __init__(self, path: str, *, busy_timeout_seconds: float) -> None:
        self.name = path if path == MEMORY else str(Path(path).absolute())
        self._open = partial(open_store, self.name, busy_timeout_seconds=busy_timeout_seconds)
        super().__init__()

    def _new_engine(self) -> Engine:
        engine = new_engine("sqlite://", self._open)
        event.listen(engine, "begin", _begin)
        return engine

    def _explained(self, error: BaseException | None) -> LedgerError | None:
        return explained(self.name, error) if isinstance(error, sqlite3.Error) else None


def new_engine(url: str, creator: Callable[[], Any], **more: Any) -> Engine:
    """An engine of one connection, whose errors do not show what was bound."""
    return create_engine(
        url, creator=creator, poolclass=QueuePool, pool_size=1, max_overflow=0, hide_parameters=True, **more
    )


def _begin(connection: Connection) -> None:
    """Begins what the driver, in autocommit mode, does not; a writer excludes others from the start."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
