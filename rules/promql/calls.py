"""Calls of functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.promql.context import Context, MatrixPlan, Plan, ScalarPlan, VectorPlan
from spanbudget.rules.promql.functions.table import NumberFunction, RangeFunction, VectorFunction
from spanbudget.rules.promql.projections import Projection, refuse_twins
from spanbudget.rules.promql.selectors import InstantSelector
from spanbudget.rules.promql.values import Value, Vector


@dataclass(frozen=True, slots=True)
class RangeCall:
    """A function of each series' samples in a range.

    Attributes:
        function: The function.
        matrix: The samples.
        scalars: The other arguments, in their order.
        nameless: What stays of the series' labels; None where they stay as they are.
    """

    function: RangeFunction
    matrix: MatrixPlan
    scalars: Sequence[ScalarPlan]
    nameless: Projection | None

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        function, nameless = self.function, self.nameless
        window = self.matrix.window(context)
        scalars = [scalar.evaluate(context) for scalar in self.scalars]
        vector: Vector = []
        for labels, samples in self.matrix.each(context):
            value = function(samples, window, scalars)
            if value is not None:
                vector.append((labels if nameless is None else nameless[labels], value))
        return vector if nameless is None else refuse_twins(vector)


@dataclass(frozen=True, slots=True)
class NumberCall:
    """A function of the value of each element.

    Attributes:
        function: The function.
        vector: The elements.
        scalars: The other arguments, in their order.
        nameless: What stays of the elements' labels.
    """

    function: NumberFunction
    vector: VectorPlan
    scalars: Sequence[ScalarPlan]
    nameless: Projection

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        function, nameless = self.function, self.nameless
        scalars = [scalar.evaluate(context) for scalar in self.scalars]
        vector: Vector = []
        for labels, value in self.vector.evaluate(context):
            result = function(value, *scalars)
            if result is not None:
                vector.append((nameless[labels], result))
        return refuse_twins(vector)


@dataclass(frozen=True, slots=True)
class ValueCall:
    """A function of the values of all arguments."""

    function: VectorFunction
    arguments: Sequence[Plan]

    def evaluate(self, context: Context) -> Value:
        """See `Plan.evaluate`."""
        return self.function([argument.evaluate(context) for argument in self.arguments], context.at_ms)


@dataclass(frozen=True, slots=True)
class Now:
    """The time of evaluation as a vector of one element without labels: what dates are of, if of nothing."""

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        return [(EMPTY, context.at_ms / 1000)]


@dataclass(frozen=True, slots=True)
class Timestamp:
    """`timestamp`: the time of each sample, or that of the evaluation where a value is not one.

    Attributes:
        inner: The elements.
        nameless: What stays of their labels.
    """

    inner: VectorPlan
    nameless: Projection

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        nameless = self.nameless
        if isinstance(self.inner, InstantSelector):
            return refuse_twins(
                [(nameless[labels], seconds) for labels, seconds in self.inner.times(context)]
            )
        seconds = context.at_ms / 1000
        return refuse_twins([(nameless[labels], seconds) for labels, _ in self.inner.evaluate(context)])


@dataclass(frozen=True, slots=True)
class Absent:
    """`absent` and `absent_over_time`: one element where there is none.

    Attributes:
        inner: What there is none of.
        labels: Those of the one element.
    """

    inner: VectorPlan | MatrixPlan
    labels: Labels

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        return [] if self.inner.evaluate(context) else [(self.labels, 1.0)]
