"""Subqueries: an expression evaluated at every step of a range."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.promql.context import SUBQUERY_STEPS_MAX, Context, VectorPlan
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.promql.selectors import Moment
from spanbudget.rules.promql.values import Matrix
from spanbudget.rules.series import Samples

if TYPE_CHECKING:
    from spanbudget.rules.labels import Labels


@dataclass(frozen=True, slots=True)
class Subquery:
    """The values of an expression at the multiples of a step within a range.

    Attributes:
        inner: The expression.
        range_ms: How long the range is; its beginning is not part of it.
        step_ms: The step; None for that of the evaluation.
        moment: When the range ends.
    """

    inner: VectorPlan
    range_ms: int
    step_ms: int | None
    moment: Moment

    def window(self, context: Context) -> RangeWindow:
        """See `MatrixPlan.window`."""
        end_ms = self.moment.resolve(context)
        return RangeWindow(end_ms - self.range_ms, end_ms, context.at_ms)

    def evaluate(self, context: Context) -> Matrix:
        """See `MatrixPlan.evaluate`."""
        steps = self._steps(context)
        bounds = context.bounds
        inner_context = context.within()
        found: dict[Labels, tuple[array[int], array[float]]] = {}
        for at_ms in steps:
            inner_context.at_ms = at_ms
            vector = self.inner.evaluate(inner_context)
            bounds.spend_samples(len(vector) + 1)
            for labels, value in vector:
                samples = found.get(labels)
                if samples is None:
                    samples = found[labels] = (array("q"), array("d"))
                samples[0].append(at_ms)
                samples[1].append(value)
            bounds.check_series(len(found))
        return [(labels, Samples(times, values)) for labels, (times, values) in found.items()]

    def each(self, context: Context) -> Iterator[tuple["Labels", Samples]]:
        """See `MatrixPlan.each`."""
        return iter(self.evaluate(context))

    def _steps(self, context: Context) -> range:
        """The multiples of the step in the range, milliseconds since the epoch."""
        start_ms, end_ms, _ = self.window(context)
        step_ms = self.step_ms or context.step_ms
        steps = range((start_ms // step_ms + 1) * step_ms, end_ms + 1, step_ms)
        if len(steps) > SUBQUERY_STEPS_MAX:
            message = (
                f"a subquery over {self.range_ms / 1000:g}s by steps of {step_ms / 1000:g}s has {len(steps)} "
                f"steps, more than the {SUBQUERY_STEPS_MAX} that are allowed; take a longer step"
            )
            raise EvaluationError(message)
        return steps
