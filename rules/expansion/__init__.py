"""Turns what a budget says about alerts into ordinary rules."""
