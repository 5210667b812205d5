"""Everything that touches the world: OpenTelemetry, SQL, files, clocks, the command line."""
