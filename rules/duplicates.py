"""Rules that write the same series, or make the same alerts."""

from collections import Counter
from collections.abc import Iterable

from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.labels import Labels
from spanbudget.rules.recording import over


def duplicate_rules(groups: Iterable[RuleGroup]) -> list[tuple[str, Labels]]:
    """(name, labels) of the rules that are there more than once, in order: what promtool calls duplicates.

    Their expressions may differ: what they record, or what fires, does so under one name.
    """
    named = ((rule.name, over(group.labels, rule.labels)) for group in groups for rule in group.rules)
    counts = Counter(named)
    return sorted(rule for rule, count in counts.items() if count > 1)
