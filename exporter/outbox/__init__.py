"""Delivers what is in the outbox: each receiver in its own thread, in order, until it is told or given up."""
