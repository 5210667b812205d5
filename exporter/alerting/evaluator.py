"""Evaluates groups when they are due, and tells what has to be kept and who has to be told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spanbudget.exporter.alert_store.records import RuleKey
from spanbudget.exporter.alerting.handover import AlertKey, LoadedRule, hand_over
from spanbudget.rules.alerts import RESOLVED_KEEP_MS, Alert
from spanbudget.rules.durations import NEVER_MS
from spanbudget.rules.evaluation import GroupMemory, RuleOutcome, evaluate_group
from spanbudget.rules.groups import AlertingRule, RuleGroup
from spanbudget.rules.labels import shown
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals


@dataclass(slots=True)
class Evaluated:
    """What an evaluation came to.

    Attributes:
        kept: Alerts that are new or have changed, by their keys.
        gone: Alerts of which nothing stays.
        changed: Whether an alert began to fire or ended.
        groups: How many groups were evaluated.
    """

    kept: dict[AlertKey, Alert] = field(default_factory=dict)
    gone: list[AlertKey] = field(default_factory=list)
    changed: bool = False
    groups: int = 0


class Evaluator:
    """All groups with their state; for one thread.

    Args:
        groups: What is evaluated.
        store: The series.
        kept: The alerts from before a restart. Those that no rule can have any more end.
        interval_ms: How often groups without an interval of their own are evaluated, at least.
        externals: What templates can say about who sends the alerts.
        now_ms: Milliseconds since the epoch.

    Attributes:
        failures: Failed evaluations of rules, by group.
        evaluations: Evaluations of groups.
        errors: (group, rule) → the error of its last evaluation, where that failed.
    """

    def __init__(
        self,
        *,
        groups: Sequence[RuleGroup],
        store: SeriesStore,
        kept: Mapping[RuleKey, tuple[Alert, ...]],
        interval_ms: int,
        externals: Externals,
        now_ms: int,
    ) -> None:
        self._store = store
        self._interval_ms = interval_ms
        self._externals = externals
        self._kept = {rule: {alert.labels: alert for alert in alerts} for rule, alerts in kept.items()}
        handover = hand_over(_loaded(groups), kept)
        self._runs = [_Run(group, handover.alerts) for group in groups]
        self._moved = handover.moved
        self._orphans: dict[AlertKey, Alert] = {
            key: alert if alert.state == "inactive" else _ended(alert, now_ms)
            for key, alert in handover.orphans.items()
        }
        self.failures: Counter[str] = Counter()
        self.errors: dict[tuple[str, str], str] = {}
        self.evaluations = 0

    def is_due(self, now_ms: int, *, news: bool) -> bool:
        """Whether any group is to be evaluated."""
        lonely = bool(self._orphans) and not self._runs
        return lonely or any(run.is_due(now_ms, self._interval_ms, news=news) for run in self._runs)

    def next_due_ms(self) -> int:
        """When the next group is to be evaluated though nothing is new."""
        return min((run.next_due_ms(self._interval_ms) for run in self._runs), default=NEVER_MS)

    def evaluate(self, now_ms: int, *, news: bool) -> Evaluated:
        """Evaluates the groups that are due.

        Args:
            now_ms: Milliseconds since the epoch, later than the last time.
            news: Whether there is new spend: groups without an interval of their own are due then.
        """
        found = Evaluated()
        for run in self._runs:
            if run.is_due(now_ms, self._interval_ms, news=news):
                found.groups += 1
                self._note(run, run.evaluate(self._store, now_ms, self._externals), found)
        self._bury(found, now_ms)
        self._leave(found)
        self.evaluations += found.groups
        return found

    def alerts(self) -> Iterator[Alert]:
        """All alerts: pending, firing, and those that ended a short time ago.

        One that ended is left out while another rule has the same: who is told knows alerts by their labels.
        """
        alerts = list(self._all())
        ended = {alert.labels for alert in alerts if alert.state == "inactive"}
        active = {alert.labels for alert in alerts if alert.state != "inactive"} if ended else ended
        yield from (alert for alert in alerts if alert.state != "inactive" or alert.labels not in active)

    def _all(self) -> Iterator[Alert]:
        for run in self._runs:
            for alerts in run.memory.alerts:
                yield from alerts
        yield from self._orphans.values()

    def _note(self, run: "_Run", outcomes: Iterable[RuleOutcome], found: Evaluated) -> None:
        for rule_key, outcome in zip(run.rules, outcomes, strict=True):
            where = (run.group.name, outcome.rule.name)
            if outcome.error is None:
                self.errors.pop(where, None)
            else:
                self.failures[run.group.name] += 1
                self.errors[where] = outcome.error
            found.changed = found.changed or bool(outcome.changed)
            if isinstance(outcome.rule, AlertingRule):
                self._compare(rule_key, outcome.alerts, found)

    def _compare(self, rule: RuleKey, alerts: Sequence[Alert], found: Evaluated) -> None:
        kept = self._kept.get(rule)
        if not alerts and not kept:
            return
        if kept is None:
            kept = self._kept[rule] = {}
        for alert in alerts:
            before = kept.get(alert.labels)
            if before is not alert and (before is None or _times(before) != _times(alert)):
                found.kept[rule, alert.labels] = alert
                kept[alert.labels] = alert
        if len(kept) > len(alerts):
            for labels in kept.keys() - {alert.labels for alert in alerts}:
                found.gone.append((rule, labels))
                del kept[labels]

    def _bury(self, found: Evaluated, now_ms: int) -> None:
        """Lets the alerts of rules that are there no more end, and forgets them when that was told."""
        for key, alert in list(self._orphans.items()):
            rule, labels = key
            kept = self._kept.setdefault(rule, {})
            if kept.get(labels) != alert:
                found.kept[key] = kept[labels] = alert
                found.changed = True
            elif now_ms - (alert.resolved_at_ms or 0) > RESOLVED_KEEP_MS:
                found.gone.append(key)
                kept.pop(labels, None)
                del self._orphans[key]

    def _leave(self, found: Evaluated) -> None:
        """Forgets alerts under the rules that they have moved away from."""
        for rule, labels in self._moved:
            if self._kept[rule].pop(labels, None) is not None:
                found.gone.append((rule, labels))
        self._moved = []


class _Run:
    """One group, with what stays of it."""

    def __init__(self, group: RuleGroup, kept: Mapping[RuleKey, Sequence[Alert]]) -> None:
        self.group = group
        self.rules = rule_keys(group)
        alerts = {index: kept[rule] for index, rule in enumerate(self.rules) if rule in kept}
        self.memory = GroupMemory(group, alerts)
        self._last_ms = -NEVER_MS

    def is_due(self, now_ms: int, interval_ms: int, *, news: bool) -> bool:
        own_ms = self.group.interval_ms
        return (news and own_ms is None) or now_ms >= self.next_due_ms(interval_ms)

    def next_due_ms(self, interval_ms: int) -> int:
        return self._last_ms + (interval_ms if self.group.interval_ms is None else self.group.interval_ms)

    def evaluate(self, store: SeriesStore, now_ms: int, externals: Externals) -> list[RuleOutcome]:
        self._last_ms = now_ms
        return evaluate_group(self.group, self.memory, store, now_ms, externals=externals)


def _loaded(groups: Iterable[RuleGroup]) -> dict[RuleKey, LoadedRule]:
    return {
        key: LoadedRule(rule, group.labels)
        for group in groups
        for key, rule in zip(rule_keys(group), group.rules, strict=True)
        if isinstance(rule, AlertingRule)
    }


def rule_keys(group: RuleGroup) -> tuple[RuleKey, ...]:
    """What the alerts of each rule are kept under: it survives rules that are added before and after it."""
    seen: Counter[str] = Counter()
    keys = []
    for rule in group.rules:
        text = f"{rule.name} {shown(rule.labels)}" if rule.labels else rule.name
        seen[text] += 1
        keys.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    return tuple(RuleKey(f"{group.file};{group.name}", key) for key in keys)


def _ended(alert: Alert, now_ms: int) -> Alert:
    return replace(alert, state="inactive", resolved_at_ms=now_ms)


def _times(alert: Alert) -> tuple[object, ...]:
    """What of an alert must outlive the process; its value is worked out anew."""
    return (
        alert.state,
        alert.active_at_ms,
        alert.fired_at_ms,
        alert.resolved_at_ms,
        alert.keep_firing_since_ms,
    )
