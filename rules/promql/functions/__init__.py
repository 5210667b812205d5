"""The functions of PromQL on floats, as Prometheus 3 computes them; `table` lists them all by name."""
