"""Money into decisions: alerts, anomalies, projections and suggestions; as pure as `processors`."""
