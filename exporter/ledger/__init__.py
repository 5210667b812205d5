"""Durable ledgers: where the entries are kept, chosen by a URL."""

from typing import TYPE_CHECKING

from spanbudget.processors.errors import LedgerError

if TYPE_CHECKING:
    from spanbudget.exporter.ledger.sqlite import SqliteLedger

_SUPPORTED = "sqlite:///relative.db, sqlite:////absolute.db, sqlite:// (in memory)"


def open_ledger(url: str, *, busy_timeout_seconds: float = 5.0) -> "SqliteLedger":
    """Opens the ledger that a URL names, and creates or migrates it where needed.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `sqlite://` and `sqlite:///:memory:` for a
            ledger that is not kept.
        busy_timeout_seconds: How long to wait for another process that writes, 0 or more.

    Raises:
        LedgerError: The scheme is not supported, or the ledger cannot be used.
        LedgerSchemaError: A newer program wrote the ledger.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise LedgerError(f"ledger {url!r}: cannot use this URL; supported are {_SUPPORTED}")
    if rest and not rest.startswith("/"):
        raise LedgerError(
            f"ledger {url!r}: write three slashes, sqlite:///{rest}; supported are {_SUPPORTED}"
        )
    # Only a ledger that is used is imported.
    from spanbudget.exporter.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - loaded by the scheme

    return SqliteLedger(rest[1:] or ":memory:", busy_timeout_seconds=busy_timeout_seconds)
