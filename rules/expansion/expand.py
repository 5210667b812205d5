"""A budget's alerts as rules."""

from dataclasses import dataclass, replace

from spanbudget.rules.expansion.call_rules import (
    error_rate_rule,
    latency_rule,
    model_share_rule,
    silence_rule,
    unpriced_rule,
)
from spanbudget.rules.expansion.money_rules import anomaly_rule, burn_rule, projected_rule, threshold_rule
from spanbudget.rules.expansion.rule_text import GroupText, RuleText
from spanbudget.rules.expansion.sugar import (
    AnomalyAlert,
    BudgetAlerts,
    BurnAlert,
    ErrorRateAlert,
    LatencyAlert,
    ModelShareAlert,
    ProjectedAlert,
    SilenceAlert,
    SugarAlert,
    ThresholdAlert,
    UnpricedAlert,
    Wishes,
)
from spanbudget.rules.labels import labels_of

GROUP_PREFIX = "budget:"
"""The group of a budget's rules is named after it, behind this."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of alerts.

    Attributes:
        rules: In the order of the alerts.
        left_out: What was left out, and why; for people.
    """

    rules: tuple[RuleText, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expansion:
    """What became of the alerts of budgets.

    Attributes:
        groups: The rules.
        notes: What was left out, and why; for people.
    """

    groups: tuple[GroupText, ...]
    notes: tuple[str, ...] = ()


def expand(budget: BudgetAlerts) -> Expansion:
    """Writes the rules of one budget, as a group of its own; see `expand_all` for many.

    Args:
        budget: What the budget says about its alerts.
    """
    made = written(budget)
    notes = tuple(f"budget {budget.budget}: {left_out}" for left_out in made.left_out)
    group = GroupText(f"{GROUP_PREFIX}{budget.budget}", made.rules)
    return Expansion((group,) if made.rules else (), notes)


def written(budget: BudgetAlerts) -> Written:
    """Writes the rules of a budget, or of several at once: the same ones, apart from whom they look at."""
    made = [(alert, _rule(budget, alert)) for alert in budget.alerts]
    rules = tuple(
        _as_wished(_as_wished(rule, budget.wishes), alert.wishes)
        for alert, rule in made
        if isinstance(rule, RuleText)
    )
    return Written(rules, tuple(left_out for _, left_out in made if isinstance(left_out, str)))


def _rule(budget: BudgetAlerts, alert: SugarAlert) -> RuleText | str:  # noqa: PLR0911 - it lists the kinds
    """The rule of an alert, or why there is none."""
    match alert:
        case ThresholdAlert():
            return threshold_rule(budget, alert)
        case BurnAlert():
            return burn_rule(budget, alert)
        case ProjectedAlert():
            return projected_rule(budget, alert)
        case AnomalyAlert():
            return anomaly_rule(budget, alert)
        case ErrorRateAlert():
            return error_rate_rule(budget, alert)
        case LatencyAlert():
            return latency_rule(budget, alert)
        case ModelShareAlert():
            return model_share_rule(budget, alert)
        case UnpricedAlert():
            return unpriced_rule(budget, alert)
        case SilenceAlert():
            return silence_rule(budget, alert)


def _as_wished(rule: RuleText, wishes: Wishes) -> RuleText:
    severity = {"severity": wishes.severity} if wishes.severity else {}
    return replace(
        rule,
        for_ms=rule.for_ms if wishes.for_ms is None else wishes.for_ms,
        keep_firing_for_ms=(
            rule.keep_firing_for_ms if wishes.keep_firing_for_ms is None else wishes.keep_firing_for_ms
        ),
        labels=labels_of({**dict(rule.labels), **dict(wishes.labels), **severity}),
        annotations=labels_of({**dict(rule.annotations), **dict(wishes.annotations)}),
    )
