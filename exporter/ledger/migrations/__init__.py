"""Alembic migrations of the ledger; `migrate` runs them when a ledger is opened."""
