"""The gauges that show a budget's state: one list for the instruments and for the rules."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeAlias

from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.names_out import Metric

BudgetReading: TypeAlias = Callable[[BudgetState], float | None]
"""The value in the metric's unit times its divisor; None where the budget has no such limit."""


def _spent_tokens(state: BudgetState) -> int | None:
    return None if state.limit_tokens is None else state.spent.tokens


def _spent_requests(state: BudgetState) -> int | None:
    return None if state.limit_requests is None else state.spent.requests


BUDGET_READINGS: Final[tuple[tuple[Metric, BudgetReading], ...]] = (
    (names.BUDGET_LIMIT_USD, attrgetter("limit_cost")),
    (names.BUDGET_SPENT_USD, attrgetter("spent.cost")),
    (names.BUDGET_RESERVED_USD, attrgetter("reserved")),
    (names.BUDGET_REMAINING_USD, attrgetter("remaining_cost")),
    (names.BUDGET_UTILIZATION, attrgetter("utilization")),
    (names.BUDGET_LIMIT_TOKENS, attrgetter("limit_tokens")),
    (names.BUDGET_SPENT_TOKENS, _spent_tokens),
    (names.BUDGET_LIMIT_REQUESTS, attrgetter("limit_requests")),
    (names.BUDGET_SPENT_REQUESTS, _spent_requests),
)
