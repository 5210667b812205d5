"""Aggregations: one element of each group of elements.

Source: Prometheus 3, promql/engine.go, `aggregation` and `aggregationCountValues`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from spanbudget.rules.labels import EMPTY, Labels, labels_of
from spanbudget.rules.promql.context import Context, ScalarPlan, VectorPlan
from spanbudget.rules.promql.functions.over_time import count, highest, lowest, present
from spanbudget.rules.promql.functions.quantiles import quantile
from spanbudget.rules.promql.functions.sums import mean, total
from spanbudget.rules.promql.projections import Projection
from spanbudget.rules.promql.values import Vector

Reduce: TypeAlias = Callable[[Sequence[float]], float]


def variance(values: Sequence[float]) -> float:
    """The population's variance by Welford's method, without compensation, as `stdvar` has it."""
    average = values[0]
    squares = 0.0 if math.isfinite(average) else math.nan
    for number, value in enumerate(values[1:], 2):
        delta = value - average
        average += delta / number
        squares += delta * (value - average)
    return squares / len(values)


def deviation(values: Sequence[float]) -> float:
    """The population's standard deviation."""
    return math.sqrt(variance(values))


REDUCTIONS: Final[Mapping[str, Reduce]] = MappingProxyType(
    {
        "avg": mean,
        "count": count,
        "group": present,
        "max": highest,
        "min": lowest,
        "stddev": deviation,
        "stdvar": variance,
        "sum": total,
    }
)


def grouped(vector: Vector, group: Projection | None) -> dict[Labels, list[float]]:
    """The values of each group, in the order of their first elements; None for all in one group."""
    if group is None:
        return {EMPTY: [value for _, value in vector]} if vector else {}
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector:
        key = group[labels]
        values = groups.get(key)
        if values is None:
            groups[key] = [value]
        else:
            values.append(value)
    return groups


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A number of each group's values.

    Attributes:
        vector: The elements.
        group: What those of one group have in common; None for one group of all.
        reduce: The number.
    """

    vector: VectorPlan
    group: Projection | None
    reduce: Reduce

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        groups = grouped(self.vector.evaluate(context), self.group)
        return [(labels, self.reduce(values)) for labels, values in groups.items()]


@dataclass(frozen=True, slots=True)
class QuantileAggregation:
    """`quantile`: a quantile of each group's values."""

    vector: VectorPlan
    group: Projection | None
    parameter: ScalarPlan

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        parameter = self.parameter.evaluate(context)
        groups = grouped(self.vector.evaluate(context), self.group)
        return [(labels, quantile(parameter, values)) for labels, values in groups.items()]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """`count_values`: how often each value is there, the value being a label.

    Attributes:
        vector: The elements.
        group: What those of one group have in common, the value's label included.
        label: The value's label.
    """

    vector: VectorPlan
    group: Projection
    label: str

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        valued = []
        for labels, value in self.vector.evaluate(context):
            others = [pair for pair in labels if pair[0] != self.label]
            valued.append((labels_of([*others, (self.label, shown_value(value))]), value))
        return [(labels, float(len(values))) for labels, values in grouped(valued, self.group).items()]


def shown_value(value: float) -> str:
    """The shortest digits that are the number, without an exponent: Go's `FormatFloat(v, 'f', -1, 64)`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        return f"{Decimal(text):f}"
    return text.removesuffix(".0")
