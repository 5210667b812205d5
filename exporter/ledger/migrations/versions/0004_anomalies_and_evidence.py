"""What advice reads of a call, and what the watch for anomalies keeps."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_EVIDENCE = (
    ("prompt_hash", sa.BigInteger),
    ("prefix_hash", sa.BigInteger),
    ("interactive", sa.Integer),
    ("deterministic", sa.Integer),
    ("finish_reason", sa.Text),
    ("error_type", sa.Text),
)


def upgrade() -> None:
    """Adds the columns, which are empty for calls of the past, and creates the tables."""
    for name, kind in _EVIDENCE:
        op.add_column("entries", sa.Column(name, kind))
    op.create_table(
        "anomaly_series",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        *_required(sa.Text, "series"),
        *_required(sa.BigInteger, "slot_ms"),
        *_required(sa.LargeBinary, "state"),
    )
    op.create_table(
        "anomaly_episodes",
        sa.Column("id", sa.Text, primary_key=True),
        *_required(sa.Text, "series", "signal"),
        *_required(sa.BigInteger, "start_ms"),
        sa.Column("end_ms", sa.BigInteger),
        sa.Column("mark", sa.Text),
        *_required(sa.Text, "body"),
    )
    op.create_index("anomaly_episodes_start", "anomaly_episodes", ["start_ms"])
    op.create_table(
        "anomaly_expected",
        sa.Column("id", sa.Text, primary_key=True),
        *_required(sa.Text, "series", "comment"),
        *_required(sa.BigInteger, "since_ms", "until_ms", "created_ms"),
    )


def downgrade() -> None:
    """Drops them; anomalies of the past are forgotten with them."""
    for table in ("anomaly_expected", "anomaly_episodes", "anomaly_series"):
        op.drop_table(table)
    for name, _ in _EVIDENCE:
        op.drop_column("entries", name)


def _required(kind: type[sa.types.TypeEngine[Any]], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]
