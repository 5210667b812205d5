"""Binary operators → plan: by what stands on either side, and how elements are matched."""

from typing import cast

import promql_parser

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.promql.arithmetic import ARITHMETIC, COMPARISONS, MIRRORED, Comparison
from spanbudget.rules.promql.call_plans import Part
from spanbudget.rules.promql.context import Plan, ScalarPlan, VectorPlan
from spanbudget.rules.promql.matching import ManyToOne, OneToOne, Outcome, PartnerFilter, Union
from spanbudget.rules.promql.projections import METRIC_LABELS, Grafts, Projection, dropping, keeping
from spanbudget.rules.promql.scalars import ScalarOperation, VectorFilter, VectorScalarOperation


def operator_plan(name: str, left: Part, right: Part, modifier: promql_parser.BinModifier | None) -> Part:
    """The plan of an operator between two parts; the parser has checked their types.

    Raises:
        ExpressionError: It is not supported.
    """
    if modifier is not None and (
        modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None
    ):
        message = "fill modifiers are experimental in Prometheus and not supported"
        raise ExpressionError(message)
    truth = modifier is not None and modifier.return_bool
    (left_kind, left_plan), (right_kind, right_plan) = left, right
    if left_kind == right_kind == "vector":
        vectors = cast("VectorPlan", left_plan), cast("VectorPlan", right_plan)
        return "vector", _of_vectors(name, *vectors, modifier)
    if left_kind == right_kind == "scalar":
        scalars = cast("ScalarPlan", left_plan), cast("ScalarPlan", right_plan)
        return "scalar", ScalarOperation(*scalars, ARITHMETIC.get(name) or COMPARISONS[name])
    if left_kind == "vector":
        return "vector", _with_scalar(
            name, cast("VectorPlan", left_plan), cast("ScalarPlan", right_plan), first=False, truth=truth
        )
    return "vector", _with_scalar(
        name, cast("VectorPlan", right_plan), cast("ScalarPlan", left_plan), first=True, truth=truth
    )


def _with_scalar(name: str, vector: VectorPlan, scalar: ScalarPlan, *, first: bool, truth: bool) -> Plan:
    """An operator between a vector and a scalar; `first` says that the scalar stands on the left."""
    if name in COMPARISONS and not truth:
        return VectorFilter(vector, scalar, COMPARISONS[MIRRORED[name] if first else name])
    operation = ARITHMETIC.get(name) or COMPARISONS[name]
    return VectorScalarOperation(vector, scalar, operation, first, dropping(()))


def _of_vectors(
    name: str, left: VectorPlan, right: VectorPlan, modifier: promql_parser.BinModifier | None
) -> Plan:
    matching = None if modifier is None else modifier.matching
    labels = [] if matching is None else matching.labels
    on = matching is not None and matching.type == promql_parser.LabelModifierType.Include
    signature = keeping(labels) if on else dropping(labels)
    if name == "or":
        return Union(left, right, signature)
    if name in ("and", "unless"):
        return PartnerFilter(left, right, signature, wanted=name == "and")
    truth = modifier is not None and modifier.return_bool
    nameless = truth or name in ARITHMETIC
    outcome = _outcome(name, truth=truth)
    card = promql_parser.VectorMatchCardinality.OneToOne if modifier is None else modifier.card
    if modifier is None or card == promql_parser.VectorMatchCardinality.OneToOne:
        result = _matched(labels, on=on, nameless=nameless)
        return OneToOne(left, right, signature, result, outcome, nameless)
    stays = Projection(METRIC_LABELS if nameless else (), keep=False)
    grafts = Grafts(stays, modifier.group_labels) if modifier.group_labels else None
    result_or_none = stays if nameless else None
    if card == promql_parser.VectorMatchCardinality.OneToMany:
        return ManyToOne(right, left, "left", signature, result_or_none, grafts, outcome)
    return ManyToOne(left, right, "right", signature, result_or_none, grafts, outcome)


def _matched(labels: list[str], *, on: bool, nameless: bool) -> Projection:
    """What stays of the left element's labels where each element has one partner."""
    if on:
        return keeping(frozenset(labels) - METRIC_LABELS if nameless else labels)
    return dropping(labels) if nameless else Projection(labels, keep=False)


def _outcome(name: str, *, truth: bool) -> Outcome:
    if name in ARITHMETIC:
        return ARITHMETIC[name]
    return _truth(COMPARISONS[name]) if truth else _left_if(COMPARISONS[name])


def _left_if(compare: Comparison) -> Outcome:
    def left_or_none(left: float, right: float) -> float | None:
        return left if compare(left, right) else None

    return left_or_none


def _truth(compare: Comparison) -> Outcome:
    def one_or_zero(left: float, right: float) -> float:
        return 1.0 if compare(left, right) else 0.0

    return one_or_zero
