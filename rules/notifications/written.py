"""Notifications and entries of the log as text, for a store; what is read is what was written."""

import json
from typing import Any

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels
from spanbudget.rules.notifications.notification import Notification, Sent, Told


def write_notification(notification: Notification) -> str:
    """A notification as JSON."""
    return _json(
        {
            "id": notification.id,
            "receiver": notification.receiver,
            "group_key": notification.group_key,
            "group_labels": dict(notification.group_labels),
            "alerts": [_alert(alert) for alert in notification.alerts],
            "at_ms": notification.at_ms,
        }
    )


def read_notification(text: str) -> Notification:
    """The notification that `write_notification` wrote.

    Raises:
        ValueError: It did not write this.
    """
    try:
        record = json.loads(text)
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


def write_sent(sent: Sent) -> str:
    """An entry of the log as JSON."""
    told = [{**_alert(told.alert), "resolve_at_ms": told.resolve_at_ms} for told in sent.alerts]
    return _json({"at_ms": sent.at_ms, "alerts": told})


def read_sent(text: str) -> Sent:
    """The entry that `write_sent` wrote.

    Raises:
        ValueError: It did not write this.
    """
    try:
        record = json.loads(text)
        told = tuple(Told(_read_alert(alert), alert["resolve_at_ms"]) for alert in record["alerts"])
        return Sent(record["at_ms"], told)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not an entry of the log: {type(error).__name__} {error}") from None


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


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
    return tuple(pairs.items())
