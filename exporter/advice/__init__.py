"""Advice from a ledger: its configuration, the calls that it reads, and the prices that it compares."""
