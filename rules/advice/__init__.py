"""Advice with evidence: what was spent that need not have been, in USD, and the calls that show it."""
