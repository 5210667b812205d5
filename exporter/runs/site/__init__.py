"""A folder for `PYTHONPATH`, from which Python loads `sitecustomize` when it starts."""
