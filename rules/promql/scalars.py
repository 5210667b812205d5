"""Parts of an expression that are numbers, and those that set numbers against vectors."""

from dataclasses import dataclass

from spanbudget.rules.promql.arithmetic import Comparison, Operation
from spanbudget.rules.promql.context import Context, ScalarPlan, VectorPlan
from spanbudget.rules.promql.projections import Projection, refuse_twins
from spanbudget.rules.promql.values import Vector


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number."""

    value: float

    def evaluate(self, _context: Context) -> float:
        """See `ScalarPlan.evaluate`."""
        return self.value


@dataclass(frozen=True, slots=True)
class Text:
    """A literal string."""

    value: str

    def evaluate(self, _context: Context) -> str:
        """See `Plan.evaluate`."""
        return self.value


@dataclass(frozen=True, slots=True)
class ScalarOperation:
    """Two numbers; a comparison yields 1 or 0."""

    left: ScalarPlan
    right: ScalarPlan
    operation: Operation | Comparison

    def evaluate(self, context: Context) -> float:
        """See `ScalarPlan.evaluate`."""
        return float(self.operation(self.left.evaluate(context), self.right.evaluate(context)))


@dataclass(frozen=True, slots=True)
class NegatedScalar:
    """Minus a number."""

    inner: ScalarPlan

    def evaluate(self, context: Context) -> float:
        """See `ScalarPlan.evaluate`."""
        return -self.inner.evaluate(context)


@dataclass(frozen=True, slots=True)
class NegatedVector:
    """Minus each element."""

    inner: VectorPlan
    nameless: Projection

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        nameless = self.nameless
        return refuse_twins([(nameless[labels], -value) for labels, value in self.inner.evaluate(context)])


@dataclass(frozen=True, slots=True)
class VectorFilter:
    """The elements for which a comparison with a number is true, as they are."""

    vector: VectorPlan
    scalar: ScalarPlan
    compare: Comparison

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        compare, number = self.compare, self.scalar.evaluate(context)
        return [element for element in self.vector.evaluate(context) if compare(element[1], number)]


@dataclass(frozen=True, slots=True)
class VectorScalarOperation:
    """Each element and a number; a comparison yields 1 or 0.

    Attributes:
        vector: The elements.
        scalar: The number.
        operation: What is computed of both.
        scalar_first: Whether the number stands on the left.
        nameless: What stays of the elements' labels.
    """

    vector: VectorPlan
    scalar: ScalarPlan
    operation: Operation | Comparison
    scalar_first: bool
    nameless: Projection

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        nameless, operation, number = self.nameless, self.operation, self.scalar.evaluate(context)
        elements = self.vector.evaluate(context)
        if self.scalar_first:
            return refuse_twins(
                [(nameless[labels], float(operation(number, value))) for labels, value in elements]
            )
        return refuse_twins(
            [(nameless[labels], float(operation(value, number))) for labels, value in elements]
        )
