"""Runs any program under a cap: `spanbudget run`."""
