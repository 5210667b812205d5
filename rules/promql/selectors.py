"""Selectors: series as they are in the storage, at an instant or over a range."""

from collections.abc import Iterator
from dataclasses import dataclass

from spanbudget.rules.labels import Labels, Matcher
from spanbudget.rules.promql.context import Context
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.promql.values import Matrix, Vector
from spanbudget.rules.series import Samples


@dataclass(frozen=True, slots=True)
class Moment:
    """When something looks, by `offset` and `@`.

    Attributes:
        offset_ms: How far before; negative for after.
        fixed_ms: The time of `@ <number>`, milliseconds since the epoch; None without it.
        of_top: Whether it is the time of the whole expression (`@ start()`, `@ end()`), which differs from
            that of the evaluation within a subquery.
    """

    offset_ms: int = 0
    fixed_ms: int | None = None
    of_top: bool = False

    def resolve(self, context: Context) -> int:
        """The time, milliseconds since the epoch."""
        if self.fixed_ms is not None:
            return self.fixed_ms - self.offset_ms
        return (context.top_ms if self.of_top else context.at_ms) - self.offset_ms


@dataclass(frozen=True, slots=True)
class InstantSelector:
    """The value of each series at a moment.

    Attributes:
        matchers: Which series.
        moment: When.
    """

    matchers: tuple[Matcher, ...]
    moment: Moment

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        at_ms, look_back_ms = self.moment.resolve(context), context.look_back_ms
        too_old_ms = at_ms - look_back_ms
        vector: Vector = []
        for series in context.storage.select(self.matchers):
            # The usual case without a call: the last sample counts, and is not a mark.
            times = series.times
            if times and too_old_ms < times[-1] <= at_ms:
                value = series.values[-1]
                if value == value:  # noqa: PLR0124 - a number
                    vector.append((series.labels, value))
                    continue
            found = series.at(at_ms, look_back_ms)
            if found is not None:
                vector.append((series.labels, found[1]))
        context.bounds.check_series(len(vector))
        return vector

    def times(self, context: Context) -> Vector:
        """The time of each value, seconds since the epoch."""
        at_ms = self.moment.resolve(context)
        vector: Vector = []
        for series in context.storage.select(self.matchers):
            found = series.at(at_ms, context.look_back_ms)
            if found is not None:
                vector.append((series.labels, found[0] / 1000))
        context.bounds.check_series(len(vector))
        return vector


@dataclass(frozen=True, slots=True)
class RangeSelector:
    """The samples of each series in the range that ends at a moment; its beginning is not part of it.

    Attributes:
        matchers: Which series.
        range_ms: How long the range is.
        moment: When it ends.
    """

    matchers: tuple[Matcher, ...]
    range_ms: int
    moment: Moment

    def window(self, context: Context) -> RangeWindow:
        """See `MatrixPlan.window`."""
        end_ms = self.moment.resolve(context)
        return RangeWindow(end_ms - self.range_ms, end_ms, context.at_ms)

    def evaluate(self, context: Context) -> Matrix:
        """See `MatrixPlan.evaluate`."""
        return list(self.each(context))

    def each(self, context: Context) -> Iterator[tuple[Labels, Samples]]:
        """See `MatrixPlan.each`."""
        start_ms, end_ms, _ = self.window(context)
        count = 0
        for series in context.storage.select(self.matchers):
            samples = series.between(start_ms, end_ms)
            if samples.times:
                count += 1
                yield series.labels, samples
        context.bounds.check_series(count)
