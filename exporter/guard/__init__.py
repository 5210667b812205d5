"""Guards calls without touching the application's code."""
