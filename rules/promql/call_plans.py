"""Calls of functions → plan."""

from collections.abc import Sequence
from typing import Final, TypeAlias, cast

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import Labels, Matcher, labels_of
from spanbudget.rules.promql.calls import Absent, Now, NumberCall, RangeCall, Timestamp, ValueCall
from spanbudget.rules.promql.context import MatrixPlan, Plan, ScalarPlan, VectorPlan
from spanbudget.rules.promql.functions.table import (
    DATE_FUNCTIONS,
    NAME_KEEPERS,
    NUMBER_FUNCTIONS,
    RANGE_FUNCTIONS,
    VECTOR_FUNCTIONS,
)
from spanbudget.rules.promql.projections import METRIC_LABELS, dropping
from spanbudget.rules.promql.selectors import InstantSelector, RangeSelector
from spanbudget.rules.promql.values import ExpressionKind

Part: TypeAlias = tuple[ExpressionKind, Plan]
"""(what it evaluates to, what evaluates it)."""

_OF_EXPRESSIONS: Final = frozenset({"absent", "absent_over_time", "timestamp"})
_SCALARS: Final = frozenset({"pi", "scalar", "time"})


def is_supported(name: str) -> bool:
    """Whether a function can be evaluated."""
    return (
        name in RANGE_FUNCTIONS
        or name in NUMBER_FUNCTIONS
        or name in VECTOR_FUNCTIONS
        or name in _OF_EXPRESSIONS
    )


def call_plan(name: str, arguments: Sequence[Part]) -> Part:
    """The plan of a call; the parser has checked how many arguments there are, and nearly all their types.

    Raises:
        ExpressionError: A function of a vector is given a number.
    """
    if name in RANGE_FUNCTIONS:
        matrix = next(plan for kind, plan in arguments if kind == "matrix")
        scalars = [cast("ScalarPlan", plan) for kind, plan in arguments if kind != "matrix"]
        nameless = None if name in NAME_KEEPERS else dropping(())
        return "vector", RangeCall(RANGE_FUNCTIONS[name], cast("MatrixPlan", matrix), scalars, nameless)
    plans = [plan for _, plan in arguments]
    if name in NUMBER_FUNCTIONS:
        # The parser lets `ln(-1)` through: it looks at such numbers before it looks at types.
        if plans and arguments[0][0] != "vector":
            raise ExpressionError(f"{name} needs an instant vector, not a {arguments[0][0]}; write vector(…)")
        vector = Now() if name in DATE_FUNCTIONS and not plans else cast("VectorPlan", plans[0])
        scalars = [cast("ScalarPlan", plan) for plan in plans[1:]]
        return "vector", NumberCall(NUMBER_FUNCTIONS[name], vector, scalars, dropping(()))
    if name in VECTOR_FUNCTIONS:
        return "scalar" if name in _SCALARS else "vector", ValueCall(VECTOR_FUNCTIONS[name], plans)
    if name == "timestamp":
        return "vector", Timestamp(cast("VectorPlan", plans[0]), dropping(()))
    return "vector", _absent(plans[0])


def _absent(inner: Plan) -> Absent:
    matchers = inner.matchers if isinstance(inner, InstantSelector | RangeSelector) else ()
    return Absent(cast("VectorPlan | MatrixPlan", inner), absent_labels(matchers))


def absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """The labels that a selector asks for with `=`; those on which it has two conditions are left out.

    Source: Prometheus 3, promql/functions.go, `createLabelsForAbsentFunction`.
    """
    labels: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name in METRIC_LABELS:
            continue
        if matcher.operator == "=" and matcher.name not in seen:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return labels_of(labels)
