"""Writes rules in the forms that other programs load."""
