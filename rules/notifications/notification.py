"""One notification, and the log of what a receiver was told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from hashlib import sha256
from typing import Literal, NamedTuple, TypeAlias

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels, label_value

Status: TypeAlias = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that a receiver is told.

    Attributes:
        id: The same for the same content after the same log: what a receiver knows a repetition by.
        receiver: Name of the receiver.
        group_key: The text that names the group.
        group_labels: The labels that all alerts of the group share.
        alerts: In Alertmanager's order; those that have ended are in the state `inactive`.
        at_ms: When it was decided, milliseconds since the epoch.
    """

    id: str
    receiver: str
    group_key: str
    group_labels: Labels
    alerts: tuple[Alert, ...]
    at_ms: int

    @property
    def status(self) -> Status:
        """`firing` while any of the alerts fires."""
        return "firing" if any(alert.state == "firing" for alert in self.alerts) else "resolved"


class Told(NamedTuple):
    """An alert that a receiver knows as firing.

    Attributes:
        alert: As it was told; in the state `inactive` where it has ended and that is not told yet.
        resolve_at_ms: When its end is told, milliseconds since the epoch; None while it fires.
    """

    alert: Alert
    resolve_at_ms: int | None = None


class Sent(NamedTuple):
    """What a receiver was last told of a group.

    Attributes:
        at_ms: When, milliseconds since the epoch.
        alerts: What it knows as firing, in the order of their labels.
    """

    at_ms: int
    alerts: tuple[Told, ...]


class Plan(NamedTuple):
    """What is to be told now.

    Attributes:
        notifications: To be sent, in the order of their groups.
        log: The entries that are new or have changed, by group key.
        forgotten: Group keys whose entries are to be deleted.
        next_due_ms: When something is to be told though nothing changes; None for never.
    """

    notifications: tuple[Notification, ...] = ()
    log: Mapping[str, Sent] = {}
    forgotten: tuple[str, ...] = ()
    next_due_ms: int | None = None


def notification_id(receiver: str, group: str, alerts: Iterable[Alert], before_ms: int | None) -> str:
    """The id of a notification.

    Args:
        receiver: Name of the receiver.
        group: What names the group.
        alerts: What is told.
        before_ms: When the group was told of before, None for never; it tells a repetition from a retry.
    """
    content = [(alert.labels, alert.state, alert.fired_at_ms) for alert in alerts]
    return "msg_" + sha256(repr((receiver, group, before_ms, content)).encode()).hexdigest()[:32]


def in_order(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Alerts in the order in which Alertmanager lists them.

    Source: Alertmanager, types/types.go, `AlertSlice.Less`; prometheus/common, `LabelSet.Before`.
    """
    return tuple(sorted(alerts, key=cmp_to_key(_compared)))


def _compared(one: Alert, other: Alert) -> int:
    for name in ("job", "instance"):
        own, others = label_value(one.labels, name), label_value(other.labels, name)
        if own != others:
            # An alert without the label comes after those that have it.
            return -1 if own and (not others or own < others) else 1
    if len(one.labels) != len(other.labels):
        return -1 if len(one.labels) < len(other.labels) else 1
    for (name, value), (other_name, other_value) in zip(one.labels, other.labels, strict=True):
        if name != other_name:
            return 1 if name < other_name else -1  # The one that lacks the smaller name comes first.
        if value != other_value:
            return -1 if value < other_value else 1
    return 0
