"""A subset of PromQL, with the semantics of Prometheus 3, over series in memory."""
