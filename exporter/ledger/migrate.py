"""Creates or migrates the schema of a ledger file, once, however many processes ask at the same time.

Imported only where a migration is due, because SQLAlchemy and Alembic take a third of a second to import.
"""

import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from spanbudget.exporter.ledger.store import SCHEMA_VERSION, schema_version

_SCRIPTS: Final = Path(__file__).parent / "migrations"


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
                config = Config()
                config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
                # A statement through SQLAlchemy tells it, and so Alembic, that a transaction is open.
                connection.exec_driver_sql("SELECT 1")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            raw.execute("COMMIT")
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from None
            raise
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
