"""Our results beside those of Prometheus: are they the same, and if not, where does the difference begin?"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from generated_expressions import Tree
from generated_series import Generated
from prometheus_server import Answer, Failure, Point, PrometheusServer

from spanbudget.processors.errors import EvaluationError, ExpressionError
from spanbudget.rules.labels import Labels, shown
from spanbudget.rules.promql.expression import Value, parse_expression
from spanbudget.rules.series import SeriesStore

TOLERANCE: Final = 1e-12
"""Relative to the value, or to the largest input."""
_SHOWN_SAMPLES: Final = 8
_ORDERED: Final = ("sort(", "sort_desc(", "topk(", "bottomk(")


class Agreement:
    """Compares expressions over the same series, here and in a server.

    Args:
        server: Gets all series.
        series: All of them.

    Attributes:
        cases: Results compared: one for each series of a result, one for an empty result and for an error.
        errors: Those of them that were errors on both sides.
        differences: What differs: the smallest part of an expression that does, both results, its input.
        by_input: Expressions that agree only to 1e-12 of the largest input, not of each value.
    """

    def __init__(self, server: PrometheusServer, series: Generated) -> None:
        self._server = server
        ordered = sorted(series.items())  # equal values stand in the order in which their series were made
        server.write(ordered)
        self._store = SeriesStore(default_keep_ms=2**50)
        for labels, samples in ordered:
            for at_ms, value in samples:
                assert self._store.append(labels, at_ms, value)
        self.cases = self.errors = 0
        self.differences: list[str] = []
        self.by_input: Counter[str] = Counter()

    def compare(self, tree: Tree, at_ms: int) -> None:
        """Compares one expression at one time."""
        theirs = self._server.query(tree.text, at_ms)
        if isinstance(theirs, Failure):
            self.errors += 1
        self.cases += 1 if isinstance(theirs, Failure) else max(1, len(theirs.series))
        if found := self._difference(tree, at_ms):
            self.differences.append(found)

    def both(self, text: str, at_ms: int) -> tuple[Answer | Failure, Answer | Failure]:
        """Our result and theirs."""
        return self._evaluated(text, at_ms), self._server.query(text, at_ms)

    def summary(self) -> str:
        """What was compared, in a line."""
        by_input = f"{sum(self.by_input.values())} expressions agree to 1e-12 of the largest input only"
        return f"{self.cases} results compared, {self.errors} of them errors; {by_input}"

    def told(self, count: int) -> str:
        """The first differences, the simplest ones first, one of each expression."""
        by_expression = {found.partition("\n")[0]: found for found in reversed(self.differences)}
        distinct = sorted(by_expression.values(), key=len)
        return "\n\n".join((f"{len(distinct)} differences", *distinct[:count]))

    def _difference(self, tree: Tree, at_ms: int) -> str:
        ours, theirs = self.both(tree.text, at_ms)
        if same(ours, theirs, tree.text, 0.0):
            return ""
        if same(ours, theirs, tree.text, self._largest_input(tree.text, at_ms)):
            self.by_input[tree.text] += 1
            return ""
        for part in tree.parts:
            if part.text and (found := self._difference(part, at_ms)):
                return f"{found}\n  in {tree.text}"
        report = f"{tree.text}\n  at {at_ms}\n  here:       {_told(ours)}\n  Prometheus: {_told(theirs)}"
        return report + "".join(f"\n  of {line}" for line in self._inputs(tree.text, at_ms))

    def _evaluated(self, text: str, at_ms: int) -> Answer | Failure:
        """Our value of an expression, or how it failed, in Prometheus' words."""
        try:
            expression = parse_expression(text)
            return _answer(expression.kind, expression.evaluate(self._store, at_ms), at_ms)
        except ExpressionError as error:
            return Failure("bad_data", str(error))
        except EvaluationError as error:
            return Failure("execution", str(error))

    def _largest_input(self, text: str, at_ms: int) -> float:
        """The largest value that the expression can have read; beyond 1e15 it would excuse anything."""
        try:
            needs = parse_expression(text).needs
        except ExpressionError:
            return 0.0
        values = [
            abs(value)
            for need in needs
            for series in self._store.select(need.matchers)
            for value in series.values
            if abs(value) < 1e15
        ]
        return max(values, default=0.0)

    def _inputs(self, text: str, at_ms: int) -> list[str]:
        """The samples that the expression read, the last ones of each series."""
        try:
            needs = parse_expression(text).needs
        except ExpressionError:
            return []
        lines = []
        for need in needs:
            for series in self._store.select(need.matchers)[:_SHOWN_SAMPLES]:
                times, values, _ = series.between(at_ms - need.back_ms, at_ms)
                samples = list(zip(times, values, strict=True))[-_SHOWN_SAMPLES:]
                lines.append(f"{shown(series.labels)}: {samples}")
        return lines


def same(ours: Answer | Failure, theirs: Answer | Failure, text: str, largest: float) -> bool:
    """Whether two results agree; `largest` widens the tolerance to that of an input."""
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return isinstance(ours, Failure) and isinstance(theirs, Failure) and ours.kind == theirs.kind
    if (ours.kind, ours.text) != (theirs.kind, theirs.text) or len(ours.series) != len(theirs.series):
        return False
    if text.startswith(_ORDERED):
        pairs = zip(ours.series, theirs.series, strict=True)
        if not all(_same_points(own[1], other[1], largest) for own, other in pairs):
            return False
    return _same_series(dict(ours.series), dict(theirs.series), largest)


def _same_series(
    ours: Mapping[Labels, list[Point]], theirs: Mapping[Labels, list[Point]], largest: float
) -> bool:
    return ours.keys() == theirs.keys() and all(
        _same_points(points, theirs[labels], largest) for labels, points in ours.items()
    )


def _same_points(ours: list[Point], theirs: list[Point], largest: float) -> bool:
    return len(ours) == len(theirs) and all(
        own[0] == other[0] and _same_value(own[1], other[1], largest)
        for own, other in zip(ours, theirs, strict=True)
    )


def _same_value(own: float, other: float, largest: float) -> bool:
    if math.isnan(own) or math.isnan(other):
        return math.isnan(own) and math.isnan(other)
    if math.isinf(own) or math.isinf(other):
        return own == other
    return abs(own - other) <= TOLERANCE * max(abs(own), abs(other), largest)


def _answer(kind: str, value: Value, at_ms: int) -> Answer:
    if isinstance(value, str):
        return Answer(kind, [], value)
    if isinstance(value, int | float):
        return Answer(kind, [((), [(at_ms, float(value))])])
    series: list[tuple[Labels, list[Point]]] = []
    for labels, result in value:
        if isinstance(result, int | float):
            series.append((labels, [(at_ms, float(result))]))
        else:
            series.append((labels, list(zip(result.times, result.values, strict=True))))
    return Answer(kind, series)


def _told(answer: Answer | Failure) -> str:
    if isinstance(answer, Failure):
        return f"{answer.kind}: {answer.message}"
    if answer.kind == "string":
        return repr(answer.text)
    lines = [f"{shown(labels)} {points[-_SHOWN_SAMPLES:]}" for labels, points in sorted(answer.series)]
    return f"{answer.kind} of {len(lines)}: " + "; ".join(lines[:_SHOWN_SAMPLES])
