"""Rules and their groups, as a Prometheus rule file has them."""

from dataclasses import dataclass
from typing import TypeAlias

from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.promql.expression import Expression


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is written.

    Attributes:
        file: Name of the file, as it was given.
        line: Counted from 1.
    """

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A rule whose result becomes series.

    Attributes:
        name: The metric's name.
        expression: What is evaluated.
        labels: Set on every series of the result; they replace those of the same name.
        place: Where the rule is written.
    """

    name: str
    expression: Expression
    labels: Labels = EMPTY
    place: Place = Place("", 1)


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """A rule whose result becomes alerts, one for each label set.

    Attributes:
        name: The alert's name, the label `alertname`.
        expression: What is evaluated.
        for_ms: How long the result must hold before the alert fires.
        keep_firing_for_ms: How long an alert goes on firing after its result is gone.
        labels: Templates by label name.
        annotations: Templates by annotation name.
        place: Where the rule is written.
    """

    name: str
    expression: Expression
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Labels = EMPTY
    annotations: Labels = EMPTY
    place: Place = Place("", 1)


Rule: TypeAlias = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after the other, at one time.

    Attributes:
        name: Unique in its file.
        file: Name of the file, as it was given.
        rules: In the order of the file: a later one sees what an earlier one recorded.
        interval_ms: How often; None for the evaluator's own interval.
        limit: Most series or alerts of one rule, 0 for no limit; a rule with more fails and leaves nothing.
        query_offset_ms: How far in the past the expressions are evaluated.
        labels: Set on the results of all rules, below the rule's own ones.
    """

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_ms: int | None = None
    limit: int = 0
    query_offset_ms: int = 0
    labels: Labels = EMPTY
