"""Rules that were read, as text again."""

from spanbudget.rules.expansion.rule_text import GroupText, RuleText
from spanbudget.rules.groups import AlertingRule, Rule, RuleGroup


def group_text(group: RuleGroup) -> GroupText:
    """The text of a group that was read; what it says is the same, how it was laid out is not."""
    return GroupText(
        name=group.name,
        rules=tuple(map(_rule_text, group.rules)),
        interval_ms=group.interval_ms,
        limit=group.limit,
        query_offset_ms=group.query_offset_ms,
        labels=group.labels,
    )


def _rule_text(rule: Rule) -> RuleText:
    if isinstance(rule, AlertingRule):
        return RuleText(
            expr=rule.expression.text,
            alert=rule.name,
            for_ms=rule.for_ms,
            keep_firing_for_ms=rule.keep_firing_for_ms,
            labels=rule.labels,
            annotations=rule.annotations,
        )
    return RuleText(expr=rule.expression.text, record=rule.name, labels=rule.labels)
