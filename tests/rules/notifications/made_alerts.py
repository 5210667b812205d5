"""Alerts made by hand."""

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of

MINUTE = 60_000
HOUR = 3_600_000


def firing(name: str = "X", since: int = 0, **labels: str) -> Alert:
    return Alert(
        labels_of({"alertname": name, **labels}), (("summary", f"{name} fires"),), 1.5, "firing", since, since
    )


def resolved(name: str = "X", since: int = 0, at: int = 0, **labels: str) -> Alert:
    return Alert(
        labels_of({"alertname": name, **labels}),
        (("summary", f"{name} fires"),),
        0.5,
        "inactive",
        since,
        since,
        resolved_at_ms=at,
    )


def threshold(
    percent: int, since: int = 0, child: str = "", budget: str = "prod", at: int | None = None
) -> Alert:
    labels = {
        "severity": "warning" if percent < 100 else "critical",
        "llm_budget_name": budget,
        "llm_budget_child": child,
        "llm_budget_threshold": str(percent),
    }
    name = f"LLMBudget{percent}"
    return firing(name, since, **labels) if at is None else resolved(name, since, at, **labels)
