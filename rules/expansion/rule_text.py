"""Rules as text, before they are read and after they are written."""

from dataclasses import dataclass

from spanbudget.rules.labels import EMPTY, Labels


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule; `alert` or `record` is set, the other one is "".

    Attributes:
        expr: PromQL.
        alert: Name of the alert.
        record: Name of the metric that is recorded.
        for_ms: How long the result must hold before the alert fires.
        keep_firing_for_ms: How long the result must hold before the alert fires.
        labels: Templates by label name.
        annotations: Templates by annotation name.
    """

    expr: str
    alert: str = ""
    record: str = ""
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Labels = EMPTY
    annotations: Labels = EMPTY


@dataclass(frozen=True, slots=True)
class GroupText:
    """A group of rules; see `RuleGroup`."""

    name: str
    rules: tuple[RuleText, ...]
    interval_ms: int | None = None
    limit: int = 0
    query_offset_ms: int = 0
    labels: Labels = EMPTY
