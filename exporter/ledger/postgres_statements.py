"""The SQL of the PostgreSQL ledger, as bytes that are built from the names of `rows` and constants.

Each statement takes any number of rows, as one array for each column; `postgres_values` writes the arrays.
"""

from collections.abc import Sequence
from typing import Final

from spanbudget.exporter.ledger.call_pages import FLAGS, HASHES, NUMBERS, TEXTS, UNKNOWN
from spanbudget.exporter.ledger.hold_statements import DOCUMENTS_VERSION
from spanbudget.exporter.ledger.rows import ABSENT, COUNTS, ENTRY_COLUMNS, OWN, RARE, SHAPE
from spanbudget.exporter.ledger.statements import SPEND_KEY, SPEND_TOTALS
from spanbudget.processors.money import PICO_PER_USD

ENTRY_ID_BYTES: Final = 25
_FLAGS: Final = ("aggregate", "failed", "interactive", "deterministic")
"""Columns of `SHAPE` that are integers."""
_AMOUNT: Final = ("cost_usd", "cost_pico", "tokens", "requests")
_MEASURES: Final = ("cost", "tokens", "requests")

_COLUMNS: Final = ", ".join(f"e.{column}" for column in ENTRY_COLUMNS)
_STANDING: Final = (
    "e.kind = 'call' AND NOT EXISTS (SELECT 1 FROM entries AS r"
    " WHERE r.end_ns = e.end_ns AND r.id = substr(e.id, 1, 24) || '\\x01'::bytea)"
)
_KEY: Final = ", ".join(SPEND_KEY)
_SPEND: Final = ", ".join((*SPEND_KEY, *SPEND_TOTALS))
SHAPE_KINDS: Final = "i" + "".join("i" if column in _FLAGS else "t" for column in SHAPE)
SPEND_KINDS: Final = "kkk" + "i" * (1 + len(SPEND_TOTALS))
SPEND_KEY_KINDS: Final = "kkki"
HOLD_KINDS: Final = "kk" + "i" * len(_AMOUNT)
RATE_KINDS: Final = "kk" + "i" * len(_MEASURES)
DEMAND_KINDS: Final = "kkkii"


def _unnest(types: Sequence[str]) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)})"


def insert_entries(*, rare: bool) -> bytes:
    """The insert of entries; a row whose end and id the ledger has is left out.

    Takes the ids as one string of bytes, then numbers of shapes, the other columns of `OWN` and the counts,
    then the shapes; last, how many rows there are. Answers with how many are new, and, where not all are,
    with these as `end hex`. The left join makes a shape that is missing fail at the constraint on `kind`.
    """
    counts = (*COUNTS, *RARE) if rare else COUNTS
    own = OWN[1:]
    own_types = ("numeric", "numeric", "bigint", "text", "text")
    given = _unnest(("int", *own_types, *("numeric",) * len(counts)))
    shapes = _unnest(("int", *("int" if column in _FLAGS else "text" for column in SHAPE)))
    chosen = [f"v.{column}" for column in own]
    chosen += [f"nullif(v.{column}, {ABSENT})" for column in counts]
    chosen += [f"s.{column}" for column in SHAPE]
    return (
        f"WITH fresh AS (INSERT INTO entries (id, {', '.join((*own, *counts, *SHAPE))})"
        f" SELECT substr(%s::bytea, v.n::int * {ENTRY_ID_BYTES} - {ENTRY_ID_BYTES - 1}, {ENTRY_ID_BYTES}),"
        f" {', '.join(chosen)} FROM {given} WITH ORDINALITY AS v(shape, {', '.join((*own, *counts))}, n)"
        f" LEFT JOIN {shapes} AS s(shape, {', '.join(SHAPE)}) ON s.shape = v.shape ORDER BY v.n"
        " ON CONFLICT (end_ns, id) DO NOTHING RETURNING end_ns, id)"
        " SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(end_ns || ' ' || encode(id, 'hex')) END"
        " FROM fresh"
    ).encode()


def _add_spend() -> bytes:
    """The upsert of totals, which answers with the new ones; see `statements.append_spend` for the carry."""
    updates = [f"{total} = s.{total} + excluded.{total}" for total in ("tokens", "requests", "unpriced")]
    for amount in ("cost", "estimated"):
        pico = f"(s.{amount}_pico + excluded.{amount}_pico)"
        updates += [
            f"{amount}_usd = s.{amount}_usd + excluded.{amount}_usd + {pico} / {PICO_PER_USD}",
            f"{amount}_pico = mod({pico}, {PICO_PER_USD})",
        ]
    given = _unnest((*("text",) * 3, "numeric", *("bigint",) * len(SPEND_TOTALS)))
    returned = ", ".join(f"s.{column}" for column in (*SPEND_KEY, *SPEND_TOTALS))
    return (
        f"INSERT INTO spend AS s ({_SPEND}) SELECT * FROM {given}"
        f" ON CONFLICT ({_KEY}) DO UPDATE SET {', '.join(updates)} RETURNING {returned}"
    ).encode()


ADD_SPEND: Final = _add_spend()
FIND_SPEND: Final = (
    f"SELECT {_SPEND} FROM spend"
    f" JOIN {_unnest(('text', 'text', 'text', 'numeric'))} AS v({_KEY}) USING ({_KEY})"
).encode()
SPEND_BY_CHILD: Final = (
    f"SELECT {_SPEND} FROM spend WHERE budget = %s AND period = %s AND start_ns BETWEEN %s AND %s"
    ' ORDER BY child COLLATE "C"'
).encode()

STANDING_OF_TIME: Final = (
    f"SELECT {_COLUMNS} FROM entries AS e WHERE e.end_ns BETWEEN %s AND %s AND {_STANDING}"
    " ORDER BY e.end_ns DESC, e.seq DESC LIMIT %s"
).encode()
SEQ_RANGE: Final = (
    b"SELECT min(seq), max(seq) FROM entries"
    b" WHERE end_ns >= %s AND (%s::numeric IS NULL OR end_ns < %s::numeric)"
)
SEQ_RANGE_ALL: Final = b"SELECT min(seq), max(seq) FROM entries"
ENTRY_PAGE: Final = (
    f"SELECT e.seq, {_COLUMNS} FROM entries AS e WHERE e.seq > %s AND e.seq <= %s AND e.end_ns >= %s"
    " AND (%s::numeric IS NULL OR e.end_ns < %s::numeric) ORDER BY e.seq LIMIT 500"
).encode()

CREATE_TOUCHED: Final = (
    b"CREATE TEMP TABLE IF NOT EXISTS touched (end_ns numeric, seq bigint, PRIMARY KEY (end_ns, seq))"
)
TOUCH: Final = (
    b"INSERT INTO pg_temp.touched SELECT e.end_ns, e.seq"
    b" FROM unnest(%s::numeric[], %s::bytea[]) AS v(end_ns, id)"
    b" JOIN entries AS e USING (end_ns, id) ON CONFLICT DO NOTHING"
)
TOUCHED_PAGE: Final = (
    f"SELECT t.end_ns, t.seq, {_COLUMNS} FROM pg_temp.touched AS t JOIN entries AS e ON e.seq = t.seq"
    f" WHERE (t.end_ns, t.seq) > (%s::numeric, %s::bigint) AND {_STANDING} ORDER BY t.end_ns, t.seq LIMIT 500"
).encode()

MODEL_USES: Final = (
    "SELECT e.model, e.provider, count(*), count(*) FILTER (WHERE e.cost_pico IS NULL),"
    " sum(coalesce(e.input_tokens, 0) + coalesce(e.cache_read_tokens, 0)"
    " + coalesce(e.cache_write_tokens, 0) + coalesce(e.output_tokens, 0)), max(e.end_ns)"
    f" FROM entries AS e WHERE e.end_ns >= %s AND {_STANDING} GROUP BY e.model, e.provider"
    ' ORDER BY 3 DESC, e.model COLLATE "C" NULLS FIRST, e.provider COLLATE "C" NULLS FIRST'
).encode()


def _believed(column: str) -> str:
    """A number as a bigint, which is read faster than a numeric; beyond it, as above all that is believed."""
    return f"coalesce(least(greatest(e.{column}, {UNKNOWN}), 4611686018427387904), {UNKNOWN})::bigint"


CALL_PAGE: Final = (
    f"SELECT e.id, {_believed('end_ns')}, {_believed('start_ns')}, e.parent_id,"
    f" {', '.join(f'e.{column}' for column in (*TEXTS, *FLAGS, *HASHES))},"
    f" {', '.join(map(_believed, NUMBERS))} FROM entries AS e"
    f" WHERE e.end_ns >= %s AND (e.end_ns, e.id) < (%s::numeric, %s::bytea) AND {_STANDING}"
    " ORDER BY e.end_ns DESC, e.id DESC LIMIT %s"
).encode()

EXCLUDE_WRITERS: Final = b"LOCK TABLE entries, spend IN SHARE ROW EXCLUSIVE MODE"
FORGET_SPEND: Final = b"DELETE FROM spend WHERE budget = %s AND start_ns >= %s"
FIND_META: Final = b"SELECT key, value FROM meta WHERE key = ANY(%s::text[])"
SET_META: Final = b"INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

LOCK_POTS: Final = b"SELECT pg_advisory_xact_lock(pot) FROM unnest(%s::bigint[]) AS pot"
ADD_OWNER: Final = b"INSERT INTO owners VALUES (%s, %s, %s, 0, 0) ON CONFLICT (id) DO NOTHING"
# A take and a settlement of one owner do not wait for each other; both wait for its closing, and it for them.
TAKING_OWNER: Final = b"SELECT closed_ns, pg_current_xact_id()::text FROM owners WHERE id = %s FOR KEY SHARE"
SETTLING_OWNER: Final = b"SELECT closed_ns, settled_seq FROM owners WHERE id = %s FOR NO KEY UPDATE"
CLOSING_OWNER: Final = b"SELECT FROM owners WHERE id = %s FOR UPDATE"
RENEW: Final = b"UPDATE owners SET expires_ns = %s WHERE id = %s AND closed_ns = 0"
SETTLED: Final = b"UPDATE owners SET settled_seq = %s WHERE id = %s"
CLOSE_OWNER: Final = b"UPDATE owners SET closed_ns = %s WHERE id = %s AND closed_ns = 0"
FORGET_OWNER: Final = b"DELETE FROM owners WHERE id = %s"
FORGET_HOLDS: Final = b"DELETE FROM holds WHERE owner = %s"
OPEN_OWNERS: Final = (
    "SELECT o.id, o.journal, o.expires_ns, o.closed_ns, h.budget, h.child,"
    f" {', '.join(f'h.{column}' for column in _AMOUNT)}"
    " FROM owners AS o LEFT JOIN holds AS h ON h.owner = o.id"
    ' WHERE o.closed_ns = 0 AND o.expires_ns < %s ORDER BY o.id, h.budget COLLATE "C", h.child COLLATE "C"'
).encode()
ORPHANS: Final = (
    f"SELECT {_COLUMNS} FROM owners AS o JOIN entries AS e ON e.end_ns = o.closed_ns"
    f" AND e.id BETWEEN o.id || %s::bytea AND o.id || %s::bytea"
    f" WHERE o.id = %s AND o.closed_ns > 0 AND {_STANDING}"
).encode()

_HOLD_COLUMNS: Final = f"(budget, child, {', '.join(_AMOUNT)})"
_RATE_COLUMNS: Final = f"(budget, child, {', '.join(_MEASURES)})"
_SUMS: Final = ", ".join(f"coalesce(sum({column}), 0) AS {column}" for column in _AMOUNT)
STANDINGS: Final = (
    # One statement, and so one view of the ledger: no settlement falls between the spend and the holds.
    f"SELECT {', '.join(f'{table}.{column}' for table in ('s', 'h') for column in _AMOUNT)}, h.holders,"
    f" {', '.join(f'coalesce(r.{measure}_until_ns, 0)' for measure in _MEASURES)}"
    f" FROM {_unnest(('text', 'text', 'text', 'numeric', 'numeric'))} WITH ORDINALITY"
    " AS d(budget, child, period, first_ns, last_ns, n)"
    f" CROSS JOIN LATERAL (SELECT {_SUMS} FROM spend AS x WHERE x.budget = d.budget AND x.child = d.child"
    " AND x.period = d.period AND x.start_ns BETWEEN d.first_ns AND d.last_ns) AS s"
    f" CROSS JOIN LATERAL (SELECT {_SUMS}, count(*) AS holders FROM holds AS x WHERE x.budget = d.budget"
    " AND x.child = d.child) AS h"
    " LEFT JOIN rates AS r ON r.budget = d.budget AND r.child = d.child ORDER BY d.n"
).encode()
HELD: Final = (
    f"SELECT budget, child, {_SUMS} FROM holds JOIN {_unnest(('text', 'text'))} AS v(budget, child)"
    " USING (budget, child) GROUP BY budget, child"
).encode()
ADD_HOLDS: Final = (
    f"INSERT INTO holds AS h SELECT v.budget, v.child, %s, {', '.join(f'v.{column}' for column in _AMOUNT)}"
    f" FROM {_unnest(('text', 'text', *('bigint',) * len(_AMOUNT)))} AS v{_HOLD_COLUMNS}"
    " ON CONFLICT (budget, child, owner) DO UPDATE SET"
    f" cost_usd = h.cost_usd + excluded.cost_usd + (h.cost_pico + excluded.cost_pico) / {PICO_PER_USD},"
    f" cost_pico = mod(h.cost_pico + excluded.cost_pico, {PICO_PER_USD}),"
    " tokens = h.tokens + excluded.tokens, requests = h.requests + excluded.requests"
).encode()
_LEFT: Final = f"greatest(0, (h.cost_usd - v.cost_usd)::numeric * {PICO_PER_USD} + h.cost_pico - v.cost_pico)"
LESSEN_HOLDS: Final = (
    f"UPDATE holds AS h SET cost_usd = div({_LEFT}, {PICO_PER_USD}),"
    f" cost_pico = mod({_LEFT}, {PICO_PER_USD}),"
    " tokens = greatest(0, h.tokens - v.tokens), requests = greatest(0, h.requests - v.requests)"
    f" FROM {_unnest(('text', 'text', *('numeric',) * len(_AMOUNT)))} AS v{_HOLD_COLUMNS}"
    " WHERE h.owner = %s AND h.budget = v.budget AND h.child = v.child"
).encode()
DROP_EMPTY_HOLDS: Final = (
    b"DELETE FROM holds WHERE owner = %s AND cost_usd = 0 AND cost_pico = 0 AND tokens = 0 AND requests = 0"
)
SET_RATES: Final = (
    f"INSERT INTO rates SELECT * FROM {_unnest(('text', 'text', *('bigint',) * len(_MEASURES)))}"
    " ON CONFLICT (budget, child) DO UPDATE SET"
    f" {', '.join(f'{one}_until_ns = excluded.{one}_until_ns' for one in _MEASURES)}"
).encode()
EASE_RATES: Final = (
    f"UPDATE rates AS r SET {', '.join(f'{one}_until_ns = r.{one}_until_ns - v.{one}' for one in _MEASURES)}"
    f" FROM {_unnest(('text', 'text', *('bigint',) * len(_MEASURES)))} AS v{_RATE_COLUMNS}"
    " WHERE r.budget = v.budget AND r.child = v.child"
).encode()


def _document(change: str) -> bytes:
    """A change of one document, and of the version where it did; answers with how many were changed."""
    return (
        f"WITH changed AS ({change} RETURNING 1), bumped AS (INSERT INTO meta AS m"
        f" SELECT '{DOCUMENTS_VERSION}', '1' FROM changed"
        " ON CONFLICT (key) DO UPDATE SET value = (m.value::bigint + 1)::text) SELECT count(*) FROM changed"
    ).encode()


ADD_DOCUMENT: Final = _document(
    "INSERT INTO documents VALUES (%s, %s, %s) ON CONFLICT (kind, name) DO NOTHING"
)
SET_DOCUMENT: Final = _document(
    "INSERT INTO documents VALUES (%s, %s, %s) ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body"
)
DROP_DOCUMENT: Final = _document("DELETE FROM documents WHERE kind = %s AND name = %s")
DOCUMENTS: Final = (
    b"SELECT kind, name, body FROM documents WHERE kind = ANY(%s::text[])"
    b' ORDER BY kind COLLATE "C", name COLLATE "C"'
)
