"""Tells receivers of alerts: webhooks, Alertmanager, apprise, callbacks and logs."""
