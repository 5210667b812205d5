"""Who is told what, for all receivers: from alerts to rows of the outbox."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from spanbudget.exporter.alert_store.records import LogKey, OutboxRow
from spanbudget.exporter.notify.config import ReceiverConfig
from spanbudget.processors.names_out import BUDGET, prometheus_label
from spanbudget.rules.alerts import Alert
from spanbudget.rules.durations import NEVER_MS, NS_PER_MS
from spanbudget.rules.labels import Labels, label_value, labels_of
from spanbudget.rules.notifications.alertmanager_push import (
    RESEND_MS,
    due_for_alertmanager,
    push_notification,
)
from spanbudget.rules.notifications.notification import Notification, Sent
from spanbudget.rules.notifications.planning import plan
from spanbudget.rules.notifications.thresholds import THRESHOLD
from spanbudget.rules.notifications.written import read_sent, write_notification, write_sent

_BUDGET: Final = prometheus_label(BUDGET)


@dataclass(slots=True)
class Planned:
    """What is to be kept of a plan.

    Attributes:
        outbox: What is to be delivered.
        log: What receivers were last told of a group; None forgets it.
    """

    outbox: list[OutboxRow] = field(default_factory=list)
    log: dict[LogKey, Any] = field(default_factory=dict)


class Planner:
    """Plans for all receivers; for one thread.

    Args:
        receivers: Who is told.
        log: What they were told. Entries of receivers that are there no more are forgotten.
        external_labels: Set on every alert that does not have them.
        rolling: Names of the budgets whose windows roll.
        resend_ms: How often an Alertmanager is pushed an alert again.

    Attributes:
        next_due_ms: When something is to be told though nothing changes; 0 before the first plan.
    """

    def __init__(
        self,
        receivers: Sequence[ReceiverConfig],
        log: Mapping[LogKey, Any],
        external_labels: Mapping[str, str],
        rolling: Collection[str] = (),
        resend_ms: int = RESEND_MS,
    ) -> None:
        self._receivers = [(receiver, receiver.to_policy()) for receiver in receivers]
        self._external = tuple(external_labels.items())
        self._rolling = frozenset(rolling)
        self._resend_ms = resend_ms
        self._logs: dict[str, dict[str, Sent]] = {receiver.name: {} for receiver in receivers}
        self._strangers = [key for key in log if key.receiver not in self._logs]
        for key, told in log.items():
            if key.receiver in self._logs:
                self._logs[key.receiver][key.group_key] = read_sent(told)
        self._pushed: dict[str, Mapping[Labels, int]] = {}
        self._next: tuple[dict[str, dict[str, Sent]], dict[str, Mapping[Labels, int]]] | None = None
        self.next_due_ms = 0

    def plan(self, alerts: Iterable[Alert], now_ms: int, *, busy: Collection[str] = ()) -> Planned:
        """Decides what everybody is told now.

        Nothing is remembered before `keep`: what could not be kept is decided again, under the same ids.

        Args:
            alerts: All alerts.
            now_ms: Milliseconds since the epoch.
            busy: Channels that have letters waiting: what is down is not pushed the same again.
        """
        told = [self._labelled(alert) for alert in alerts if alert.state != "pending"]
        over = {alert.labels for alert in told if self._ends_for_good(alert)}
        planned = Planned(log=dict.fromkeys(self._strangers))
        logs, pushed, dues = dict(self._logs), dict(self._pushed), [NEVER_MS]
        for receiver, policy in self._receivers:
            name = receiver.name
            if receiver.channels:
                made = plan(policy, told, logs[name], now_ms, ended_for_good=over)
                for notification in made.notifications:
                    planned.outbox += [_row(notification, channel, now_ms) for channel in receiver.channels]
                planned.log |= {LogKey(name, key): write_sent(sent) for key, sent in made.log.items()}
                planned.log |= {LogKey(name, key): None for key in made.forgotten}
                logs[name] = {k: v for k, v in {**logs[name], **made.log}.items() if k not in made.forgotten}
                dues.append(NEVER_MS if made.next_due_ms is None else made.next_due_ms)
            if receiver.push_channel is not None:
                due = due_for_alertmanager(told, pushed.get(name, {}), now_ms, resend_ms=self._resend_ms)
                is_news = any(_is_news(alert, pushed.get(name, {})) for alert in due.alerts)
                if is_news or (due.alerts and receiver.push_channel not in busy):
                    push = push_notification(name, due.alerts, now_ms)
                    planned.outbox.append(_row(push, receiver.push_channel, now_ms))
                pushed[name] = due.sent
                dues.append(NEVER_MS if due.next_due_ms is None else due.next_due_ms)
        self._next = logs, pushed
        self.next_due_ms = min(dues)
        return planned

    def keep(self) -> None:
        """Remembers that what was planned last is kept."""
        if self._next is not None:
            self._logs, self._pushed = self._next
            self._next = None
            self._strangers = []

    def _ends_for_good(self, alert: Alert) -> bool:
        """Whether an alert has ended for good: a threshold's ends with its budget's window.

        A rolling budget has no such end: it may flap around its threshold.
        """
        if alert.state != "inactive" or not label_value(alert.labels, THRESHOLD):
            return False
        return label_value(alert.labels, _BUDGET) not in self._rolling

    def _labelled(self, alert: Alert) -> Alert:
        """The alert with the external labels that it does not have."""
        if not self._external:
            return alert
        return replace(alert, labels=labels_of({**dict(self._external), **dict(alert.labels)}))


def _is_news(alert: Alert, pushed: Mapping[Labels, int]) -> bool:
    last_ms = pushed.get(alert.labels)
    return last_ms is None or max(alert.fired_at_ms or 0, alert.resolved_at_ms or 0) > last_ms


def _row(notification: Notification, channel: str, now_ms: int) -> OutboxRow:
    now_ns = now_ms * NS_PER_MS
    payload = write_notification(notification)
    return OutboxRow(f"{notification.id}/{channel}", channel, notification.group_key, payload, now_ns, now_ns)
