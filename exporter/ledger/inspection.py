"""What a person asks about a whole ledger: its models, and whether the file is sound."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from spanbudget.exporter.ledger import statements
from spanbudget.exporter.ledger.rows import plain
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, schema_version

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODEL_USES: Final = (
    "SELECT e.model, e.provider, count(*), sum(e.cost_pico IS NULL),"
    " sum(coalesce(e.input_tokens, 0) + coalesce(e.cache_read_tokens, 0)"
    " + coalesce(e.cache_write_tokens, 0) + coalesce(e.output_tokens, 0)), max(e.end_ns)"
    f" FROM entries AS e WHERE e.end_ns >= ? AND {statements.STANDING}"
    " GROUP BY e.model, e.provider ORDER BY 3 DESC, 1, 2"
)


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What the calls of one model come to.

    Attributes:
        model: The normalised model; None where the calls do not tell.
        provider: The normalised provider; None where unknown.
        calls: Standing calls, 1 or more.
        without_cost: Those of them that were booked without a cost, for want of a price or of their tokens.
        tokens: All their known tokens.
        last_seen_ns: When the last of them ended, nanoseconds since the epoch.
    """

    model: str | None
    provider: str | None
    calls: int
    without_cost: int
    tokens: int
    last_seen_ns: int


class InspectedLedger(Protocol):
    """A ledger that answers for itself."""

    def model_uses(self, since_ns: int) -> "Sequence[Sequence[Any]]":
        """Rows of the values of `ModelUse`, most calls first."""
        ...


def model_uses(ledger: SqliteLedger | InspectedLedger, since_ns: int = 0) -> list[ModelUse]:
    """The models of the standing calls that ended at or after a time, most calls first.

    Args:
        ledger: An open ledger.
        since_ns: Nanoseconds since the epoch.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if not isinstance(ledger, SqliteLedger):
        return [ModelUse(*row) for row in ledger.model_uses(since_ns)]
    with ledger.reading() as connection:
        rows = connection.execute(_MODEL_USES, (since_ns,)).fetchall()
    return [ModelUse(*_plain(row)) for row in rows]


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
