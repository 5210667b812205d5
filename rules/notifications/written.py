"""Notifications and entries of the log as JSON has them, for a store; what is read is what was written."""

from collections.abc import Mapping
from typing import Any

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels
from spanbudget.rules.notifications.notification import Notification, Sent, Told


def write_notification(notification: Notification) -> dict[str, Any]:
    """A notification as JSON has it."""
    return {
        "id": notification.id,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "group_labels": dict(notification.group_labels),
        "alerts": [_alert(alert) for alert in notification.alerts],
        "at_ms": notification.at_ms,
    }


def read_notification(record: Mapping[str, Any]) -> Notification:
    """The notification that `write_notification` wrote.

    Raises:
        ValueError: It did not write this.
    """
    try:
        return Notification(
            record["id"],
            record["receiver"],
            record["group_key"],
            _labels(record["group_labels"]),
            tuple(_read_alert(alert) for alert in record["alerts"]),
            record["at_ms"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a notification: {type(error).__name__} {error}") from None


def write_sent(sent: Sent) -> dict[str, Any]:
    """An entry of the log as JSON has it."""
    told = [{**_alert(told.alert), "resolve_at_ms": told.resolve_at_ms} for told in sent.alerts]
    return {"at_ms": sent.at_ms, "alerts": told}


def read_sent(record: Mapping[str, Any]) -> Sent:
    """The entry that `write_sent` wrote.

    Raises:
        ValueError: It did not write this.
    """
    try:
        told = tuple(Told(_read_alert(alert), alert["resolve_at_ms"]) for alert in record["alerts"])
        return Sent(record["at_ms"], told)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not an entry of the log: {type(error).__name__} {error}") from None


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "value": repr(alert.value),  # as text: JSON has no infinity
        "state": alert.state,
        "active_at_ms": alert.active_at_ms,
        "fired_at_ms": alert.fired_at_ms,
        "resolved_at_ms": alert.resolved_at_ms,
        "keep_firing_since_ms": alert.keep_firing_since_ms,
    }


def _read_alert(record: dict[str, Any]) -> Alert:
    return Alert(
        _labels(record["labels"]),
        _labels(record["annotations"]),
        float(record["value"]),
        record["state"],
        record["active_at_ms"],
        record["fired_at_ms"],
        record["resolved_at_ms"],
        record["keep_firing_since_ms"],
    )


def _labels(pairs: dict[str, str]) -> Labels:
    return tuple(sorted(pairs.items()))  # a database may keep them in another order
