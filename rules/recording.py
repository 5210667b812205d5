"""What rules write into the series: their results, and the marks that end what they no longer write."""

import struct
from collections.abc import Iterable, Mapping
from typing import cast

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import METRIC_NAME, Labels, Matcher, label_value, labels_of, shown
from spanbudget.rules.promql.expression import STEP_MS, Expression, Vector
from spanbudget.rules.series import STALE_NAN, Series, SeriesStore


def instant_vector(expression: Expression, store: SeriesStore, at_ms: int, step_ms: int = STEP_MS) -> Vector:
    """The result of a rule's expression; a number is a sample without labels.

    Args:
        expression: Evaluates to a vector or a scalar.
        store: The series.
        at_ms: The time, milliseconds since the epoch.
        step_ms: The step of subqueries that name none.

    Raises:
        EvaluationError: It cannot be evaluated, or is neither.
    """
    value = expression.evaluate(store, at_ms, step_ms=step_ms)
    if isinstance(value, float):
        return [((), value)]
    if expression.kind != "vector":
        raise EvaluationError("rule result is not a vector or scalar")
    return cast("Vector", value)


def over(below: Labels, above: Labels) -> Labels:
    """Both label sets, a name that is in both with the value of the upper one; empty values stay."""
    return tuple(sorted({**dict(below), **dict(above)}.items()))


def with_labels(labels: Labels, own: Mapping[str, str]) -> Labels:
    """A sample's labels with a rule's own ones, which replace those of the same name."""
    return labels_of({**dict(labels), **own})


class Recorder:
    """The results of one recording rule, under its name and labels.

    Args:
        name: The metric's name.
        labels: Set on every series; an empty value removes the label.
    """

    __slots__ = ("_known", "_own")

    def __init__(self, name: str, labels: Labels) -> None:
        self._own = {METRIC_NAME: name, **dict(labels)}
        self._known: dict[Labels, Labels] = {}

    def recorded(self, vector: Vector) -> dict[Labels, float]:
        """The samples to write.

        Raises:
            EvaluationError: Two of them have the same labels.
        """
        known, before = {}, self._known
        samples: dict[Labels, float] = {}
        for labels, value in vector:
            named = before.get(labels) or with_labels(labels, self._own)
            known[labels] = named
            samples[named] = value
        if len(samples) < len(vector):
            raise EvaluationError("vector contains metrics with the same labelset after applying rule labels")
        self._known = known
        return samples


class Writer:
    """Writes what one rule results in, evaluation after evaluation."""

    __slots__ = ("_written",)

    def __init__(self) -> None:
        self._written: Mapping[Labels, float] = {}

    def write(self, store: SeriesStore, samples: Mapping[Labels, float], at_ms: int) -> str | None:
        """Appends samples, and ends the series that were written last time and are not now.

        Returns:
            Why a sample was refused, None where all were taken.
        """
        refused_before = store.refused
        refused = [labels for labels, value in samples.items() if not store.append(labels, at_ms, value)]
        for labels in self._written:
            if labels not in samples:
                store.append(labels, at_ms, STALE_NAN)
        self._written = samples
        if store.refused > refused_before:
            return f"the evaluator holds its most of {len(store)} series; {shown(refused[0])} was not written"
        return _conflict(store, refused, samples, at_ms) if refused else None


def _conflict(
    store: SeriesStore, refused: Iterable[Labels], samples: Mapping[Labels, float], at_ms: int
) -> str | None:
    """Why samples were refused; None where each was there already with its value."""
    families: dict[str, dict[Labels, Series]] = {}
    for labels in refused:
        name = label_value(labels, METRIC_NAME)
        if name not in families:
            found = store.select((Matcher(METRIC_NAME, "=", name),))
            families[name] = {series.labels: series for series in found}
        series = families[name][labels]
        if series.times[-1] > at_ms:
            return f"out of order sample: {shown(labels)} has a later one"
        if struct.pack("<d", series.values[-1]) != struct.pack("<d", samples[labels]):  # NaN is NaN here
            return f"duplicate sample for timestamp: {shown(labels)} has another value at this time"
    return None
