"""The watch for anomalies in the running program: from entries of the ledger to episodes and metrics."""
