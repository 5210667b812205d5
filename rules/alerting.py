"""An alerting rule from one evaluation to the next: its templates, its alerts, and the series about them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.alerts import Alert, Held, Holding, Step, advance
from spanbudget.rules.annotations import LateAnnotations
from spanbudget.rules.groups import AlertingRule
from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of
from spanbudget.rules.promql.expression import STEP_MS, Expression, Vector, parse_expression
from spanbudget.rules.recording import instant_vector, over
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals, Template, TemplateContext, compile_template

ALERT_NAME: Final = "alertname"
ALERT_STATE: Final = "alertstate"
ALERTS: Final = "ALERTS"
ALERTS_FOR_STATE: Final = "ALERTS_FOR_STATE"
_STAYING: Final = ("never", "labels")
"""Templates of these kinds give the same text for a label set as long as nothing else changes."""
_QUERIES_MAX: Final = 1_000
"""Texts that templates of one rule query and that are kept as expressions: of each alert its own ones."""


class Moment(NamedTuple):
    """When and over what a rule is evaluated.

    Attributes:
        store: The series.
        at_ms: The time of the evaluation, milliseconds since the epoch.
        sample_ms: The time of the samples: earlier by the group's `query_offset`.
        externals: What templates can say about who sends the alerts.
        step_ms: The step of subqueries that name none, milliseconds.
    """

    store: SeriesStore
    at_ms: int
    sample_ms: int
    externals: Externals = Externals()
    step_ms: int = STEP_MS

    def vector(self, expression: Expression) -> Vector:
        """The result of a rule's expression.

        Raises:
            EvaluationError: It cannot be evaluated.
        """
        return instant_vector(expression, self.store, self.sample_ms, self.step_ms)


class _Known:
    """What is known of one label set of a rule's result."""

    __slots__ = ("annotations", "labels", "value")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.value: float | None = None
        self.annotations: Sequence[tuple[str, str]] | None = None


class AlertWriting:
    """The labels and annotations that a rule gives to its alerts.

    What cannot have changed since the last evaluation is not expanded again. Labels are an alert's identity
    and are always there; annotations that only depend on the sample are expanded when they are looked at.

    Args:
        name: The alert's name.
        labels: Templates by label name.
        annotations: Templates by annotation name.

    Raises:
        ExpressionError: A template cannot be read.
    """

    __slots__ = (
        "_annotations", "_annotations_dated", "_annotations_stay", "_externals", "_known", "_labels",
        "_labels_stay", "_name", "_queries",
    )  # fmt: skip

    def __init__(self, name: str, labels: Labels, annotations: Labels) -> None:
        self._name = name
        self._labels = _compiled(labels, name)
        self._annotations = _compiled(annotations, name)
        kinds = {template.varies for _, template in self._annotations}
        self._annotations_stay = kinds.issubset(_STAYING)
        self._annotations_dated = "time" in kinds
        self._labels_stay = all(template.varies in _STAYING for _, template in self._labels)
        self._known: dict[Labels, _Known] = {}
        self._externals = Externals()
        self._queries: dict[str, Expression] = {}

    def held(self, vector: Vector, moment: Moment) -> dict[Labels, Held]:
        """The alerts' label sets, with values and annotations.

        Raises:
            EvaluationError: Two of them have the same labels.
        """
        if moment.externals != self._externals:
            self._known, self._externals = {}, moment.externals
        before, known = self._known, {}
        labels_stay, query = self._labels_stay, partial(self._query, moment)
        held: dict[Labels, Held] = {}
        for sample, value in vector:
            entry = before.get(sample)
            if entry is None or not labels_stay:
                context = TemplateContext(sample, value, moment.at_ms, moment.externals, query)
                entry = _Known(self._alert_labels(context))
            annotations = entry.annotations
            if annotations is None or not self._same_annotations(entry, value):
                annotations = self._annotated(annotations, sample, value, moment)
                entry.annotations, entry.value = annotations, value
            known[sample] = entry
            held[entry.labels] = Held(value, annotations)
        if len(held) < len(vector):
            raise EvaluationError(
                "vector contains metrics with the same labelset after applying alert labels"
            )
        self._known = known
        return held

    def _same_annotations(self, entry: _Known, value: float) -> bool:
        return self._annotations_stay or (value == entry.value and not self._annotations_dated)

    def _alert_labels(self, context: TemplateContext) -> Labels:
        """The sample's labels without the metric's name, the rule's over them, and the alert's name."""
        named = dict(context.labels)
        named.pop(METRIC_NAME, None)
        for name, template in self._labels:
            named[name] = template.expand(context)
        named[ALERT_NAME] = self._name
        return labels_of(named)

    def _annotated(
        self, old: Sequence[tuple[str, str]] | None, sample: Labels, value: float, moment: Moment
    ) -> Sequence[tuple[str, str]]:
        """The annotations; unlike labels they may be empty. What looks at the series does it now."""
        if not self._annotations_dated:
            return LateAnnotations(self._annotations, sample, value, moment.externals)
        query = partial(self._query, moment)
        context = TemplateContext(sample, value, moment.at_ms, moment.externals, query)
        if old is None:
            return tuple((name, template.expand(context)) for name, template in self._annotations)
        return tuple(
            same if template.varies in _STAYING else (name, template.expand(context))
            for same, (name, template) in zip(old, self._annotations, strict=True)
        )

    def _query(self, moment: Moment, text: str) -> Vector:
        """What the function `query` of a template finds, at the time of the evaluation.

        Raises:
            ExpressionError: The text is no expression.
            EvaluationError: It cannot be evaluated.
        """
        expression = self._queries.get(text)
        if expression is None:
            if len(self._queries) >= _QUERIES_MAX:
                self._queries.clear()
            expression = self._queries[text] = parse_expression(text)
        return instant_vector(expression, moment.store, moment.at_ms, moment.step_ms)


def _compiled(templates: Labels, name: str) -> tuple[tuple[str, Template], ...]:
    return tuple((key, compile_template(text, f"__alert_{name}")) for key, text in templates)


class AlertSeries:
    """The series about a rule's alerts: `ALERTS` and `ALERTS_FOR_STATE`.

    Args:
        labels: The rule's, templates as they are written; they show where an alert lacks the label.
    """

    __slots__ = ("_below", "_known")

    def __init__(self, labels: Labels) -> None:
        self._below = dict(labels)
        self._known: dict[Labels, tuple[Labels, Labels, Labels]] = {}

    def samples(self, alerts: Mapping[Labels, Alert]) -> dict[Labels, float]:
        """One sample of each of the two for every alert that is pending or firing."""
        before, known = self._known, {}
        samples: dict[Labels, float] = {}
        for labels, alert in alerts.items():
            if alert.state == "inactive":
                continue
            names = known[labels] = before.get(labels) or self._names(labels)
            samples[names[alert.state == "firing"]] = 1.0
            samples[names[2]] = float(alert.active_at_ms // 1000)
        self._known = known
        return samples

    def _names(self, labels: Labels) -> tuple[Labels, Labels, Labels]:
        """The label sets of a pending alert, of a firing one, and of the time since when it is active."""
        own = {**self._below, **dict(labels)}
        return (
            labels_of({**own, METRIC_NAME: ALERTS, ALERT_STATE: "pending"}),
            labels_of({**own, METRIC_NAME: ALERTS, ALERT_STATE: "firing"}),
            labels_of({**own, METRIC_NAME: ALERTS_FOR_STATE}),
        )


class AlertMemory:
    """What stays of an alerting rule from one evaluation to the next.

    Args:
        rule: The rule.
        group_labels: Of its group, below its own.
        alerts: As they were restored.

    Attributes:
        alerts: By label set, resolved ones included.
    """

    __slots__ = ("_holding", "_rule", "_series", "_writing", "alerts")

    def __init__(self, rule: AlertingRule, group_labels: Labels, alerts: Iterable[Alert] = ()) -> None:
        labels = over(group_labels, rule.labels)
        self._rule = rule
        self._holding = Holding(rule.for_ms, rule.keep_firing_for_ms)
        self._writing = AlertWriting(rule.name, labels, rule.annotations)
        self._series = AlertSeries(labels)
        self.alerts: dict[Labels, Alert] = {alert.labels: alert for alert in alerts}

    def evaluate(self, moment: Moment, limit: int) -> tuple[Step, dict[Labels, float]]:
        """Takes the alerts through one evaluation.

        Returns:
            The alerts and what changed, and the samples about them.

        Raises:
            EvaluationError: The expression or the labels failed, and the alerts are what they were; or there
                are more alerts than the limit, and none is left.
        """
        vector = moment.vector(self._rule.expression)
        held = self._writing.held(vector, moment)
        step = advance(self._holding, self.alerts, held, moment.at_ms)
        active = sum(alert.state != "inactive" for alert in step.alerts.values()) if limit else 0
        if active > limit > 0:
            self.alerts = {}
            raise EvaluationError(f"exceeded limit of {limit} with {active} alerts")
        self.alerts = step.alerts
        return step, self._series.samples(step.alerts)
