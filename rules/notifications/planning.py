"""What a receiver is to be told now: alerts and the log in, notifications and the new log out.

As Alertmanager does it, a group is told of when it has an alert that the receiver does not know, when one
that it knows has ended, and again after `repeat_interval` while it fires. Unlike there, an end is told only
after `resolve_hold`; until then the alert counts as firing. The log holds the alerts themselves, so that the
end of one that nobody knows any more, such as one of a deleted rule, is told all the same.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels
from spanbudget.rules.notifications.notification import (
    Notification,
    Plan,
    Sent,
    Told,
    in_order,
    notification_id,
)
from spanbudget.rules.notifications.policy import ReceiverPolicy, group_key
from spanbudget.rules.notifications.thresholds import highest_thresholds, is_muted
from spanbudget.rules.notifications.time_intervals import in_any, next_minute_ms


def plan(
    policy: ReceiverPolicy,
    alerts: Sequence[Alert],
    log: Mapping[str, Sent],
    now_ms: int,
    *,
    ended_for_good: Collection[Labels] = frozenset(),
) -> Plan:
    """Decides what a receiver is told now.

    Args:
        policy: How the receiver wants to be told.
        alerts: All alerts that fire or have ended lately; pending ones count for nothing.
        log: What the receiver was told, by group key.
        now_ms: Milliseconds since the epoch.
        ended_for_good: Alerts whose end is told without `resolve_hold`, such as those of a budget's window
            that is over.
    """
    groups = _groups(policy, alerts, log, now_ms, ended_for_good)
    closed = in_any(policy.mute, now_ms)
    notifications: list[Notification] = []
    dues: list[int] = []
    for _, group in sorted(groups.items()):
        due_ms = group.due_ms(policy)
        if due_ms is not None and due_ms <= now_ms and not closed:
            notifications.extend(group.tell(policy, now_ms))
            due_ms = group.due_ms(policy)
        if due_ms is not None:
            dues.append(max(due_ms, next_minute_ms(now_ms)) if closed else due_ms)
    entries = {key: group.entry() for key, group in groups.items() if group.told}
    return Plan(
        tuple(notifications),
        {key: entry for key, entry in entries.items() if log.get(key) != entry},
        tuple(key for key in log if key not in entries),
        min(dues, default=None),
    )


@dataclass(slots=True)
class _Group:
    """A group while it is decided on."""

    key: str
    labels: Labels
    sent_at_ms: int = 0
    told: dict[Labels, Told] = field(default_factory=dict)
    firing: dict[Labels, Alert] = field(default_factory=dict)  # without muted ones
    muted: set[Labels] = field(default_factory=set)

    def due_ms(self, policy: ReceiverPolicy) -> int | None:
        """When the group is to be told of next if nothing changes; in the past where it is due."""
        new = [alert.fired_at_ms or 0 for labels, alert in self.firing.items() if labels not in self.told]
        ends = [told.resolve_at_ms for told in self.told.values() if told.resolve_at_ms is not None]
        if not self.told:
            return min(new) + policy.group_wait_ms if new else None
        causes = ends + [self.sent_at_ms] * bool(new)
        if self.firing:
            causes.append(self.sent_at_ms + policy.repeat_interval_ms)
        return max(min(causes), self.sent_at_ms + policy.group_interval_ms) if causes else None

    def tell(self, policy: ReceiverPolicy, now_ms: int) -> Iterator[Notification]:
        """Notes that the group is told of, and makes the notification, where there is something to tell."""
        before_ms = self.sent_at_ms if self.told else None
        over = [labels for labels, told in self.told.items() if _at_or_before(told.resolve_at_ms, now_ms)]
        ended = [self.told.pop(labels).alert for labels in over]
        shown = [*self._shown(), *(ended if policy.send_resolved else ())]
        is_news = any(labels not in self.told for labels in self.firing) or (ended and policy.send_resolved)
        is_repeat = self.firing and self.sent_at_ms + policy.repeat_interval_ms <= now_ms
        if shown and (is_news or is_repeat):
            alerts = in_order(shown)
            id_ = notification_id(policy.name, self.key, alerts, before_ms)
            yield Notification(id_, policy.name, self.key, self.labels, alerts, now_ms)
            self.sent_at_ms = now_ms
            self.told.update({labels: Told(alert) for labels, alert in self.firing.items()})

    def entry(self) -> Sent:
        """The group's entry in the log."""
        return Sent(self.sent_at_ms, tuple(told for _, told in sorted(self.told.items())))

    def _shown(self) -> Iterator[Alert]:
        """The alerts that fire for the receiver: also those that have ended and are held."""
        yield from self.firing.values()
        for labels, told in self.told.items():
            if labels not in self.firing and labels not in self.muted:
                yield replace(told.alert, state="firing", resolved_at_ms=None)


def _groups(
    policy: ReceiverPolicy,
    alerts: Sequence[Alert],
    log: Mapping[str, Sent],
    now_ms: int,
    ended_for_good: Collection[Labels],
) -> dict[str, _Group]:
    """The groups of all alerts that fire, and of all that the receiver knows.

    Those of the log are grouped anew: a change of `group_by` is no reason to tell everything again.
    """
    by_labels = {alert.labels: alert for alert in alerts if alert.state != "pending"}
    groups: dict[str, _Group] = {}
    known: dict[Labels, Told] = {}
    for sent in log.values():
        for before in sent.alerts:
            labels = before.alert.labels
            hold_ms = 0 if labels in ended_for_good else policy.resolve_hold_ms
            known[labels] = told = _followed(before, by_labels.get(labels), now_ms, hold_ms)
            group = _group_of(policy, labels, groups)
            # A clock that was set back since must not put everything off until it has caught up.
            group.sent_at_ms = max(group.sent_at_ms, min(sent.at_ms, now_ms))
            group.told[labels] = told
    firing = {labels: alert for labels, alert in by_labels.items() if alert.state == "firing"}
    held = [labels for labels, told in known.items() if not _at_or_before(told.resolve_at_ms, now_ms)]
    highest = highest_thresholds([*firing, *held])
    for labels, alert in firing.items():
        group = _group_of(policy, labels, groups)
        if is_muted(labels, highest):
            group.muted.add(labels)
        else:
            group.firing[labels] = _same_incident(alert, known.get(labels))
    for labels in held:
        if is_muted(labels, highest):
            _group_of(policy, labels, groups).muted.add(labels)
    return groups


def _group_of(policy: ReceiverPolicy, labels: Labels, groups: dict[str, _Group]) -> _Group:
    group_labels = policy.group_labels(labels)
    key = group_key(group_labels)
    if key not in groups:
        groups[key] = _Group(key, group_labels)
    return groups[key]


def _followed(told: Told, alert: Alert | None, now_ms: int, hold_ms: int) -> Told:
    """A known alert as it is now: firing, or ended and held until its end is told."""
    known = told.alert
    if alert is not None and alert.state == "firing":
        if known.state == "firing":
            return told
        return Told(replace(known, state="firing", resolved_at_ms=None))
    if alert is not None:
        ended_ms = now_ms if alert.resolved_at_ms is None else alert.resolved_at_ms
    else:
        ended_ms = now_ms if known.resolved_at_ms is None else known.resolved_at_ms
    if told.resolve_at_ms is not None and (known.resolved_at_ms or 0) >= ended_ms:
        return told if hold_ms else told._replace(resolve_at_ms=min(told.resolve_at_ms, ended_ms))
    latest = _same_incident(alert or known, told)
    return Told(replace(latest, state="inactive", resolved_at_ms=ended_ms), ended_ms + hold_ms)


def _same_incident(alert: Alert, told: Told | None) -> Alert:
    """The alert, with the beginning that the receiver was told."""
    if told is None:
        return alert
    return replace(alert, active_at_ms=told.alert.active_at_ms, fired_at_ms=told.alert.fired_at_ms)


def _at_or_before(at_ms: int | None, now_ms: int) -> bool:
    return at_ms is not None and at_ms <= now_ms
