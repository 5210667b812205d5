"""A notification in a few lines, for people."""

from typing import Final, NamedTuple

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import label_value
from spanbudget.rules.notifications.notification import Notification

ALERTS_SHOWN_MAX: Final = 20
LINE_CHARACTERS_MAX: Final = 500
_TOLD_BY: Final = ("summary", "description", "message")
"""Annotations that say what is the matter, the first one that an alert has."""


class ShortText(NamedTuple):
    """A title and a body.

    Attributes:
        title: One line.
        body: One line for each alert.
    """

    title: str
    body: str


def short_text(notification: Notification) -> ShortText:
    """Says what a notification says: `[FIRING:2] LLMBudgetExhausted`, and each alert's summary."""
    alerts = notification.alerts
    firing = sum(alert.state == "firing" for alert in alerts)
    names = list(dict.fromkeys(label_value(alert.labels, "alertname") or "alert" for alert in alerts))
    names = [*names[:3], "…"] if len(names) > 3 else names
    count = f"FIRING:{firing}" if firing else "RESOLVED"
    lines = [alert_line(alert) for alert in alerts[:ALERTS_SHOWN_MAX]]
    if len(alerts) > ALERTS_SHOWN_MAX:
        lines.append(f"… and {len(alerts) - ALERTS_SHOWN_MAX} more")
    return ShortText(_line(f"[{count}] {', '.join(names)}"), "\n".join(lines))


def alert_line(alert: Alert) -> str:
    """One alert in one line."""
    annotations = dict(alert.annotations)
    said = next((annotations[name] for name in _TOLD_BY if annotations.get(name)), "")
    if not said:
        labels = [f"{name}={value}" for name, value in alert.labels if name != "alertname"]
        said = " ".join([label_value(alert.labels, "alertname"), *labels])
    return _line(said if alert.state == "firing" else f"resolved: {said}")


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LINE_CHARACTERS_MAX else text[: LINE_CHARACTERS_MAX - 1] + "…"
