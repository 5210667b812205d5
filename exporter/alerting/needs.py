"""What rules read, and how far back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.labels import METRIC_NAME
from spanbudget.rules.promql.expression import Expression
from spanbudget.rules.series import LOOK_BACK_MS

KEEP_MS_MAX: Final = 40 * 86_400_000
"""The longest history that is kept, 40 days; a rule that looks further back is told so when it is loaded."""
SLACK_MS: Final = 2 * LOOK_BACK_MS


@dataclass(frozen=True, slots=True)
class Needs:
    """What a set of expressions reads.

    Attributes:
        names: The metrics; None where a selector names none, so that all are wanted.
        keep_ms: How long the samples of a metric must stay, milliseconds, by its name.
        keep_all_ms: How long those of every other metric must stay, milliseconds.
    """

    names: frozenset[str] | None
    keep_ms: dict[str, int]
    keep_all_ms: int
    _by_age: dict[int, frozenset[str] | None] = field(default_factory=dict, compare=False, repr=False)

    def wants(self, name: str) -> bool:
        """Whether any expression reads a metric."""
        return self.names is None or name in self.names

    def names_of_age(self, age_ms: int) -> frozenset[str] | None:
        """The metrics whose samples are kept for so long; None for all."""
        known = self._by_age.get(age_ms, ...)
        if known is ...:
            kept = frozenset(name for name, keep_ms in self.keep_ms.items() if keep_ms >= age_ms)
            known = None if self.names is None and self.keep_all_ms >= age_ms else kept
            self._by_age[age_ms] = known
        return known

    @property
    def longest_ms(self) -> int:
        """How far back any expression looks, milliseconds."""
        return max([self.keep_all_ms, *self.keep_ms.values()])


def needs_of(expressions: Iterable[Expression]) -> Needs:
    """What some expressions read."""
    keep_ms: dict[str, int] = {}
    every, keep_all_ms = False, SLACK_MS
    for expression in expressions:
        for need in expression.needs:
            back_ms = min(need.back_ms + SLACK_MS, KEEP_MS_MAX)
            name = next((m.value for m in need.matchers if m.name == METRIC_NAME and m.operator == "="), None)
            if name is None:
                every, keep_all_ms = True, max(keep_all_ms, back_ms)
            else:
                keep_ms[name] = max(back_ms, keep_ms.get(name, 0))
    return Needs(None if every else frozenset(keep_ms), keep_ms, keep_all_ms)


def needs_of_groups(groups: Iterable[RuleGroup]) -> Needs:
    """What all rules of some groups read."""
    return needs_of(rule.expression for group in groups for rule in group.rules)
