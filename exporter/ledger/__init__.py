"""Durable ledgers: where the entries are kept, chosen by a URL."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from spanbudget.exporter.ledger.server_url import SCHEMES, shown
from spanbudget.processors.errors import LedgerError

if TYPE_CHECKING:
    from spanbudget.exporter.ledger.postgres import PostgresLedger
    from spanbudget.exporter.ledger.sqlite_holds import SqliteHoldLedger

DurableLedger: TypeAlias = "SqliteHoldLedger | PostgresLedger"
"""What a URL may name."""

_SUPPORTED = (
    "sqlite:///relative.db, sqlite:////absolute.db, sqlite:// (in memory),"
    " postgresql://user:password@host/database"
)


def url_of(place: str | Path) -> str:
    """The URL of a ledger that a person named, by a URL or by the file it is in."""
    return str(place) if "://" in str(place) else f"sqlite:///{Path(place).absolute()}"


def open_ledger(url: str, *, busy_timeout_seconds: float = 5.0, create: bool = True) -> DurableLedger:
    """Opens the ledger that a URL names, and creates or migrates it where needed.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `sqlite://` and `sqlite:///:memory:` for a
            ledger that is not kept; `postgresql://user:password@host/database` for one of a fleet.
        busy_timeout_seconds: How long to wait for another process that writes, 0 or more.
        create: Whether a ledger is made where there is none.

    Raises:
        LedgerError: The scheme is not supported, or the ledger cannot be used.
        LedgerSchemaError: A newer program wrote the ledger.
    """
    if is_server(url):
        return _open_server(url, busy_timeout_seconds, create=create)
    path = sqlite_path(url, create=create)
    # Only a ledger that is used is imported.
    from spanbudget.exporter.ledger.sqlite_holds import SqliteHoldLedger  # noqa: PLC0415 - loaded by the scheme

    return SqliteHoldLedger(path, busy_timeout_seconds=busy_timeout_seconds)


def is_server(url: str) -> bool:
    """Whether a URL names a ledger on a server."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme in SCHEMES


def sqlite_path(url: str, *, create: bool = True) -> str:
    """The file of a SQLite ledger's URL, or ":memory:".

    Raises:
        LedgerError: The scheme is not supported, or there is no such file and none is to be made.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise LedgerError(f"ledger {shown(url)!r}: cannot use this URL; supported are {_SUPPORTED}")
    if rest and not rest.startswith("/"):
        raise LedgerError(
            f"ledger {url!r}: write three slashes, sqlite:///{rest}; supported are {_SUPPORTED}"
        )
    path = rest[1:] or ":memory:"
    if not create and not Path(path).exists():
        raise LedgerError(f"ledger {path}: there is no such file; name one that is there")
    return path


def _open_server(url: str, busy_timeout_seconds: float, *, create: bool) -> "PostgresLedger":
    try:
        # Loaded by the scheme, and it needs a driver that not everybody installs.
        from spanbudget.exporter.ledger.postgres import PostgresLedger  # noqa: PLC0415
    except ImportError as error:
        raise LedgerError(
            f"ledger {shown(url)}: its driver cannot be loaded ({error}); pip install 'spanbudget[postgres]'"
        ) from error
    return PostgresLedger(url, busy_timeout_seconds=busy_timeout_seconds, create=create)
