"""Money before the call: reservations, leases, and the journal that survives a kill."""
