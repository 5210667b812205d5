"""Spans from files, through the same road as live ones."""
