"""What one evaluation goes by: its time, its series, and what it may cost."""

from collections.abc import Iterator
from typing import Final, Protocol

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import Labels
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.promql.values import Matrix, Value, Vector
from spanbudget.rules.series import Samples, Storage

SUBQUERY_STEPS_MAX: Final = 11_000
"""Most steps of one subquery; as many points as Prometheus gives for one series."""
SUBQUERY_SAMPLES_MAX: Final = 10_000_000
"""Most samples that all subqueries of one evaluation may compute, each step counting as one more."""


class Bounds:
    """How much one evaluation may still do.

    Args:
        series_max: Most series of a result, or of anything on the way to it.
    """

    __slots__ = ("_samples_left", "_series_max")

    def __init__(self, series_max: int) -> None:
        self._series_max = series_max
        self._samples_left = SUBQUERY_SAMPLES_MAX

    def check_series(self, count: int) -> None:
        """Refuses a vector or matrix of too many series."""
        if count > self._series_max:
            message = (
                f"the expression yields {count} series, more than the {self._series_max} that are allowed; "
                "select fewer with matchers, or aggregate earlier"
            )
            raise EvaluationError(message)

    def spend_samples(self, count: int) -> None:
        """Counts samples that a subquery computed.

        Raises:
            EvaluationError: All subqueries together have computed too many.
        """
        self._samples_left -= count
        if self._samples_left < 0:
            message = (
                f"the subqueries of the expression need more than {SUBQUERY_SAMPLES_MAX} samples; "
                "take a shorter range or a longer step, or record the inner expression by a rule"
            )
            raise EvaluationError(message)


class Context:
    """One evaluation at one time.

    Args:
        storage: Where selectors find series.
        at_ms: The time, milliseconds since the epoch.
        look_back_ms: How old a series' last sample may be to count as its value.
        step_ms: The step of subqueries that name none.
        bounds: What the evaluation may cost.

    Attributes:
        at_ms: The time; within a subquery that of its present step.
        top_ms: The time of the whole expression, which `@ start()` and `@ end()` mean.
    """

    __slots__ = ("at_ms", "bounds", "look_back_ms", "step_ms", "storage", "top_ms")

    def __init__(
        self, storage: Storage, at_ms: int, *, look_back_ms: int, step_ms: int, bounds: Bounds
    ) -> None:
        self.storage = storage
        self.at_ms = at_ms
        self.top_ms = at_ms
        self.look_back_ms = look_back_ms
        self.step_ms = step_ms
        self.bounds = bounds

    def within(self) -> "Context":
        """A context for the steps of a subquery; its `at_ms` is to be set to each of them."""
        inner = Context(
            self.storage,
            self.at_ms,
            look_back_ms=self.look_back_ms,
            step_ms=self.step_ms,
            bounds=self.bounds,
        )
        inner.top_ms = self.top_ms
        return inner


class Plan(Protocol):
    """A part of an expression, of any kind."""

    def evaluate(self, context: Context, /) -> Value:
        """Its value."""
        ...


class ScalarPlan(Protocol):
    """A part that is a number."""

    def evaluate(self, context: Context, /) -> float:
        """Its value."""
        ...


class VectorPlan(Protocol):
    """A part that is an instant vector."""

    def evaluate(self, context: Context, /) -> Vector:
        """Its elements; no label set is among them twice. The list belongs to the caller."""
        ...


class MatrixPlan(Protocol):
    """A part that is a range of samples of each series."""

    def window(self, context: Context, /) -> RangeWindow:
        """The range."""
        ...

    def evaluate(self, context: Context, /) -> Matrix:
        """The samples of each series that has one in the range."""
        ...

    def each(self, context: Context, /) -> Iterator[tuple[Labels, Samples]]:
        """The same one after the other, for who needs each only once: all at once are megabytes."""
        ...
