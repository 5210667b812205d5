"""Tests of rules in promtool's format: series in, alerts and values that must come of them.

Source: Prometheus, cmd/promtool/unittest.go.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from spanbudget.processors.errors import SpanBudgetError
from spanbudget.rules.alerting import ALERT_NAME
from spanbudget.rules.durations import duration_text
from spanbudget.rules.evaluation import GroupMemory, evaluate_group
from spanbudget.rules.failure_texts import alerts_failure, samples_failure
from spanbudget.rules.groups import AlertingRule, RuleGroup
from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.promql.expression import Vector, parse_expression
from spanbudget.rules.recording import instant_vector
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals
from spanbudget.rules.templates.values import Duration
from spanbudget.rules.templates.verbs import quoted

EVALUATIONS_MAX: Final = 1_000_000
"""Evaluations of one test: two years, minute by minute."""

_OUTSIDE: Final = Externals(function_url=None)
"""promtool gives the functions `externalURL` and `pathPrefix` no URL."""


@dataclass(frozen=True, slots=True)
class InputSeries:
    """A series that a test gives.

    Attributes:
        labels: The label set, the metric's name included.
        values: One for each interval of the test from its start; None where there is no sample.
    """

    labels: Labels
    values: Sequence[float | None]


class ExpectedAlert(NamedTuple):
    """Labels (with `alertname`) and annotations of an alert, sorted by name; empty values count."""

    labels: Labels
    annotations: Labels


@dataclass(frozen=True, slots=True)
class AlertTest:
    """Which alerts of a name must fire at a time: exactly these.

    Attributes:
        eval_ms: After the start of the test, milliseconds.
        alert_name: Of the rules that are looked at.
        expected: The alerts; () for none.
    """

    eval_ms: int
    alert_name: str
    expected: tuple[ExpectedAlert, ...]


@dataclass(frozen=True, slots=True)
class ExpressionTest:
    """What an expression must evaluate to at a time.

    Attributes:
        expression: Its text.
        eval_ms: After the start of the test, milliseconds.
        expected: The samples, in any order.
    """

    expression: str
    eval_ms: int
    expected: Sequence[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test.

    Attributes:
        name: "" for none.
        interval_ms: Between two samples of the input.
        inputs: The series; of two with the same labels the last one counts.
        alert_tests: What must fire.
        expression_tests: What expressions must evaluate to.
        externals: What templates can say about who sends the alerts.
        start_ms: When the test starts, milliseconds since the epoch.
    """

    name: str
    interval_ms: int
    inputs: tuple[InputSeries, ...] = ()
    alert_tests: tuple[AlertTest, ...] = ()
    expression_tests: tuple[ExpressionTest, ...] = ()
    externals: Externals = _OUTSIDE
    start_ms: int = 0


def in_order(groups: Iterable[RuleGroup], order: Sequence[str]) -> list[RuleGroup]:
    """Groups as `group_eval_order` asks for: one that it does not name goes with the first that it names."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(groups, key=lambda group: places.get(group.name, 0))


def run_test(
    test: RuleTest, groups: Sequence[RuleGroup], *, evaluation_interval_ms: int = 60_000, fuzzy: bool = False
) -> list[str]:
    """Runs a test.

    Args:
        test: The test.
        groups: All groups, in the order in which they are evaluated; their own intervals do not count.
        evaluation_interval_ms: Between two evaluations.
        fuzzy: Whether values of expressions may differ in the last bit.

    Returns:
        What failed, in promtool's words; [] where nothing did.
    """
    return _Run(test, groups, evaluation_interval_ms, fuzzy=fuzzy).failures()


class _Run:
    def __init__(self, test: RuleTest, groups: Sequence[RuleGroup], step_ms: int, *, fuzzy: bool) -> None:
        self._test = test
        self._step_ms = step_ms
        self._fuzzy = fuzzy
        self._store = SeriesStore()
        self._inputs = {series.labels: series.values for series in test.inputs}
        self._loaded = 0  # intervals of the inputs
        self._groups = [(group, GroupMemory(group)) for group in groups]

    def failures(self) -> list[str]:
        times = [
            *(t.eval_ms for t in self._test.alert_tests),
            *(t.eval_ms for t in self._test.expression_tests),
        ]
        until_ms = max(times, default=0)
        if until_ms // self._step_ms >= EVALUATIONS_MAX:
            return [f"    more than {EVALUATIONS_MAX} evaluations up to {duration_text(until_ms)}"]
        failures: list[str] = []
        for after_ms in range(0, until_ms + 1, self._step_ms):
            errors = self._evaluate(after_ms)
            if errors:
                return failures + errors
            failures += self._alert_failures(after_ms)
        for test in self._test.expression_tests:
            failure = self._expression_failure(test)
            failures += [failure] if failure else []
        return failures

    def _evaluate(self, after_ms: int) -> list[str]:
        """Evaluates all groups; the samples are there up to that time, and no further."""
        self._load(after_ms)
        at_ms = self._test.start_ms + after_ms
        errors = []
        for group, memory in self._groups:
            outcomes = evaluate_group(
                group, memory, self._store, at_ms, externals=self._test.externals, step_ms=self._step_ms
            )
            told = Duration(at_ms * 1_000_000)
            errors += [f"    rule: {o.rule.name}, time: {told}, err: {o.error}" for o in outcomes if o.error]
        return errors

    def _load(self, after_ms: int) -> None:
        first, end = self._loaded, after_ms // self._test.interval_ms + 1
        for labels, values in self._inputs.items():
            for index in range(first, min(end, len(values))):
                value = values[index]
                if value is not None:
                    at_ms = self._test.start_ms + index * self._test.interval_ms
                    self._store.append(labels, at_ms, value)
        self._loaded = end

    def _alert_failures(self, after_ms: int) -> list[str]:
        """What is wrong with the alerts of the tests up to the next evaluation."""
        due = [t for t in self._test.alert_tests if after_ms <= t.eval_ms < after_ms + self._step_ms]
        failures = []
        for test in sorted(due, key=lambda test: test.eval_ms):
            got = sorted(self._firing(test.alert_name))
            expected = sorted(test.expected)
            if expected != got:
                failures.append(alerts_failure(self._test.name, test.alert_name, test.eval_ms, expected, got))
        return failures

    def _firing(self, name: str) -> list[ExpectedAlert]:
        return [
            ExpectedAlert(alert.labels, tuple(alert.annotations))
            for group, memory in self._groups
            for rule, alerts in zip(group.rules, memory.alerts, strict=True)
            if isinstance(rule, AlertingRule) and rule.name == name
            for alert in alerts
            if alert.state == "firing"
        ]

    def _expression_failure(self, test: ExpressionTest) -> str | None:
        at_ms = self._test.start_ms + test.eval_ms
        try:
            expression = parse_expression(test.expression)
            vector = instant_vector(expression, self._store, at_ms, self._step_ms)
        except SpanBudgetError as error:
            told = f"time: {duration_text(test.eval_ms)}, err: {error}"
            return f"    expr: {quoted(test.expression)}, {told}"
        got, expected = _sorted(vector), _sorted(test.expected)
        if self._same(expected, got):
            return None
        return samples_failure(test.expression, test.eval_ms, expected, got)

    def _same(self, expected: Vector, got: Vector) -> bool:
        return len(expected) == len(got) and all(
            one[0] == other[0] and self._close(one[1], other[1])
            for one, other in zip(expected, got, strict=True)
        )

    def _close(self, one: float, other: float) -> bool:
        """Whether two values are the same; not a number is never what was expected, as in promtool."""
        if one == other:
            return True
        return self._fuzzy and other in (math.nextafter(one, -math.inf), math.nextafter(one, math.inf))


def _sorted(samples: Iterable[tuple[Labels, float]]) -> Vector:
    return sorted(samples, key=lambda sample: sample[0])


def expected_alert(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> ExpectedAlert:
    """An alert as a test names it; the label `alertname` is added."""
    return ExpectedAlert(
        tuple(sorted({**labels, ALERT_NAME: name}.items())), tuple(sorted(annotations.items())) or EMPTY
    )
