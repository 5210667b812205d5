"""What a store of alerts takes and gives: the records, without any database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from spanbudget.exporter.anomalies.records import NO_CHANGE, AnomalyChange
from spanbudget.processors.errors import AlertStoreError
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels

OutboxState: TypeAlias = Literal["waiting", "sent", "dead"]
"""`dead`: given up; it stays for people to see, and to send again."""


class NotLeadingError(AlertStoreError):
    """Another process evaluates the rules now; nothing was kept."""


class RuleKey(NamedTuple):
    """Names an alerting rule.

    Attributes:
        group: What names its group among all groups of all files.
        rule: What names it in its group.
    """

    group: str
    rule: str


class LogKey(NamedTuple):
    """Names what a receiver was told of a group.

    Attributes:
        receiver: Name of the receiver.
        group_key: The text that names the group.
    """

    receiver: str
    group_key: str


class OutboxRow(NamedTuple):
    """A notification that is to be delivered, or was.

    Attributes:
        id: The notification's id; receivers know a repetition by it.
        receiver: Name of the receiver; where it is, and its secrets, are in the configuration only.
        group_key: Notifications of one receiver and group are sent one after the other, in order.
        payload: What is told, as JSON has it.
        created_ns: Nanoseconds since the epoch.
        due_ns: When it is to be tried next, nanoseconds since the epoch.
        attempts: How often it was tried in vain.
        state: Where it stands.
        last_error: Why the last attempt failed; None where none did.
        ended_ns: When it was sent or given up, nanoseconds since the epoch; None while it waits.
    """

    id: str
    receiver: str
    group_key: str
    payload: Mapping[str, Any]
    created_ns: int
    due_ns: int
    attempts: int = 0
    state: OutboxState = "waiting"
    last_error: str | None = None
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What an evaluation changed; all of it is kept, or nothing.

    Attributes:
        alerts: States that are new or changed, each once.
        gone: Alerts that are to be forgotten, by rule and labels.
        log: What a receiver was last told of a group; None forgets it.
        outbox: What is to be delivered, in this order; one whose id is known changes nothing.
        notes: Texts by name; None forgets one.
        anomalies: What the watch for anomalies has found and learnt.
    """

    alerts: Sequence[tuple[RuleKey, Alert]] = ()
    gone: Sequence[tuple[RuleKey, Labels]] = ()
    log: Mapping[LogKey, Any] = field(default_factory=dict)
    outbox: Sequence[OutboxRow] = ()
    notes: Mapping[str, str | None] = field(default_factory=dict)
    anomalies: AnomalyChange = NO_CHANGE

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.alerts or self.gone or self.log or self.outbox or self.notes or self.anomalies)


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that was kept, but for the outbox.

    Attributes:
        alerts: By rule.
        log: What receivers were last told.
        notes: Texts by name.
    """

    alerts: Mapping[RuleKey, tuple[Alert, ...]] = field(default_factory=dict)
    log: Mapping[LogKey, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
