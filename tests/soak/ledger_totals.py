"""What a ledger comes to, in a form that can be compared."""

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from spanbudget.exporter.ledger.sqlite import SqliteLedger


class Totals(NamedTuple):
    """Everything that two ledgers of the same spans must agree on.

    Attributes:
        windows: The rows of the running totals that are not all 0.
        calls: The standing calls: trace, span, cost, usage.
    """

    windows: list[tuple[Any, ...]]
    calls: list[tuple[Any, ...]]

    @property
    def span_ids(self) -> set[int]:
        """Span ids of the standing calls."""
        return {call[1] for call in self.calls}

    def requests(self, budget: str) -> int:
        """Requests of a budget over all its windows and children."""
        return sum(row[9] for row in self.windows if row[0] == budget)


COLUMNS = (
    "budget, child, period, start_ns, cost_usd, cost_pico, estimated_usd, estimated_pico, tokens, requests,"
    " unpriced"
)


def totals_of(path: Path) -> Totals:
    """Reads a ledger, and checks that its windows are the sums of its standing calls."""
    with closing(SqliteLedger(path)) as ledger:
        with ledger.reading() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM spend ORDER BY 1, 2, 3, 4").fetchall()
        standing = [entry.priced for entry in ledger.standing(0, 1 << 62, limit=1 << 30)]
    windows = [row for row in rows if any(row[4:])]
    calls = sorted(
        (one.call.trace_id, one.call.span_id, one.cost or 0, tuple(map(str, one.call.usage)))
        for one in standing
    )
    for budget in ("everything", "daily", "per-user"):
        own = [row for row in windows if row[0] == budget]
        assert sum(row[4] * 10**12 + row[5] for row in own) == sum(one.cost or 0 for one in standing), budget
        assert sum(row[8] for row in own) == sum(one.call.usage.total for one in standing), budget
        assert sum(row[9] for row in own) == len(standing), budget
    return Totals(windows, calls)
