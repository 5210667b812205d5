"""What a person asks about a whole ledger: which models have no price, and whether the file is sound."""

from dataclasses import dataclass
from typing import Any

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.rows import plain
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, schema_version


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """A model whose calls could not be priced.

    Attributes:
        model: The normalised model; None where the calls do not tell.
        provider: The normalised provider; None where unknown.
        calls: Standing calls, 1 or more.
        tokens: All their known tokens.
        last_seen_ns: When the last of them ended, nanoseconds since the epoch.
    """

    model: str | None
    provider: str | None
    calls: int
    tokens: int
    last_seen_ns: int


def unpriced_models(ledger: SqliteLedger, since_ns: int = 0) -> list[UnpricedModel]:
    """The models without a price among the standing calls that ended at or after a time, most calls first.

    Args:
        ledger: An open ledger.
        since_ns: Nanoseconds since the epoch.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with ledger.reading() as connection:
        rows = connection.execute(statements.UNPRICED_MODELS, (since_ns,)).fetchall()
    return [UnpricedModel(*_plain(row)) for row in rows]


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(plain(value) for value in row)


def integrity(ledger: SqliteLedger) -> list[str]:
    """What is wrong with the file, one line each; empty where it is sound.

    Checks SQLite's own structure and the version of the schema. It reads the whole file.

    Raises:
        LedgerError: The file is too damaged to be checked.
    """
    with ledger.reading() as connection:
        problems = [str(line) for (line,) in connection.execute("PRAGMA quick_check") if line != "ok"]
        version = schema_version(connection)
    if version != SCHEMA_VERSION:
        problems.append(f"the schema has version {version}, this program writes {SCHEMA_VERSION}")
    return [f"ledger {ledger.path}: {problem}" for problem in problems]
