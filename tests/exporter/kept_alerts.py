"""Alerts, rows and changes for the tests of what rules keep."""

from typing import Any

from spanbudget.exporter.alert_store.records import Change, OutboxRow, RuleKey
from spanbudget.exporter.alert_store.store import SqlAlertStore
from spanbudget.rules.alerts import Alert

NOW_NS = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
ME, OTHER = b"m" * 16, b"o" * 16
RULE = RuleKey("budgets.yaml;spend", "0 BudgetWarning")
ODD = "\x00 ünï \ud800 😀 \"quoted\" 'single' \\ \n"


def leading(store: SqlAlertStore, owner: bytes = ME, seconds: int = 1) -> int:
    """Takes the lease; answers with its number."""
    fence = store.lead(owner, NOW_NS, NOW_NS + seconds * SECOND)
    assert fence is not None
    return fence


def an_alert(budget: str = "production", **changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "labels": (("budget", budget), ("severity", "warning")),
        "annotations": (("summary", f"{budget} is 81% used"),),
        "value": 0.1 + 0.2,
        "state": "firing",
        "active_at_ms": 1_790_000_000_000,
        "fired_at_ms": 1_790_000_060_000,
    }
    return Alert(**(fields | changes))


def a_row(number: int = 1, receiver: str = "team", group: str = "g", **changes: Any) -> OutboxRow:
    fields: dict[str, Any] = {
        "id": f"msg_{number}",
        "receiver": receiver,
        "group_key": group,
        "payload": {"version": "4", "number": number},
        "created_ns": NOW_NS,
        "due_ns": NOW_NS,
    }
    return OutboxRow(**(fields | changes))


def putting(*rows: OutboxRow) -> Change:
    return Change(outbox=rows)
