"""The connection to a PostgreSQL ledger through SQLAlchemy."""

from functools import partial

import psycopg
from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql

from spanbudget.exporter.alert_store.database import Database, new_engine
from spanbudget.exporter.ledger.postgres_store import Connection, explained, open_store
from spanbudget.exporter.ledger.server_url import shown
from spanbudget.processors.errors import LedgerError


class PostgresDatabase(Database):
    """A PostgreSQL ledger, beside the ledger's own connection.

    Args:
        url: `postgresql://user:password@host/database`.
        busy_timeout_seconds: How long to wait for a lock that another process holds, 0 or more.
        create: Whether tables are created where there are none.

    Raises:
        LedgerError: The ledger cannot be used.
    """

    insert = staticmethod(postgresql.insert)

    def __init__(self, url: str, *, busy_timeout_seconds: float, create: bool) -> None:
        self.name = shown(url)
        self._open = partial(open_store, url, busy_timeout_seconds=busy_timeout_seconds, create=create)
        super().__init__()

    def _new_engine(self) -> Engine:
        # Each statement sees what was committed before it, whatever the server's default is: so a commit that
        # has waited for the lease sees the owner that it has now.
        return new_engine("postgresql+psycopg://", self._connect, isolation_level="READ COMMITTED")

    def _connect(self) -> Connection:
        connection = self._open()
        connection.autocommit = False
        return connection

    def _explained(self, error: BaseException | None) -> LedgerError | None:
        return explained(self.name, error) if isinstance(error, psycopg.Error) else None
