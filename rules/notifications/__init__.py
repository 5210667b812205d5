"""Who is told of which alerts, and when: decisions only; `exporter/notify` does the telling."""
