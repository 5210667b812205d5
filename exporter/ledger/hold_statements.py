"""The SQL of holds, owners, rate limits and documents in SQLite."""

from typing import Final

DOCUMENTS_VERSION: Final = "documents"
"""Key in `meta` under which the version of the documents stands."""

ADD_OWNER: Final = "INSERT INTO owners VALUES (?, ?, ?, 0, 0) ON CONFLICT (id) DO NOTHING"
OWNER: Final = "SELECT closed_ns, settled_seq FROM owners WHERE id = ?"
RENEW: Final = "UPDATE owners SET expires_ns = ? WHERE id = ? AND closed_ns = 0"
SETTLED: Final = "UPDATE owners SET settled_seq = ? WHERE id = ?"
CLOSE: Final = "UPDATE owners SET closed_ns = ? WHERE id = ? AND closed_ns = 0"
FORGET_OWNER: Final = "DELETE FROM owners WHERE id = ?"
FORGET_HOLDS: Final = "DELETE FROM holds WHERE owner = ?"
OPEN_OWNERS: Final = (
    "SELECT o.id, o.journal, o.expires_ns, o.closed_ns, h.budget, h.child, h.cost_usd, h.cost_pico, h.tokens,"
    " h.requests FROM owners AS o LEFT JOIN holds AS h ON h.owner = o.id"
    " WHERE o.closed_ns = 0 AND o.expires_ns < ? ORDER BY o.id, h.budget, h.child"
)
ORPHANS_FROM_TO: Final = (
    " FROM entries AS e WHERE e.end_ns = ? AND e.id BETWEEN ? AND ? AND e.kind = 'call' AND NOT EXISTS"
    " (SELECT 1 FROM entries AS r"
    " WHERE r.end_ns = e.end_ns AND r.id = CAST(substr(e.id, 1, 24) || x'01' AS BLOB))"
)

HELD: Final = (
    "SELECT coalesce(sum(cost_usd), 0), coalesce(sum(cost_pico), 0), coalesce(sum(tokens), 0),"
    " coalesce(sum(requests), 0), count(*) FROM holds WHERE budget = ? AND child = ?"
)
STANDING: Final = (
    "SELECT * FROM (SELECT coalesce(sum(cost_usd), 0), coalesce(sum(cost_pico), 0), coalesce(sum(tokens), 0),"
    " coalesce(sum(requests), 0) FROM spend WHERE budget = ?1 AND child = ?2 AND period = ?3"
    " AND start_ns BETWEEN ?4 AND ?5),"
    " (SELECT coalesce(sum(cost_usd), 0), coalesce(sum(cost_pico), 0), coalesce(sum(tokens), 0),"
    " coalesce(sum(requests), 0), count(*), coalesce(sum(iif(owner = ?6, cost_usd, 0)), 0),"
    " coalesce(sum(iif(owner = ?6, cost_pico, 0)), 0), coalesce(sum(iif(owner = ?6, tokens, 0)), 0),"
    " coalesce(sum(iif(owner = ?6, requests, 0)), 0) FROM holds WHERE budget = ?1 AND child = ?2)"
)
"""Spent in the windows of a demand, held by all owners, how many they are, and held by the asking one."""
RATES: Final = (
    "SELECT cost_until_ns, tokens_until_ns, requests_until_ns FROM rates WHERE budget = ? AND child = ?"
)
SET_RATES: Final = (
    "INSERT INTO rates VALUES (?, ?, ?, ?, ?) ON CONFLICT (budget, child) DO UPDATE SET"
    " cost_until_ns = excluded.cost_until_ns, tokens_until_ns = excluded.tokens_until_ns,"
    " requests_until_ns = excluded.requests_until_ns"
)
EASE_RATES: Final = (
    "UPDATE rates SET cost_until_ns = cost_until_ns - ?, tokens_until_ns = tokens_until_ns - ?,"
    " requests_until_ns = requests_until_ns - ? WHERE budget = ? AND child = ?"
)
HOLD: Final = (
    "SELECT cost_usd, cost_pico, tokens, requests FROM holds WHERE budget = ? AND child = ? AND owner = ?"
)
SET_HOLD: Final = "INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?, ?, ?)"
DROP_HOLD: Final = "DELETE FROM holds WHERE budget = ? AND child = ? AND owner = ?"

ADD_DOCUMENT: Final = "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, name) DO NOTHING"
SET_DOCUMENT: Final = (
    "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body"
)
DROP_DOCUMENT: Final = "DELETE FROM documents WHERE kind = ? AND name = ?"
DOCUMENTS: Final = "SELECT kind, name, body FROM documents WHERE kind = ? ORDER BY name"
BUMP_VERSION: Final = (
    "INSERT INTO meta VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)
