"""The standing calls of a ledger as plain values, the newest first, many at a time: what analyses read."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from spanbudget.exporter.ledger.rows import plain
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.statements import STANDING

PAGE_ROWS: Final = 5_000
"""Rows of one page: no transaction lasts longer than reading them, about 50 ms."""
UNKNOWN: Final = -1
"""Stands for a count or an amount that is not known, or that is beyond what anybody believes."""
FIRST: Final = b""
"""Before the id of every call."""

TEXTS: Final = (
    *("provider", "model", "request_model", "response_model", "operation", "tier", "error_type"),
    *("finish_reason", "reasons", "labels"),
)
FLAGS: Final = ("aggregate", "failed", "interactive", "deterministic")
HASHES: Final = ("prompt_hash", "prefix_hash")
NUMBERS: Final = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens"),
    *("cache_write_1h_tokens", "output_tokens", "reasoning_tokens"),
    *("cost_pico", "cost_input_pico", "cost_cache_read_pico", "cost_cache_write_pico", "cost_output_pico"),
)
PAGE_COLUMNS: Final = ("id", "end_ns", "start_ns", "parent_id", *TEXTS, *FLAGS, *HASHES, *NUMBERS)
"""Columns of a page: `NUMBERS` and `start_ns` are `UNKNOWN` where they are not known, the others None."""
_TEXT_PLACES: Final = slice(4, 4 + len(TEXTS))


def _believed(column: str) -> str:
    return f"CASE typeof(e.{column}) WHEN 'integer' THEN e.{column} ELSE {UNKNOWN} END"


_PAGE: Final = (
    f"SELECT e.id, e.end_ns, {_believed('start_ns')}, e.parent_id,"
    f" {', '.join(f'e.{column}' for column in (*TEXTS, *FLAGS, *HASHES))},"
    f" {', '.join(map(_believed, NUMBERS))} FROM entries AS e"
    f" WHERE e.end_ns >= ? AND (e.end_ns, e.id) < (?, ?) AND {STANDING}"
    " ORDER BY e.end_ns DESC, e.id DESC LIMIT ?"
)


class PagedLedger(Protocol):
    """A ledger that gives pages of calls itself."""

    def call_page(self, since_ns: int, until_ns: int, before: bytes, limit: int) -> Sequence[Sequence[Any]]:
        """See `call_pages`: calls that ended since a moment, and before another one and an id."""
        ...


def call_pages(
    ledger: SqliteLedger | PagedLedger, since_ns: int, until_ns: int, page_rows: int = PAGE_ROWS
) -> Iterator[Sequence[Sequence[Any]]]:
    """Pages of the calls that ended in `[since_ns, until_ns)` and were not reversed, the newest first.

    Nothing is held between two pages, so a slow reader stops no writer; what is appended meanwhile may come.

    Args:
        ledger: An open ledger.
        since_ns: Nanoseconds since the epoch, 0 or more.
        until_ns: Nanoseconds since the epoch.
        page_rows: Most rows of a page, 1 or more.

    Yields:
        Rows of the values of `PAGE_COLUMNS`; a page is never empty.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    before = FIRST
    while True:
        page = _page(ledger, since_ns, until_ns, before, page_rows)
        if page:
            yield page
        if len(page) < page_rows:
            return
        before, until_ns = page[-1][:2]


def _page(
    ledger: SqliteLedger | PagedLedger, since_ns: int, until_ns: int, before: bytes, limit: int
) -> Sequence[Sequence[Any]]:
    if not isinstance(ledger, SqliteLedger):
        return ledger.call_page(since_ns, until_ns, before, limit)
    with ledger.reading() as connection:
        rows = connection.execute(_PAGE, (since_ns, until_ns, before, limit)).fetchall()
    return [
        row if bytes not in map(type, row[_TEXT_PLACES]) else (row[0], *map(plain, row[1:])) for row in rows
    ]
