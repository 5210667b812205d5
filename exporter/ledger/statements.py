"""The SQL of the SQLite ledger, as text that is built from the names of `rows` and constants.

Statements for many rows come in few fixed sizes, so that each is prepared once for a connection. One
statement for many rows is one call into SQLite, and so one release of the interpreter's lock.
"""

from collections.abc import Iterator
from typing import Final

from spanbudget.exporter.ledger.rows import ABSENT, COUNTS, ENTRY_COLUMNS, OWN, RARE, SHAPE
from spanbudget.processors.money import PICO_PER_USD

APPEND_SIZES: Final = (256, 64, 16, 4, 1)
"""Rows of one insert into `entries`; 256 rows bind at most 7,168 of the 32,766 parameters SQLite allows."""

SPEND_SIZES: Final = (64, 8, 1)
"""Rows of one insert into `spend`."""

LOOKUP_SIZES: Final = (500, 64, 8, 1)
"""Values of one look-up."""

SPEND_KEY: Final = ("budget", "child", "period", "start_ns")
SPEND_TOTALS: Final = (
    *("cost_usd", "cost_pico", "estimated_usd", "estimated_pico", "tokens", "requests", "unpriced"),
)

CREATE_SHAPES: Final = f"CREATE TEMP TABLE shapes (shape INTEGER PRIMARY KEY, {', '.join(SHAPE)})"
INSERT_SHAPE: Final = f"INSERT OR REPLACE INTO temp.shapes VALUES ({', '.join('?' * (1 + len(SHAPE)))})"
FORGET_SHAPES: Final = "DELETE FROM temp.shapes"

_COLUMNS: Final = ", ".join(f"e.{column}" for column in ENTRY_COLUMNS)
STANDING: Final = (
    "e.kind = 'call' AND NOT EXISTS (SELECT 1 FROM entries AS r"
    " WHERE r.end_ns = e.end_ns AND r.id = CAST(substr(e.id, 1, 24) || x'01' AS BLOB))"
)

NEWEST_KEYS: Final = "SELECT end_ns, id FROM entries ORDER BY seq DESC LIMIT ?"

SEQ_RANGE: Final = "SELECT min(seq), max(seq) FROM entries WHERE end_ns >= ?1 AND (?2 IS NULL OR end_ns < ?2)"
SEQ_RANGE_ALL: Final = "SELECT (SELECT min(seq) FROM entries), (SELECT max(seq) FROM entries)"
ENTRY_PAGE: Final = (
    f"SELECT e.seq, {_COLUMNS} FROM entries AS e"
    " WHERE e.seq > ?1 AND e.seq <= ?2 AND e.end_ns >= ?3 AND (?4 IS NULL OR e.end_ns < ?4)"
    " ORDER BY e.seq LIMIT 500"
)

CREATE_TOUCHED: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS touched"
    " (end_ns INTEGER, seq INTEGER, PRIMARY KEY (end_ns, seq)) WITHOUT ROWID"
)
TOUCHED_PAGE: Final = (
    f"SELECT t.end_ns, t.seq, {_COLUMNS} FROM temp.touched AS t CROSS JOIN entries AS e ON e.seq = t.seq"
    f" WHERE (t.end_ns, t.seq) > (?, ?) AND {STANDING} ORDER BY t.end_ns, t.seq LIMIT 500"
)

SPEND_BY_CHILD: Final = (
    f"SELECT {', '.join((*SPEND_KEY, *SPEND_TOTALS))} FROM spend"
    " WHERE budget = ? AND period = ? AND start_ns BETWEEN ? AND ? ORDER BY child"
)
FORGET_SPEND: Final = "DELETE FROM spend WHERE budget = ? AND start_ns >= ?"
GET_META: Final = "SELECT value FROM meta WHERE key = ?"
SET_META: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def sizes(count: int, allowed: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Cuts `count` rows into pieces of allowed sizes, largest first: pairs of start and size."""
    start = 0
    for size in allowed:
        while count - start >= size:
            yield start, size
            start += size


def padded_size(count: int, allowed: tuple[int, ...]) -> int:
    """The smallest allowed size that holds `count` values."""
    return min(size for size in allowed if size >= count)


def _rows(width: int, count: int) -> str:
    row = "(" + ",".join("?" * width) + ")"
    return ",".join([row] * count)


def append_entries(rows: int, *, rare: bool) -> str:
    """The insert of entries; a row whose id the ledger has is left out.

    The left join makes a shape that is missing fail at the constraint on `kind`, loudly.
    """
    counts = (*COUNTS, *RARE) if rare else COUNTS
    chosen = [f"v.column{2 + index}" for index in range(len(OWN))]
    first = 2 + len(OWN)
    # The integer is written as an expression: the smallest int64 has no literal in SQLite.
    chosen += [f"nullif(v.column{first + index}, {ABSENT + 1} - 1)" for index in range(len(counts))]
    chosen += [f"s.{column}" for column in SHAPE]
    return (
        f"INSERT OR FAIL INTO entries ({', '.join((*OWN, *counts, *SHAPE))}) SELECT {', '.join(chosen)}"
        f" FROM (VALUES {_rows(1 + len(OWN) + len(counts), rows)}) AS v"
        " LEFT JOIN temp.shapes AS s ON s.shape = v.column1 WHERE true ON CONFLICT (end_ns, id) DO NOTHING"
    )


def append_spend(rows: int) -> str:
    """The upsert of totals, which answers with the new ones.

    An amount is whole USD and a remainder of 0 to 999,999,999,999 pico-USD, so that no total overflows; the
    carry is made here, in one statement, and is right for negative amounts because remainders never are.
    """
    updates = [f"{total} = {total} + excluded.{total}" for total in ("tokens", "requests", "unpriced")]
    for amount in ("cost", "estimated"):
        pico = f"({amount}_pico + excluded.{amount}_pico)"
        updates += [
            f"{amount}_usd = {amount}_usd + excluded.{amount}_usd + {pico} / {PICO_PER_USD}",
            f"{amount}_pico = {pico} % {PICO_PER_USD}",
        ]
    columns = ", ".join((*SPEND_KEY, *SPEND_TOTALS))
    return (
        f"INSERT INTO spend ({columns}) VALUES {_rows(len(SPEND_KEY) + len(SPEND_TOTALS), rows)}"
        f" ON CONFLICT ({', '.join(SPEND_KEY)}) DO UPDATE SET {', '.join(updates)} RETURNING {columns}"
    )


def find_spend(rows: int) -> str:
    """The look-up of totals by their keys."""
    wanted = " AND ".join(f"s.{column} = v.column{1 + index}" for index, column in enumerate(SPEND_KEY))
    columns = ", ".join(f"s.{column}" for column in (*SPEND_KEY, *SPEND_TOTALS))
    return (
        f"SELECT {columns} FROM (VALUES {_rows(len(SPEND_KEY), rows)}) AS v CROSS JOIN spend AS s ON {wanted}"
    )


STANDING_OF_TIME: Final = (
    f"SELECT {_COLUMNS} FROM entries AS e WHERE e.end_ns BETWEEN ? AND ? AND {STANDING}"
    " ORDER BY e.end_ns DESC LIMIT ?"
)


def touch(rows: int) -> str:
    """Marks entries by end and id; one that the ledger does not have marks nothing."""
    return (
        "INSERT OR IGNORE INTO temp.touched SELECT e.end_ns, e.seq"
        f" FROM (VALUES {_rows(2, rows)}) AS v CROSS JOIN entries AS e"
        " ON e.end_ns = v.column1 AND e.id = v.column2"
    )
