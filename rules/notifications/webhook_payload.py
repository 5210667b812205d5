"""A notification as Alertmanager's webhook, version 4: the same keys in the same order, the same forms."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spanbudget.rules.alerts import Alert
from spanbudget.rules.notifications.fingerprints import fingerprint
from spanbudget.rules.notifications.notification import Notification

NO_TIME: Final = "0001-01-01T00:00:00Z"
"""The end of an alert that has none."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IN_REGEX: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")
_ESCAPED: Final[Mapping[int, str]] = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def webhook_payload(
    notification: Notification, receiver: str, external_url: str, *, alerts_max: int = 0
) -> dict[str, Any]:
    """The body of a webhook.

    Args:
        notification: What is told.
        receiver: Name of the receiver; signs of regular expressions in it are escaped, as there.
        external_url: Where people find out more; "" for nowhere.
        alerts_max: Most alerts in the body, the others are only counted; 0 for all.

    Source: Alertmanager, template/template.go, `Template.Data`, and notify/webhook/webhook.go, `Message`.
    """
    alerts = notification.alerts[:alerts_max] if alerts_max else notification.alerts
    return {
        "receiver": _IN_REGEX.sub(r"\\\1", receiver),
        "status": "firing" if any(alert.state == "firing" for alert in alerts) else "resolved",
        "alerts": [_alert(alert, external_url) for alert in alerts],
        "groupLabels": dict(notification.group_labels),
        "commonLabels": _common([alert.labels for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": len(notification.alerts) - len(alerts),
    }


def webhook_body(payload: Mapping[str, Any]) -> bytes:
    """The bytes that Go's encoder makes of a payload, the line end included."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_ESCAPED).encode(errors="replace") + b"\n"


def rfc3339(at_ms: int) -> str:
    """A time as Go writes it: without digits that are 0 at the end of a fraction."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    fraction = f"{at_ms % 1000:03d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def _alert(alert: Alert, external_url: str) -> dict[str, Any]:
    ended = alert.state != "firing" and alert.resolved_at_ms is not None
    return {
        "status": "firing" if alert.state == "firing" else "resolved",
        "labels": dict(alert.labels),
        "annotations": dict(sorted(alert.annotations)),
        "startsAt": rfc3339(alert.active_at_ms if alert.fired_at_ms is None else alert.fired_at_ms),
        "endsAt": rfc3339(alert.resolved_at_ms or 0) if ended else NO_TIME,
        "generatorURL": external_url,
        "fingerprint": fingerprint(alert.labels),
    }


def _common(sets: Sequence[Sequence[tuple[str, str]]]) -> dict[str, str]:
    """The pairs that all sets have, those of the first one in order."""
    first, *others = map(dict, sets) if sets else [{}]
    return {
        name: value
        for name, value in sorted(first.items())
        if all(other.get(name, "") == value for other in others)
    }
