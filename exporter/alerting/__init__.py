"""Evaluates rules in the process: series out of the ledger, alerts into the outbox."""
