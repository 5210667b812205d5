"""Text → plan: the parser's tree is checked, and every part of it becomes what evaluates it.

The grammar and the types of arguments are the parser's (the `promql-parser` library); what it lets through
and Prometheus does not, or this project cannot evaluate, is refused here.
"""

import re
from typing import Final, TypeAlias

import promql_parser

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import Matcher
from spanbudget.rules.promql.context import Plan
from spanbudget.rules.promql.planning import Planner
from spanbudget.rules.promql.scanning import check_extent, error_at, place_of_call, words
from spanbudget.rules.promql.values import ExpressionKind

Planned: TypeAlias = tuple[ExpressionKind, Plan, tuple[tuple[tuple[Matcher, ...], int], ...]]
"""(what it evaluates to, what evaluates it, each selector's conditions and how far back it looks in ms)."""

_QUOTED: Final = re.compile(r"'([^']*)'")
_NO_PLACE: Final = "invalid promql query"
_NO_LENGTH: Final = (
    "a range, a step or an offset is no length of time; write one such as 5m, of 292 years at most"
)


def planned(text: str) -> Planned:
    """Reads an expression.

    Raises:
        ExpressionError: It is not PromQL, or uses something that is not supported here; with line and column
            where they can be found.
    """
    check_extent(text)
    tree = _parsed(text, text)
    _check_signs(text)
    planner = Planner(text)
    try:
        kind, plan = planner.plan(tree)
    except (OverflowError, ValueError) as error:  # by the tree's attributes, as it has no length of that size
        raise ExpressionError(_NO_LENGTH) from error
    except RecursionError as error:
        message = (
            "the expression is too deep for the caller's stack; record parts of it by rules of their own"
        )
        raise ExpressionError(message) from error
    return kind, plan, tuple(dict.fromkeys(planner.looks))


def _parsed(text: str, written: str) -> promql_parser.Expr:
    """The tree of a text; errors are those of the text as it was written."""
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise _refusal(written, str(error)) from error
    except OverflowError as error:
        raise ExpressionError(_NO_LENGTH) from error
    except BaseException as error:
        # The library panics on a length such as 1e300 seconds, and a panic is not an `Exception`.
        if type(error).__name__ != "PanicException":
            raise
        raise ExpressionError(_NO_LENGTH) from None


def _check_signs(text: str) -> None:
    """Refuses a plus before a string or a range; the parser drops every such plus, whatever follows it.

    It does read a minus, which may stand where a plus may.
    """
    characters, previous = list(text), ""
    for word in words(text):
        if word.text == "+" and previous != "@":
            characters[word.start] = "-"
        previous = word.text
    with_minus = "".join(characters)
    if with_minus != text:
        _parsed(with_minus, text)


def _refusal(text: str, message: str) -> ExpressionError:
    """The parser's error, at the name or character it speaks of, if it does."""
    if message == _NO_PLACE:
        message = "not a PromQL expression; an operator, an operand or a comma is missing or too many"
        return ExpressionError(message)
    for quoted in _QUOTED.findall(message):
        place = place_of_call(text, quoted)
        if place is not None:
            return ExpressionError(message, line=place.line, column=place.column)
        for word in words(text):
            if word.kind == "other" and word.text == quoted:
                return error_at(text, word.start, message)
    return ExpressionError(message)
