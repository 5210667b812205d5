"""The rules that the budgets of a configuration ask for."""

from collections.abc import Sequence

from spanbudget.exporter.config_sections import BudgetConfig
from spanbudget.exporter.rule_rendering.rendering import distinct, render
from spanbudget.rules.expansion.expand import Expansion
from spanbudget.rules.expansion.rule_text import GroupText, RuleText
from spanbudget.rules.expansion.sharing import expand_all
from spanbudget.rules.groups import AlertingRule, Place, RecordingRule, Rule, RuleGroup
from spanbudget.rules.promql.expression import parse_expression


def expansion(budgets: Sequence[BudgetConfig]) -> Expansion:
    """What becomes of the `alerts` of budgets, those that want the same together."""
    asked = (budget.to_alerts() for budget in budgets)
    return expand_all([alerts for alerts in asked if alerts is not None])


def expanded_groups(budgets: Sequence[BudgetConfig]) -> tuple[GroupText, ...]:
    """The groups of rules."""
    return expansion(budgets).groups


def expanded_text(budgets: Sequence[BudgetConfig]) -> str:
    """The rules as the text of a Prometheus file; "" where no budget asks for any.

    Some 7 kB for each kind of `alerts: true`, whatever the number of budgets, and their names in each
    selector. Of more than 140 kinds it is more than a rule file may have here; see `expanded_rules`.
    """
    groups = expanded_groups(budgets)
    return render(groups, "prometheus") if groups else ""


def expanded_rules(budgets: Sequence[BudgetConfig], file: str) -> tuple[RuleGroup, ...]:
    """The rules themselves: those that `expanded_text` has, without writing and reading YAML.

    Args:
        budgets: The budgets.
        file: What the groups' file is called.
    """
    return tuple(_group(group, file) for group in distinct(expanded_groups(budgets)))


def _group(group: GroupText, file: str) -> RuleGroup:
    return RuleGroup(
        name=group.name,
        file=file,
        rules=tuple(_rule(rule, Place(file, 1)) for rule in group.rules),
        interval_ms=group.interval_ms,
        limit=group.limit,
        query_offset_ms=group.query_offset_ms,
        labels=group.labels,
    )


def _rule(rule: RuleText, place: Place) -> Rule:
    expression = parse_expression(rule.expr)
    if rule.record:
        return RecordingRule(rule.record, expression, rule.labels, place)
    return AlertingRule(
        rule.alert, expression, rule.for_ms, rule.keep_firing_for_ms, rule.labels, rule.annotations, place
    )
