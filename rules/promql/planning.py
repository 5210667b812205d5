"""The parser's tree → plan: selectors, subqueries, aggregations, and what the parts are put together by."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

import promql_parser
import re2

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import METRIC_NAME, Matcher, MatchOperator, quoted, whole_match
from spanbudget.rules.promql.aggregations import REDUCTIONS, Aggregation, QuantileAggregation, ValueCount
from spanbudget.rules.promql.call_plans import Part, call_plan, is_supported
from spanbudget.rules.promql.context import Plan, ScalarPlan, VectorPlan
from spanbudget.rules.promql.operator_plans import operator_plan
from spanbudget.rules.promql.projections import Projection, dropping, keeping
from spanbudget.rules.promql.rankings import Ranking
from spanbudget.rules.promql.scalars import NegatedScalar, NegatedVector, Number, Text
from spanbudget.rules.promql.scanning import place_of_call
from spanbudget.rules.promql.selectors import InstantSelector, Moment, RangeSelector
from spanbudget.rules.promql.subqueries import Subquery
from spanbudget.rules.series import LOOK_BACK_MS

DEPTH_MAX: Final = 200
"""Most parts of an expression within each other."""
FIXED_BACK_MS: Final = 400 * 86_400_000
"""How far back `@ <number>` is taken to look: 400 days, as it is not known when it will be evaluated."""

Look: TypeAlias = tuple[tuple[Matcher, ...], int]
"""(conditions of a selector, how far before the time of evaluation it looks in milliseconds)."""

_LENGTH_MAX: Final = timedelta(microseconds=2**63 // 1000)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MATCH_OPERATORS: Final[Mapping[str, MatchOperator]] = MappingProxyType(
    {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
)


class Planner:
    """Makes the plan of one expression.

    Args:
        text: The expression, to find names in.

    Attributes:
        looks: What its selectors read, in their order.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._back_ms = 0  # how far before the evaluation the subqueries around may evaluate their inside
        self.looks: list[Look] = []
        self._planners: Mapping[type, Callable[[Any], Part]] = {
            promql_parser.NumberLiteral: lambda tree: ("scalar", Number(tree.val)),
            promql_parser.StringLiteral: lambda tree: ("string", Text(tree.val)),
            promql_parser.ParenExpr: lambda tree: self.plan(tree.expr),
            promql_parser.UnaryExpr: self._negation,
            promql_parser.BinaryExpr: self._operation,
            promql_parser.VectorSelector: self._instant,
            promql_parser.MatrixSelector: self._range,
            promql_parser.SubqueryExpr: self._subquery,
            promql_parser.AggregateExpr: self._aggregation,
            promql_parser.Call: self._call,
        }

    def plan(self, tree: promql_parser.Expr) -> Part:
        """The plan of a part of the tree.

        Raises:
            ExpressionError: Something in it is not supported, or it is too deep.
        """
        planner = self._planners.get(type(tree))
        if planner is None:
            message = f"an expression of type {type(tree).__name__} is not supported"
            raise ExpressionError(message)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            message = (
                f"more than {DEPTH_MAX} operators and calls within each other; record parts of the "
                "expression by rules of their own"
            )
            raise ExpressionError(message)
        planned = planner(tree)
        self._depth -= 1
        return planned

    def _refused(self, message: str, name: str) -> ExpressionError:
        """An error at a name."""
        place = place_of_call(self._text, name)
        if place is None:
            return ExpressionError(message)
        return ExpressionError(message, line=place.line, column=place.column)

    def _negation(self, tree: promql_parser.UnaryExpr) -> Part:
        kind, plan = self.plan(tree.expr)
        if kind == "scalar":
            return "scalar", NegatedScalar(cast("ScalarPlan", plan))
        return "vector", NegatedVector(cast("VectorPlan", plan), dropping(()))

    def _operation(self, tree: promql_parser.BinaryExpr) -> Part:
        left, right = self.plan(tree.lhs), self.plan(tree.rhs)
        try:
            return operator_plan(str(tree.op), left, right, tree.modifier)
        except ExpressionError as error:
            raise self._refused(str(error), "fill") from error

    def _instant(self, tree: promql_parser.VectorSelector) -> Part:
        selector = InstantSelector(self._matchers(tree), self._moment(tree))
        self._note(selector, LOOK_BACK_MS)
        return "vector", selector

    def _range(self, tree: promql_parser.MatrixSelector) -> Part:
        inner = tree.vector_selector
        selector = RangeSelector(self._matchers(inner), _length_ms(tree.range), self._moment(inner))
        self._note(selector, selector.range_ms)
        return "matrix", selector

    def _note(self, selector: InstantSelector | RangeSelector, own_ms: int) -> None:
        """Notes what a selector reads."""
        back_ms = self._back_of(selector.moment) + own_ms
        self.looks.append((selector.matchers, max(LOOK_BACK_MS, back_ms)))

    def _back_of(self, moment: Moment) -> int:
        """How far before the time of evaluation a moment may be, milliseconds."""
        if moment.fixed_ms is not None:
            return FIXED_BACK_MS
        return (0 if moment.of_top else self._back_ms) + moment.offset_ms

    def _subquery(self, tree: promql_parser.SubqueryExpr) -> Part:
        moment, range_ms = self._moment(tree), _length_ms(tree.range or timedelta())
        step_ms = None if tree.step is None else max(1, _length_ms(tree.step))
        outer_ms = self._back_ms
        self._back_ms = self._back_of(moment) + range_ms
        _, inner = self.plan(tree.expr)
        self._back_ms = outer_ms
        return "matrix", Subquery(cast("VectorPlan", inner), range_ms, step_ms, moment)

    def _moment(self, tree: promql_parser.VectorSelector | promql_parser.SubqueryExpr) -> Moment:
        offset = tree.offset or timedelta()
        if abs(offset) > _LENGTH_MAX:
            raise ExpressionError("an offset is longer than 292 years, the most that Prometheus takes")
        offset_ms = _milliseconds(offset)
        at = tree.at
        if at is None:
            return Moment(offset_ms)
        if at.type != promql_parser.AtModifierType.At:
            return Moment(offset_ms, of_top=True)
        try:
            fixed = at.at
        except (OverflowError, ValueError) as error:
            message = "the time of an `@` is too far in the future; write seconds since 1970"
            raise ExpressionError(message) from error
        return Moment(offset_ms, fixed_ms=_milliseconds((fixed or _EPOCH) - _EPOCH))

    def _matchers(self, tree: promql_parser.VectorSelector) -> tuple[Matcher, ...]:
        if tree.matchers.or_matchers:
            message = "`or` between the matchers of a selector is not PromQL; write two selectors"
            raise self._refused(message, "or")
        matchers = [Matcher(METRIC_NAME, "=", tree.name)] if tree.name else []
        for matcher in tree.matchers.matchers:
            operator = _MATCH_OPERATORS[str(matcher.op).rsplit(".", maxsplit=1)[-1]]
            if operator in {"=~", "!~"}:
                self._check_pattern(matcher.value, matcher.name)
            matchers.append(Matcher(matcher.name, operator, matcher.value))
        return tuple(matchers)

    def _check_pattern(self, pattern: str, name: str) -> None:
        try:
            whole_match(pattern)
        except re2.error as error:
            message = f"{quoted(pattern)} is not a regular expression: {error}; use RE2's syntax"
            raise self._refused(message, name) from error

    def _call(self, tree: promql_parser.Call) -> Part:
        name = tree.func.name
        if not is_supported(name):
            reason = "is experimental in Prometheus and not" if tree.func.experimental else "is not"
            message = f"the function {name} {reason} supported"
            raise self._refused(message, name)
        arguments = [self.plan(argument) for argument in tree.args]
        if name == "label_replace":
            pattern = arguments[4][1]
            self._check_pattern(cast("Text", pattern).value, name)
        return call_plan(name, arguments)

    def _aggregation(self, tree: promql_parser.AggregateExpr) -> Part:
        name = str(tree.op)
        modifier = tree.modifier
        without = modifier is not None and modifier.type == promql_parser.AggModifierType.Without
        labels = [] if modifier is None else modifier.labels
        group = dropping(labels) if without else keeping(labels) if labels else None
        parameter = None if tree.param is None else self.plan(tree.param)[1]
        vector = cast("VectorPlan", self.plan(tree.expr)[1])
        if name == "count_values":
            return "vector", self._value_count(vector, cast("Text", parameter).value, labels, without=without)
        return "vector", self._reduction(name, vector, group, cast("ScalarPlan", parameter))

    def _reduction(
        self, name: str, vector: VectorPlan, group: Projection | None, parameter: ScalarPlan
    ) -> Plan:
        if name in {"topk", "bottomk"}:
            return Ranking(vector, group, parameter, highest=name == "topk")
        if name == "quantile":
            return QuantileAggregation(vector, group, parameter)
        reduce = REDUCTIONS.get(name)
        if reduce is None:
            message = f"the aggregation {name} is experimental in Prometheus and not supported"
            raise self._refused(message, name)
        return Aggregation(vector, group, reduce)

    def _value_count(self, vector: VectorPlan, label: str, labels: list[str], *, without: bool) -> Plan:
        if not label:
            message = "count_values needs the name of a label, and a name is not empty"
            raise self._refused(message, "count_values")
        group = dropping(labels) if without else keeping([*labels, label])
        return ValueCount(vector, group, label)


def _length_ms(duration: timedelta) -> int:
    """The length of a range or of a step, milliseconds; the parser lets 0 through where it has no unit."""
    if duration <= timedelta():
        raise ExpressionError("a range and a step must be longer than 0")
    if duration > _LENGTH_MAX:
        raise ExpressionError("a range or a step is longer than 292 years, the most that Prometheus takes")
    return _milliseconds(duration)


def _milliseconds(duration: timedelta) -> int:
    """A duration in whole milliseconds; what is less is cut off, as Go does."""
    microseconds = duration // timedelta(microseconds=1)
    return microseconds // 1000 if microseconds >= 0 else -(-microseconds // 1000)
