"""What Alembic runs: migrates on the connection, and in the transaction, that `migrate` hands over."""

from alembic import context

from spanbudget.exporter.ledger.schema import metadata
from spanbudget.exporter.ledger.store import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
