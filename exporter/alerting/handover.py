"""Alerts from before a restart find their rules again, also those whose rule is in another group now.

Budgets whose alerts are the same share rules, so a budget that comes, goes or changes moves alerts of others
from one group to another. They must go on there: an end, or a second beginning, would be told though nothing
happened. Prometheus restores by labels, whatever the group, too.

Source: Prometheus, rules/group.go, `Group.RestoreForState`.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from spanbudget.exporter.alert_store.records import RuleKey
from spanbudget.rules.alerting import ALERT_NAME
from spanbudget.rules.alerts import Alert
from spanbudget.rules.groups import AlertingRule
from spanbudget.rules.labels import METRIC_NAME, Labels, label_value
from spanbudget.rules.promql.expression import Need
from spanbudget.rules.recording import over

AlertKey: TypeAlias = tuple[RuleKey, Labels]
"""What an alert is kept under."""


class LoadedRule(NamedTuple):
    """A rule that alerts may belong to.

    Attributes:
        rule: The rule.
        group_labels: Of its group, below its own.
    """

    rule: AlertingRule
    group_labels: Labels


class Handover(NamedTuple):
    """Whose the kept alerts are now.

    Attributes:
        alerts: By rule; none of rules that are there no more.
        moved: What they were kept under, where that was something else.
        orphans: The alerts that no rule can have, by what they are kept under.
    """

    alerts: dict[RuleKey, list[Alert]]
    moved: list[AlertKey]
    orphans: dict[AlertKey, Alert]


def hand_over(rules: Mapping[RuleKey, LoadedRule], kept: Mapping[RuleKey, tuple[Alert, ...]]) -> Handover:
    """Finds the rule of each alert: its own where that can still have it, else one of that name that can.

    Args:
        rules: The rules that are there.
        kept: The alerts, by the rules that they were kept under.
    """
    found = Handover({}, [], {})
    strangers: list[AlertKey] = []
    by_labels: dict[AlertKey, Alert] = {}
    for key, alerts in kept.items():
        for alert in alerts:
            if key in rules and _can_have(rules[key], alert.labels):
                found.alerts.setdefault(key, []).append(alert)
            else:
                strangers.append((key, alert.labels))
                by_labels[key, alert.labels] = alert
    taken = {(key, alert.labels) for key, alerts in found.alerts.items() for alert in alerts}
    for own, labels in strangers:
        home = _home(rules, labels, taken)
        alert = by_labels[own, labels]
        if home is not None:
            found.moved.append((own, labels))
        elif own in rules:
            home = own
        else:
            found.orphans[own, labels] = alert
            continue
        taken.add((home, labels))
        found.alerts.setdefault(home, []).append(alert)
    return found


def _home(rules: Mapping[RuleKey, LoadedRule], labels: Labels, taken: set[AlertKey]) -> RuleKey | None:
    name = label_value(labels, ALERT_NAME)
    able = (key for key, loaded in rules.items() if loaded.rule.name == name and _can_have(loaded, labels))
    return next((key for key in able if (key, labels) not in taken), None)


def _can_have(loaded: LoadedRule, labels: Labels) -> bool:
    """Whether a rule may have an alert, by the labels that it sets and the series that it looks at."""
    own, given = dict(over(loaded.group_labels, loaded.rule.labels)), dict(labels)
    if any("{{" not in text and given.get(name, "") != text for name, text in own.items()):
        return False
    needs = loaded.rule.expression.needs
    return not needs or any(_meets(need, given, own) for need in needs)


def _meets(need: Need, given: Mapping[str, str], own: Mapping[str, str]) -> bool:
    """Whether an alert's labels, but for those that its rule sets, may be those of a selector's series."""
    return all(
        matcher.matches(given[matcher.name])
        for matcher in need.matchers
        if matcher.name in given and matcher.name not in own and matcher.name != METRIC_NAME
    )
