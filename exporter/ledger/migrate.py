"""Creates or migrates the schema of a ledger, once, however many processes ask at the same time.

Imported only where a migration is due, because SQLAlchemy and Alembic take a third of a second to import.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from spanbudget.exporter.ledger.store import SCHEMA_VERSION, schema_version

if TYPE_CHECKING:
    import psycopg

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x7370616E62756467
"""What processes that migrate one database lock: "spanbudg" in ASCII."""


def migrate(raw: sqlite3.Connection) -> None:
    """Brings the schema to `SCHEMA_VERSION` in one transaction that excludes every other writer.

    Args:
        raw: A connection in autocommit mode, outside a transaction; it stays open and so.

    Raises:
        sqlite3.Error: The file cannot be written or stays locked; nothing was changed.
    """
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
    with engine.connect() as connection:
        raw.execute("BEGIN IMMEDIATE")
        try:
            if schema_version(raw) != SCHEMA_VERSION:
                _upgrade(connection)
            raw.execute("COMMIT")
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from None
            raise
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")


def migrate_server(raw: "psycopg.Connection[Any]", version: Callable[[], int | None]) -> None:
    """Brings the schema of a PostgreSQL database to `SCHEMA_VERSION` in one transaction.

    Args:
        raw: A connection in autocommit mode, outside a transaction; it stays open and so.
        version: Tells the version of the schema; a newer one is left as it is.

    Raises:
        psycopg.Error: The database cannot be changed or stays locked; nothing was changed.
    """
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None
    )
    with engine.connect() as connection, raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if (version() or 0) >= SCHEMA_VERSION:
            return
        try:
            _upgrade(connection)
        except DBAPIError as error:
            if error.orig is not None:
                raise error.orig from None
            raise


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    # A statement through SQLAlchemy tells it, and so Alembic, that a transaction is open.
    connection.exec_driver_sql("SELECT 1")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
