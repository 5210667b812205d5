"""The tables of a ledger, as SQLAlchemy Core knows them; for migrations, reports and the state of alerts.

Appending does not come here: it uses prepared statements (`statements`). SQLAlchemy is a heavy import, so
this module is imported only where a ledger is created or migrated, a report is made, or rules are evaluated.
"""

import json
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)

metadata: Final = MetaData()

_BIG: Final = BigInteger().with_variant(Numeric(), "postgresql")
"""What comes from spans may be beyond int64: SQLite keeps such an integer as bytes, PostgreSQL has a type."""

_NULLABLE_INTEGERS: Final = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    "cost_pico",
)
_INTEGERS: Final = ("cost_input_pico", "cost_cache_read_pico", "cost_cache_write_pico", "cost_output_pico")
_RARE_INTEGERS: Final = (
    *("cache_write_5m_tokens", "cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("audio_cache_read_tokens", "image_input_tokens", "reported_cost_pico", "claimed_cost_pico"),
    "web_searches",
)

entries: Final = Table(
    "entries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, comment="order of append"),
    Column("id", LargeBinary(25), nullable=False, comment="trace id, span id, kind: the idempotency key"),
    Column("end_ns", _BIG, nullable=False, comment="nanoseconds since the epoch"),
    Column("start_ns", _BIG, nullable=False, comment="nanoseconds since the epoch"),
    Column("parent_id", BigInteger, nullable=False, comment="span id as a signed integer, 0 for none"),
    Column("response_id", Text),
    Column("labels", Text, nullable=False, comment="JSON object, names sorted"),
    *(Column(name, _BIG) for name in _NULLABLE_INTEGERS),
    *(Column(name, _BIG, nullable=False) for name in _INTEGERS),
    *(Column(name, _BIG) for name in _RARE_INTEGERS),
    Column("kind", Text, nullable=False, comment="call or reversal"),
    Column("scope", Text, nullable=False),
    *(Column(name, Text) for name in ("provider", "model", "request_model", "response_model")),
    Column("operation", Text, nullable=False),
    Column("aggregate", Integer, nullable=False, comment="0 or 1"),
    Column("tier", Text),
    Column("usage_confidence", Text, nullable=False),
    Column("cost_confidence", Text, nullable=False),
    Column("reasons", Text, comment="JSON: [reasons of the usage, reasons of the price]"),
    Column("price_id", Text),
    Column("failed", Integer, nullable=False, comment="0 or 1"),
    Column(
        "prompt_hash", BigInteger, comment="keyed hash of the whole request, where the application opted in"
    ),
    Column(
        "prefix_hash", BigInteger, comment="likewise, of instructions and tools; lowest byte: their share"
    ),
    Column("interactive", Integer, comment="1 where somebody waits, 0 where nobody does"),
    Column("deterministic", Integer, comment="1 where the request asked for temperature 0"),
    Column("finish_reason", Text),
    Column("error_type", Text),
    # The one index, and it grows at its end: ids are random, and an index that begins with one makes every
    # insert touch a page of its own (measured: 7 µs an entry become 35 with a million rows).
    Index("entries_end_ns_id", "end_ns", "id", unique=True),
)

# An amount is `usd` whole USD plus `pico` pico-USD of 0 to 999,999,999,999: SQLite turns an integer sum that
# overflows into a rounded float without a word, and 2**63 pico-USD are only 9.2 million USD. Counts are
# checked for the same reason: a sum that overflowed fails the check instead of being stored.
spend: Final = Table(
    "spend",
    metadata,
    Column("budget", Text, nullable=False),
    Column("child", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("start_ns", _BIG, nullable=False, comment="nanoseconds since the epoch"),
    Column("cost_usd", BigInteger, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
    Column("estimated_usd", BigInteger, nullable=False),
    Column("estimated_pico", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("tokens", "requests", "unpriced")),
    PrimaryKeyConstraint("budget", "child", "period", "start_ns"),
    CheckConstraint(
        "cost_pico BETWEEN 0 AND 999999999999 AND estimated_pico BETWEEN 0 AND 999999999999",
        name="spend_remainders",
    ),
    CheckConstraint(
        "tokens BETWEEN -9000000000000000000 AND 9000000000000000000"
        " AND cost_usd BETWEEN -9000000000000000000 AND 9000000000000000000"
        " AND estimated_usd BETWEEN -9000000000000000000 AND 9000000000000000000",
        name="spend_no_overflow",
    ),
    sqlite_with_rowid=False,
)

meta: Final = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What processes hold and have not settled; see `processors/holds.py`. Amounts are split as in `spend`.
owners: Final = Table(
    "owners",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("journal", Text, nullable=False),
    Column("expires_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch"),
    Column("closed_ns", BigInteger, nullable=False, comment="when it was charged; 0 while it lives"),
    Column("settled_seq", BigInteger, nullable=False, comment="the last settlement that changed its holds"),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("budget", Text, nullable=False),
    Column("child", Text, nullable=False),
    Column("owner", LargeBinary(16), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("cost_usd", "cost_pico", "tokens", "requests")),
    PrimaryKeyConstraint("budget", "child", "owner"),
    Index("holds_owner", "owner"),
    CheckConstraint(
        "cost_usd >= 0 AND cost_pico BETWEEN 0 AND 999999999999 AND tokens >= 0 AND requests >= 0",
        name="holds_not_negative",
    ),
    sqlite_with_rowid=False,
)

rates: Final = Table(
    "rates",
    metadata,
    Column("budget", Text, nullable=False),
    Column("child", Text, nullable=False),
    *(
        Column(f"{measure}_until_ns", BigInteger, nullable=False, comment="see `limits.RateState`")
        for measure in ("cost", "tokens", "requests")
    ),
    PrimaryKeyConstraint("budget", "child"),
    sqlite_with_rowid=False,
)

documents: Final = Table(
    "documents",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)


class JsonText(TypeDecorator[Any]):
    """A value as JSON in ASCII: it takes any text of a span, also one that a database cannot hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Writes a value."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Reads a value."""
        return None if value is None else json.loads(value)


# What rules keep. A row is named by a hash where its names come from spans: an index has no room for these.
alert_lease: Final = Table(
    "alert_lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("owner", LargeBinary, nullable=False),
    Column("expires_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch"),
    Column("fence", BigInteger, nullable=False, comment="grows whenever the owner changes"),
)

alert_states: Final = Table(
    "alert_states",
    metadata,
    Column("id", LargeBinary(16), primary_key=True, comment="hash of group, rule and labels"),
    Column("rule_group", JsonText, nullable=False),
    Column("rule", JsonText, nullable=False),
    Column("labels", JsonText, nullable=False, comment="pairs, sorted by name"),
    Column("annotations", JsonText, nullable=False, comment="pairs, sorted by name"),
    Column("state", Text, nullable=False, comment="pending, firing or inactive"),
    Column("value", Text, nullable=False, comment="as Python writes it; not every database has a NaN"),
    Column("active_at_ms", BigInteger, nullable=False, comment="milliseconds since the epoch"),
    *(Column(name, BigInteger) for name in ("fired_at_ms", "resolved_at_ms", "keep_firing_since_ms")),
)

alert_log: Final = Table(
    "alert_log",
    metadata,
    Column("id", LargeBinary(16), primary_key=True, comment="hash of receiver and group key"),
    Column("receiver", JsonText, nullable=False),
    Column("group_key", JsonText, nullable=False),
    Column("body", JsonText, nullable=False),
)

alert_outbox: Final = Table(
    "alert_outbox",
    metadata,
    Column("id", Text, primary_key=True, comment="the notification's id: receivers know a repetition by it"),
    Column("seq", BigInteger, nullable=False, comment="order of commit"),
    Column("line", LargeBinary(16), nullable=False, comment="hash of receiver and group key: sent in order"),
    Column("receiver", JsonText, nullable=False),
    Column("group_key", JsonText, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("created_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch"),
    Column("due_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch"),
    Column("attempts", Integer, nullable=False),
    Column("state", Text, nullable=False, comment="waiting, sent or dead"),
    Column("last_error", JsonText),
    Column("ended_ns", BigInteger, comment="when it was sent or given up"),
    Index("alert_outbox_state", "state", "seq"),
    Index("alert_outbox_line", "line", "seq"),
)

alert_notes: Final = Table(
    "alert_notes",
    metadata,
    Column("key", JsonText, primary_key=True),
    Column("value", JsonText, nullable=False),
)

# What the watch for anomalies keeps; see `rules/anomalies/`.
anomaly_series: Final = Table(
    "anomaly_series",
    metadata,
    Column("id", LargeBinary(16), primary_key=True, comment="hash of the series"),
    Column("series", JsonText, nullable=False, comment="budget, child, dimension, value"),
    Column("slot_ms", BigInteger, nullable=False, comment="end of the last slot that the state knows"),
    Column("state", LargeBinary, nullable=False),
)

anomaly_episodes: Final = Table(
    "anomaly_episodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("series", JsonText, nullable=False, comment="budget, child, dimension, value"),
    Column("signal", Text, nullable=False, comment="what was unusual: spend, cost_per_request, …"),
    Column("start_ms", BigInteger, nullable=False, comment="milliseconds since the epoch"),
    Column("end_ms", BigInteger, comment="milliseconds since the epoch; NULL while it lasts"),
    Column("mark", Text, comment="acknowledged or expected; NULL where nobody has said anything"),
    Column("body", JsonText, nullable=False, comment="its figures and top contributors"),
    Index("anomaly_episodes_start", "start_ms"),
)

anomaly_expected: Final = Table(
    "anomaly_expected",
    metadata,
    Column("id", Text, primary_key=True),
    Column("series", JsonText, nullable=False, comment="the part of a series that was named"),
    Column("comment", JsonText, nullable=False),
    Column("since_ms", BigInteger, nullable=False, comment="milliseconds since the epoch"),
    Column("until_ms", BigInteger, nullable=False, comment="milliseconds since the epoch"),
    Column("created_ms", BigInteger, nullable=False, comment="milliseconds since the epoch"),
)
