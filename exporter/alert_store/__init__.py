"""What rules keep in the ledger's database: who evaluates, states of alerts, what was told, the outbox."""

from typing import TYPE_CHECKING

from spanbudget.exporter.ledger import is_server, sqlite_path
from spanbudget.exporter.ledger.server_url import shown
from spanbudget.processors.errors import AlertStoreError, LedgerError

if TYPE_CHECKING:
    from spanbudget.exporter.alert_store.store import SqlAlertStore


def open_alert_store(url: str, *, busy_timeout_seconds: float = 5.0, create: bool = True) -> "SqlAlertStore":
    """Opens what rules keep in the ledger that a URL names, and creates or migrates the ledger where needed.

    It has a connection of its own, and is imported only here, because SQLAlchemy is heavy.

    Args:
        url: As for `open_ledger`; one in memory gives a store in memory of its own.
        busy_timeout_seconds: How long to wait for another process that writes, 0 or more.
        create: Whether a ledger is made where there is none.

    Raises:
        AlertStoreError: The ledger cannot be used; the message says why and what to do.
    """
    from spanbudget.exporter.alert_store.database import SqliteDatabase  # noqa: PLC0415 - see above
    from spanbudget.exporter.alert_store.store import SqlAlertStore  # noqa: PLC0415

    try:
        if not is_server(url):
            path = sqlite_path(url, create=create)
            return SqlAlertStore(SqliteDatabase(path, busy_timeout_seconds=busy_timeout_seconds))
        try:
            # It needs a driver that not everybody installs.
            from spanbudget.exporter.alert_store.postgres import PostgresDatabase  # noqa: PLC0415
        except ImportError as error:
            way_out = "pip install 'spanbudget[postgres]'"
            raise AlertStoreError(
                f"ledger {shown(url)}: its driver cannot be loaded ({error}); {way_out}"
            ) from error
        return SqlAlertStore(PostgresDatabase(url, busy_timeout_seconds=busy_timeout_seconds, create=create))
    except LedgerError as error:
        raise AlertStoreError(str(error)) from error
