"""Alerts, notifications and what receivers were told, as JSON and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels
from spanbudget.rules.notifications.notification import Notification, Sent, Told


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """An alert as JSON; a value that is no number of JSON is text."""
    return {
        "labels": [list(pair) for pair in alert.labels],
        "annotations": [list(pair) for pair in alert.annotations],
        "value": repr(alert.value),
        "state": alert.state,
        "active_at_ms": alert.active_at_ms,
        "fired_at_ms": alert.fired_at_ms,
        "resolved_at_ms": alert.resolved_at_ms,
        "keep_firing_since_ms": alert.keep_firing_since_ms,
    }


def alert_of_json(told: Mapping[str, Any]) -> Alert:
    """The alert of `alert_to_json`.

    Raises:
        KeyError, TypeError, ValueError: It is something else.
    """
    return Alert(
        _labels(told["labels"]),
        _labels(told["annotations"]),
        float(told["value"]),
        told["state"],
        told["active_at_ms"],
        told["fired_at_ms"],
        told["resolved_at_ms"],
        told["keep_firing_since_ms"],
    )


def notification_to_json(notification: Notification) -> dict[str, Any]:
    """A notification as JSON."""
    return {
        "id": notification.id,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "group_labels": [list(pair) for pair in notification.group_labels],
        "alerts": [alert_to_json(alert) for alert in notification.alerts],
        "at_ms": notification.at_ms,
    }


def notification_of_json(told: Mapping[str, Any]) -> Notification:
    """The notification of `notification_to_json`.

    Raises:
        KeyError, TypeError, ValueError: It is something else.
    """
    return Notification(
        told["id"],
        told["receiver"],
        told["group_key"],
        _labels(told["group_labels"]),
        tuple(alert_of_json(alert) for alert in told["alerts"]),
        told["at_ms"],
    )


def sent_to_json(sent: Sent) -> list[Any]:
    """An entry of the log as JSON."""
    return [sent.at_ms, [[alert_to_json(told.alert), told.resolve_at_ms] for told in sent.alerts]]


def sent_of_json(told: Sequence[Any]) -> Sent:
    """The entry of `sent_to_json`.

    Raises:
        KeyError, TypeError, ValueError: It is something else.
    """
    at_ms, alerts = told
    return Sent(at_ms, tuple(Told(alert_of_json(alert), resolve_at_ms) for alert, resolve_at_ms in alerts))


def _labels(pairs: Sequence[Sequence[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)
