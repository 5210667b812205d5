"""What rules keep: the evaluator's lease, states of alerts, what was told to whom, the outbox, and notes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "alert_lease",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.LargeBinary, nullable=False),
        *_required(sa.BigInteger, "expires_ns", "fence"),
    )
    op.create_table(
        "alert_states",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        *_required(sa.Text, "rule_group", "rule", "labels", "annotations", "state", "value"),
        *_required(sa.BigInteger, "active_at_ms"),
        *(
            sa.Column(name, sa.BigInteger)
            for name in ("fired_at_ms", "resolved_at_ms", "keep_firing_since_ms")
        ),
    )
    op.create_table(
        "alert_log",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        *_required(sa.Text, "receiver", "group_key", "body"),
    )
    op.create_table(
        "alert_notes",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _create_outbox()


def downgrade() -> None:
    """Drops the tables, and with them what was not delivered yet."""
    for table in ("alert_notes", "alert_outbox", "alert_log", "alert_states", "alert_lease"):
        op.drop_table(table)


def _create_outbox() -> None:
    op.create_table(
        "alert_outbox",
        sa.Column("id", sa.Text, primary_key=True),
        *_required(sa.BigInteger, "seq"),
        *_required(sa.LargeBinary(16), "line"),
        *_required(sa.Text, "receiver", "group_key", "payload"),
        *_required(sa.BigInteger, "created_ns", "due_ns"),
        *_required(sa.Integer, "attempts"),
        *_required(sa.Text, "state"),
        sa.Column("last_error", sa.Text),
        sa.Column("ended_ns", sa.BigInteger),
    )
    op.create_index("alert_outbox_state", "alert_outbox", ["state", "seq"])
    op.create_index("alert_outbox_line", "alert_outbox", ["line", "seq"])


def _required(
    kind: "type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]", *names: str
) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]
