"""Proves on this machine that limits hold: `spanbudget doctor`."""
