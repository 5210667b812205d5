"""The first schema: entries, spend and meta."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# PostgreSQL's columns are typed, SQLite's take bytes for an integer beyond int64.
_BIG = sa.BigInteger().with_variant(sa.Numeric(), "postgresql")
_TOKENS = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    "cost_pico",
)
_PARTS = ("cost_input_pico", "cost_cache_read_pico", "cost_cache_write_pico", "cost_output_pico")
_RARE = (
    *("cache_write_5m_tokens", "cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("audio_cache_read_tokens", "image_input_tokens", "reported_cost_pico", "claimed_cost_pico"),
    "web_searches",
)


def upgrade() -> None:
    """Creates the tables."""
    _create_entries()
    _create_spend()
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables, and with them every entry."""
    for table in ("meta", "spend", "entries"):
        op.drop_table(table)


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", sa.LargeBinary(25), nullable=False),
        *(sa.Column(name, _BIG, nullable=False) for name in ("end_ns", "start_ns")),
        sa.Column("parent_id", sa.BigInteger, nullable=False),
        sa.Column("response_id", sa.Text),
        sa.Column("labels", sa.Text, nullable=False),
        *(sa.Column(name, _BIG) for name in _TOKENS),
        *(sa.Column(name, _BIG, nullable=False) for name in _PARTS),
        *(sa.Column(name, _BIG) for name in _RARE),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "scope")),
        *(sa.Column(name, sa.Text) for name in ("provider", "model", "request_model", "response_model")),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("aggregate", sa.Integer, nullable=False),
        sa.Column("tier", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("usage_confidence", "cost_confidence")),
        *(sa.Column(name, sa.Text) for name in ("reasons", "price_id")),
        sa.Column("failed", sa.Integer, nullable=False),
    )
    op.create_index("entries_end_ns_id", "entries", ["end_ns", "id"], unique=True)


def _create_spend() -> None:
    amounts = ("cost_usd", "cost_pico", "estimated_usd", "estimated_pico", "tokens", "requests", "unpriced")
    op.create_table(
        "spend",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("budget", "child", "period")),
        sa.Column("start_ns", _BIG, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in amounts),
        sa.PrimaryKeyConstraint("budget", "child", "period", "start_ns"),
        sa.CheckConstraint(
            "cost_pico BETWEEN 0 AND 999999999999 AND estimated_pico BETWEEN 0 AND 999999999999",
            name="spend_remainders",
        ),
        sa.CheckConstraint(
            "tokens BETWEEN -9000000000000000000 AND 9000000000000000000"
            " AND cost_usd BETWEEN -9000000000000000000 AND 9000000000000000000"
            " AND estimated_usd BETWEEN -9000000000000000000 AND 9000000000000000000",
            name="spend_no_overflow",
        ),
        sqlite_with_rowid=False,
    )
