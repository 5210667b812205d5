"""Owners, what they hold, the rate limits, and documents: budgets, grants, suspensions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "owners",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("journal", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("expires_ns", "closed_ns", "settled_seq")
        ),
    )
    op.create_table(
        "holds",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("budget", "child")),
        sa.Column("owner", sa.LargeBinary(16), nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("cost_usd", "cost_pico", "tokens", "requests")
        ),
        sa.PrimaryKeyConstraint("budget", "child", "owner"),
        sa.CheckConstraint(
            "cost_usd >= 0 AND cost_pico BETWEEN 0 AND 999999999999 AND tokens >= 0 AND requests >= 0",
            name="holds_not_negative",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("holds_owner", "holds", ["owner"])
    op.create_table(
        "rates",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("budget", "child")),
        *(
            sa.Column(f"{measure}_until_ns", sa.BigInteger, nullable=False)
            for measure in ("cost", "tokens", "requests")
        ),
        sa.PrimaryKeyConstraint("budget", "child"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "documents",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "name", "body")),
        sa.PrimaryKeyConstraint("kind", "name"),
    )


def downgrade() -> None:
    """Drops the tables; what was held is then free."""
    for table in ("documents", "rates", "holds", "owners"):
        op.drop_table(table)
