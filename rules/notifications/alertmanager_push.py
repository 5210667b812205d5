"""What an Alertmanager is pushed: every alert, ungrouped, again and again while it fires.

Alertmanager groups, waits, mutes and repeats by itself, and takes an alert of which it hears nothing more as
ended; so it is told as Prometheus tells it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from spanbudget.rules.alerts import RESOLVED_KEEP_MS, Alert
from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.notifications.notification import Notification, in_order, notification_id

RESEND_MS: Final = 60_000
"""How often an alert is pushed again, Prometheus' `--rules.alert.resend-delay`."""
PUSH: Final = "alertmanager"
"""The group key of every push."""
_VALID_FOR_RESENDS: Final = 4
"""Two evaluations or pushes may fail before Alertmanager takes a firing alert as ended."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DueAlerts(NamedTuple):
    """What an Alertmanager is to be pushed now.

    Attributes:
        alerts: In Alertmanager's order.
        sent: When each alert was pushed last, these included; milliseconds since the epoch. It need not
            outlive the process: what is pushed once more changes nothing.
        next_due_ms: When the next one is due though nothing changes; None for never.
    """

    alerts: tuple[Alert, ...]
    sent: Mapping[Labels, int]
    next_due_ms: int | None


def due_for_alertmanager(
    alerts: Sequence[Alert], sent: Mapping[Labels, int], now_ms: int, *, resend_ms: int = RESEND_MS
) -> DueAlerts:
    """Chooses the alerts that an Alertmanager is to be pushed now.

    Args:
        alerts: All alerts that fire or have ended lately; pending ones are left out.
        sent: When each was pushed last, from the call before.
        now_ms: Milliseconds since the epoch.
        resend_ms: How often an alert is pushed again, while it fires and for 15 minutes after its end.

    Source: Prometheus, rules/alerting.go, `Alert.needsSending`.
    """
    known = [alert for alert in alerts if _concerns(alert, now_ms)]
    due = [alert for alert in known if _next_ms(alert, sent, resend_ms) <= now_ms]
    pushed = {alert.labels: now_ms for alert in due}
    now_sent = {alert.labels: pushed.get(alert.labels, sent.get(alert.labels, 0)) for alert in known}
    nexts = [_next_ms(alert, now_sent, resend_ms) for alert in known]
    return DueAlerts(in_order(due), now_sent, min(nexts, default=None))


def push_notification(receiver: str, alerts: Sequence[Alert], now_ms: int) -> Notification:
    """The push of some alerts, as a sender takes it."""
    id_ = notification_id(receiver, PUSH, alerts, now_ms)
    return Notification(id_, receiver, PUSH, EMPTY, tuple(alerts), now_ms)


def alertmanager_alerts(
    notification: Notification, now_ms: int, external_url: str = "", *, interval_ms: int = RESEND_MS
) -> list[dict[str, Any]]:
    """The body of `POST /api/v2/alerts`.

    A firing alert is valid for four times the interval from when the push was decided; one whose time has
    passed is left out: a later push knows better.

    Args:
        notification: From `push_notification`.
        now_ms: When it is sent, milliseconds since the epoch.
        external_url: Where people find out more; "" for nowhere.
        interval_ms: The longer one of the resend and the evaluation interval.
    """
    until_ms = notification.at_ms + _VALID_FOR_RESENDS * max(interval_ms, RESEND_MS)
    return [
        _postable(alert, until_ms, external_url)
        for alert in notification.alerts
        if alert.state != "firing" or now_ms < until_ms
    ]


def _postable(alert: Alert, until_ms: int, external_url: str) -> dict[str, Any]:
    ended = alert.resolved_at_ms if alert.state != "firing" else None
    posted: dict[str, Any] = {
        "annotations": dict(alert.annotations),
        "endsAt": _date_time(until_ms if ended is None else ended),
        "startsAt": _date_time(alert.active_at_ms if alert.fired_at_ms is None else alert.fired_at_ms),
    }
    if external_url:
        posted["generatorURL"] = external_url
    return {**posted, "labels": dict(alert.labels)}


def _concerns(alert: Alert, now_ms: int) -> bool:
    if alert.state == "pending" or alert.fired_at_ms is None:
        return False
    return alert.resolved_at_ms is None or now_ms - alert.resolved_at_ms <= RESOLVED_KEEP_MS


def _next_ms(alert: Alert, sent: Mapping[Labels, int], resend_ms: int) -> int:
    """When an alert is due: at once after a change, or a resend interval after the last push."""
    last_ms = sent.get(alert.labels)
    changed_ms = max(alert.fired_at_ms or 0, alert.resolved_at_ms or 0)
    return changed_ms if last_ms is None or changed_ms > last_ms else last_ms + resend_ms


def _date_time(at_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
