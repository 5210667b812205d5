"""One file for each version of the ledger's schema; a version is never changed once released."""
