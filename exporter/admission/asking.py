"""A call on its way through admission, and how long it may still wait."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from spanbudget.exporter.admission.context import Caller
from spanbudget.exporter.admission.holdings import lease_clock
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.routes import Route
from spanbudget.exporter.admission.worst_case import WorstCase
from spanbudget.processors.budget_state import Terms
from spanbudget.processors.budgets import Budget
from spanbudget.processors.limits import UNLIMITED, Amount, Demand, Limits


@dataclass(slots=True)
class Asked:
    """A call on its way through admission.

    Attributes:
        request: What is known of it; another one after a downgrade.
        route: Which budgets it asks.
        worst: Its worst case.
        amounts: What it needs of each budget.
        now_ns: When it was asked for, nanoseconds since the epoch.
        caller: Who asks: labels, trace id and span id.
        max_tokens: The limit of one answer after a clamp; None where it is as asked.
    """

    request: CallRequest
    route: Route
    worst: WorstCase
    amounts: tuple[Amount, ...]
    now_ns: int
    caller: Caller
    max_tokens: int | None = None


class Waiting:
    """How long one call may still wait.

    Attributes:
        asked: Whether it is worth looking at what is leased: at first it was just found not to suffice.
        returns: How often its process has given something back for it.
        writes: How often its process had written when the store was last asked.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = lease_clock() + seconds
        self.asked = False
        self.returns = 0
        self.writes = 0

    @property
    def left(self) -> float:
        """Seconds that are left, 0 or more."""
        return max(0.0, self._deadline - lease_clock())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return lease_clock() >= self._deadline

    def sleep(self, seconds: float) -> None:
        """Waits so long, and not longer than what is left."""
        time.sleep(min(seconds + 0.001, self.left + 0.001))


def demand_of(route: Route, index: int, need: Amount, want: Amount, terms: Terms, now_ns: int) -> Demand:
    """What one budget of a route is asked to hold.

    Args:
        route: The route.
        index: Which of its budgets.
        need: What must be held.
        want: What a lease would like.
        terms: What holds for the budget now.
        now_ns: Nanoseconds since the epoch; chooses the windows.
    """
    budget, pot = route.budgets[index], route.leases[index].pot
    limits = terms.limits if budget.hard_limit else UNLIMITED
    if not route.first[index] and budget.policies.priority_percent:
        share = 100 - budget.policies.priority_percent
        limits = Limits(*(None if limit is None else limit * share // 100 for limit in limits))
    starts = budget.period.slices(now_ns)
    return Demand(
        pot=pot,
        period=budget.period.text,
        first_ns=starts[0],
        last_ns=starts[-1],
        limits=limits,
        need=need,
        want=want,
        rates=budget.policies.rates,
        suspends=terms.limits if budget.auto_suspend and not terms.reopened else UNLIMITED,
        closed=terms.closed,
    )


def strictest(budgets: Sequence[Budget], default: str | None) -> str:
    """What happens to a call of these budgets while the store cannot be used: the strictest decides.

    Args:
        budgets: The budgets that may refuse the call.
        default: What holds where a budget does not say; None lets a hard limit hold (`lease_only`: what is
            leased can be spent, and no more), and lets the calls of others pass.
    """
    told = {
        budget.policies.on_store_error or default or ("lease_only" if budget.hard_limit else "allow")
        for budget in budgets
    }
    return next((policy for policy in ("deny", "lease_only") if policy in told), "allow")
