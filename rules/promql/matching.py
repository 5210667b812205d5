"""Operators between two vectors: which elements belong together, and what comes of them.

Source: Prometheus 3, promql/engine.go, `VectorAnd` to `resultMetric`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import Labels, shown
from spanbudget.rules.promql.context import Context, VectorPlan
from spanbudget.rules.promql.projections import Grafts, Projection, refuse_twins
from spanbudget.rules.promql.values import Vector

Side: TypeAlias = Literal["left", "right"]
Outcome: TypeAlias = Callable[[float, float], float | None]
"""(left value, right value) → the result's; None where a comparison filters it out."""


@dataclass(frozen=True, slots=True)
class PartnerFilter:
    """`and` and `unless`: the left elements that have a partner on the right, or those that have none."""

    left: VectorPlan
    right: VectorPlan
    signature: Projection
    wanted: bool

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        signature, wanted = self.signature, self.wanted
        left = self.left.evaluate(context)
        partners = {signature[labels] for labels, _ in self.right.evaluate(context)}
        return [element for element in left if (signature[element[0]] in partners) is wanted]


@dataclass(frozen=True, slots=True)
class Union:
    """`or`: all left elements, and the right ones that have no partner among them."""

    left: VectorPlan
    right: VectorPlan
    signature: Projection

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        signature = self.signature
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        partners = {signature[labels] for labels, _ in left}
        vector = left + [element for element in right if signature[element[0]] not in partners]
        context.bounds.check_series(len(vector))
        return vector


@dataclass(frozen=True, slots=True)
class OneToOne:
    """An operator whose elements have one partner each.

    Attributes:
        left: The left operand.
        right: The right operand.
        signature: What partners have in common.
        result: The labels of the result, of those of the left element.
        outcome: The value of the result.
        nameless: Whether results lose the metric's name, and may therefore coincide.
    """

    left: VectorPlan
    right: VectorPlan
    signature: Projection
    result: Projection
    outcome: Outcome
    nameless: bool

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        if not left or not right:
            return []
        signature, result, outcome = self.signature, self.result, self.outcome
        partners = partners_of(right, signature, "right")
        matched: set[Labels] = set()
        vector: Vector = []
        for labels, value in left:
            key = signature[labels]
            partner = partners.get(key)
            if partner is None:
                continue
            if key in matched:
                message = (
                    "multiple matches for labels: many-to-one matching must be explicit "
                    "(group_left/group_right)"
                )
                raise EvaluationError(message)
            matched.add(key)
            value_or_none = outcome(value, partner[1])
            if value_or_none is not None:
                vector.append((result[labels], value_or_none))
        return refuse_twins(vector) if self.nameless else vector


@dataclass(frozen=True, slots=True)
class ManyToOne:
    """An operator with `group_left` or `group_right`: several elements may have the same partner.

    Attributes:
        many: The operand of several.
        one: The operand of one.
        one_side: On which side the latter stands.
        signature: What partners have in common.
        result: The labels of the result, of those of the element of the many; None where they stay.
        grafts: The same with labels of the partner; None where none are taken.
        outcome: The value of the result, of the left and the right value.
    """

    many: VectorPlan
    one: VectorPlan
    one_side: Side
    signature: Projection
    result: Projection | None
    grafts: Grafts | None
    outcome: Outcome

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        many, one = self.many.evaluate(context), self.one.evaluate(context)
        if not many or not one:
            return []
        signature, outcome = self.signature, self.outcome
        partners = partners_of(one, signature, self.one_side)
        many_first = self.one_side == "right"
        changed = self.result is not None or self.grafts is not None
        made: set[tuple[Labels, Labels]] = set()
        vector: Vector = []
        for labels, value in many:
            key = signature[labels]
            partner = partners.get(key)
            if partner is None:
                continue
            value_or_none = outcome(value, partner[1]) if many_first else outcome(partner[1], value)
            result = labels
            if changed:
                result = self._result(labels, partner[0])
                _add_once(made, (key, result))
            if value_or_none is not None:
                vector.append((result, value_or_none))
        return refuse_twins(vector) if changed else vector

    def _result(self, labels: Labels, partner: Labels) -> Labels:
        if self.grafts is not None:
            return self.grafts[labels, partner]
        return labels if self.result is None else self.result[labels]


def _add_once(made: set[tuple[Labels, Labels]], key: tuple[Labels, Labels]) -> None:
    if key in made:
        message = "multiple matches for labels: grouping labels must ensure unique matches"
        raise EvaluationError(message)
    made.add(key)


def partners_of(one: Vector, signature: Projection, side: Side) -> dict[Labels, tuple[Labels, float]]:
    """The elements of the side of one, by what they have in common with their partners.

    Raises:
        EvaluationError: Two of them have the same.
    """
    partners = {signature[element[0]]: element for element in one}
    if len(partners) == len(one):
        return partners
    seen: dict[Labels, Labels] = {}
    for labels, _ in one:
        key = signature[labels]
        if key in seen:
            first, second = sorted((shown(seen[key]), shown(labels)))
            message = (
                f"found duplicate series for the match group {shown(key)} on the {side} hand-side of the "
                f"operation: [{first}, {second}];many-to-many matching not allowed: matching labels must be "
                "unique on one side"
            )
            raise EvaluationError(message)
        seen[key] = labels
    return partners
