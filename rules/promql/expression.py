"""An expression of PromQL: text in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import Labels, Matcher
from spanbudget.rules.promql.context import Bounds, Context, Plan
from spanbudget.rules.promql.parsing import planned
from spanbudget.rules.promql.values import ExpressionKind, Matrix, Value, Vector
from spanbudget.rules.series import LOOK_BACK_MS, Storage

__all__ = [
    "SERIES_MAX",
    "STEP_MS",
    "Expression",
    "ExpressionKind",
    "Matrix",
    "Need",
    "Value",
    "Vector",
    "parse_expression",
]

SERIES_MAX: Final = 50_000
"""Most series of a result, or of anything on the way to it."""
STEP_MS: Final = 60_000
"""The step of a subquery that names none: Prometheus' default evaluation interval."""


class Need(NamedTuple):
    """What an expression reads.

    Attributes:
        matchers: The conditions of one selector.
        back_ms: How far before the time of evaluation it looks, the look-back included, milliseconds.
    """

    matchers: tuple[Matcher, ...]
    back_ms: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    Attributes:
        text: As it was written.
        kind: What it evaluates to.
        needs: What it reads.
        plan: What evaluates it.
    """

    text: str
    kind: ExpressionKind
    needs: Sequence[Need]
    plan: Plan = field(repr=False, compare=False)

    def evaluate(
        self,
        storage: Storage,
        at_ms: int,
        *,
        look_back_ms: int = LOOK_BACK_MS,
        step_ms: int = STEP_MS,
        series_max: int = SERIES_MAX,
    ) -> Value:
        """The value at a time.

        Args:
            storage: The series.
            at_ms: The time, milliseconds since the epoch.
            look_back_ms: How old a series' last sample may be to count as its value.
            step_ms: The step of subqueries that name none.
            series_max: Most series of the result, or of anything on the way to it.

        Raises:
            EvaluationError: The series that there are do not fit the expression, or are too many.
        """
        context = Context(
            storage, at_ms, look_back_ms=look_back_ms, step_ms=step_ms, bounds=Bounds(series_max)
        )
        try:
            value = self.plan.evaluate(context)
        except RecursionError as error:
            message = (
                "the expression is too deep for the caller's stack; record parts of it by rules of their own"
            )
            raise EvaluationError(message) from error
        if self.kind == "matrix" and isinstance(value, list):
            value.sort(key=_labels_of)
        return value


def _labels_of(element: tuple[Labels, object]) -> Labels:
    return element[0]


def parse_expression(text: str) -> Expression:
    """Reads an expression and checks that all of it can be evaluated.

    Raises:
        ExpressionError: It is not PromQL, or uses something that is not supported here.
    """
    kind, plan, looks = planned(text)
    return Expression(text, kind, tuple(Need(*look) for look in looks), plan)
