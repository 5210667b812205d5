"""Which budgets a call asks, and what it needs of each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from spanbudget.exporter.admission.leases import Lease
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.worst_case import CostHistory, WorstCase, WorstCases
from spanbudget.processors.attribution import Attribution
from spanbudget.processors.budgets import BUDGET_LABEL, Budget, BudgetBook
from spanbudget.processors.call import Labels
from spanbudget.processors.ledger import SpendKey
from spanbudget.processors.limits import Amount, Pot
from spanbudget.processors.model_names import Namer
from spanbudget.processors.periods import INSTANT_MAX_NS
from spanbudget.processors.selectors import CallIdentity, Selector

ROUTES_MAX: Final = 4_096
WORST_MAX: Final = 1_024
_WORST_SECONDS: Final = 60.0
"""How long a worst case is remembered: prices change with the day, a few with the hour."""


@dataclass(slots=True, eq=False)
class Route:
    """The budgets of calls that are alike, and what such calls have cost.

    Attributes:
        keys: The running totals of all budgets that count them.
        labels: Their labels.
        provider: Normalised provider.
        model: Normalised model.
        request_model: The model as the request spells it.
        operation: What they do.
        tier: Service tier asked for.
        directed: The budget that they are directed at; None where at none.
        budgets: The budgets that may refuse them.
        leases: What is held of those, in the order of `budgets`, sorted by pot.
        first: For each budget, whether they may use the share of it that is kept for some.
        history: What they have cost.
        number: Its number in the journal; 0 where it is not there.
        journal: The file that knows the number.
        worst: Worst cases that were worked out, by what they depend on.
        worst_until: Until when they are believed, seconds of the monotonic clock.
        charge_max: Whether a call without a price is charged with what was held for it.
        from_ns: From when on `keys` hold, nanoseconds since the epoch.
        until_ns: Until when.
        capped: Whether a budget limits what one call may cost.
        wait_seconds: How long such a call waits for others to settle.
        expected: Whether a budget holds what is expected and not the worst case.
    """

    keys: tuple[SpendKey, ...]
    labels: Labels
    provider: str | None
    model: str | None
    request_model: str | None
    operation: str
    tier: str | None
    directed: str | None
    budgets: tuple[Budget, ...]
    leases: tuple[Lease, ...]
    first: tuple[bool, ...]
    history: CostHistory = field(default_factory=CostHistory)
    number: int = 0
    journal: object = None
    worst: dict[tuple[object, ...], tuple[WorstCase, tuple[Amount, ...]]] = field(default_factory=dict)
    worst_until: float = 0.0
    charge_max: bool = False
    from_ns: int = 0
    until_ns: int = 0
    capped: bool = False
    wait_seconds: float = 0.0
    expected: bool = False

    @property
    def unbounded(self) -> Literal["refuse", "allow"]:
        """What happens where nobody knows the worst case: the strictest budget decides."""
        return "refuse" if any(b.policies.on_unbounded == "refuse" for b in self.budgets) else "allow"

    @property
    def unpriced(self) -> Literal["reject", "charge_max", "warn"]:
        """What happens where nobody knows the price: the strictest budget decides."""
        told = {budget.policies.on_unpriced for budget in self.budgets}
        return "reject" if "reject" in told else "charge_max" if "charge_max" in told else "warn"

    def amounts(self, worst: WorstCase, cost: int) -> tuple[Amount, ...]:
        """What each budget is asked to hold for a call whose worst case costs so much, pico-USD."""
        return tuple(self._amount(budget, worst, cost) for budget in self.budgets)

    def _amount(self, budget: Budget, worst: WorstCase, cost: int) -> Amount:
        if budget.policies.guarantee == "expected":
            cost = min(cost, self.history.p95() or cost)
        policies, limits = budget.policies, budget.limits if budget.hard_limit else (None, None, None)
        wanted = (cost, worst.tokens, 1)
        return Amount(
            *(
                part if limit is not None or rate is not None else 0
                for part, limit, rate in zip(wanted, limits, policies.rates, strict=True)
            )
        )


class Routes:
    """Finds the route of a request; under the engine's lock, or by one thread.

    Args:
        budgets: All budgets.
        namer: Names models.
        attribution: Reads labels.
        worst_cases: Works out worst cases.
        lease_of: The lease of a pot, made where there is none; calls that may use the share which is kept for
            some have one of their own.
    """

    def __init__(
        self,
        budgets: BudgetBook,
        namer: Namer,
        attribution: Attribution,
        worst_cases: WorstCases,
        lease_of: Callable[[Pot, bool], Lease],
    ) -> None:
        self.worst_cases = worst_cases
        self._resource: Mapping[str, object] = {}
        self._budgets = budgets
        self._namer = namer
        self._attribution = attribution
        self._lease_of = lease_of
        self._routes: dict[tuple[object, ...], Route] = {}
        self._labels: dict[tuple[object, ...], Labels] = {}

    def know(self, resource: Mapping[str, object]) -> None:
        """Takes note of the attributes of the process's resource, which label its calls."""
        self._resource = dict(resource)
        self._labels = {}

    def guarding(self) -> tuple[Budget, ...]:
        """The budgets that may refuse a call."""
        return tuple(budget for budget in self._budgets.budgets if budget.guards)

    def forget(self) -> None:
        """Forgets all routes: budgets have changed."""
        self._routes = {}

    def labels_of(self, labels: Labels, baggage: Mapping[str, object], directed: str | None = None) -> Labels:
        """The labels of a call, from what the application says, its baggage and its resource."""
        key = (labels, directed, *baggage.items()) if baggage else (labels, directed)
        known = self._labels.get(key)
        if known is None:
            told: dict[str, object] = {**baggage, **dict(labels)}
            found = dict(self._attribution.labels_of(told, self._resource))
            # What the application itself says is a label, whatever the configuration reads from spans.
            found.update(labels)
            if directed is not None:
                found[BUDGET_LABEL] = directed
            if len(self._labels) >= ROUTES_MAX:
                self._labels = {}
            known = self._labels[key] = tuple(sorted(found.items()))
        return known

    def route(self, request: CallRequest, labels: Labels, now_ns: int) -> Route:
        """The route of a request.

        Args:
            request: What is known of the call.
            labels: Its labels, by `labels_of`.
            now_ns: Nanoseconds since the epoch; chooses the windows.
        """
        key = (labels, request.provider, request.model, request.operation, request.tier)
        known = self._routes.get(key)
        if known is not None and known.from_ns <= now_ns < known.until_ns:
            return known
        route = self._made(request, labels, now_ns)
        if known is not None:
            route.history = known.history
        if len(self._routes) >= ROUTES_MAX:
            self._routes = {}
        self._routes[key] = route
        return route

    def _made(self, request: CallRequest, labels: Labels, now_ns: int) -> Route:
        named = self._namer.name(request.provider, request.model, None)
        identity = CallIdentity(
            named.provider, named.model, request.model, None, request.tier, request.operation
        )
        keys = self._budgets.windows(labels, identity, now_ns)
        windows = [self._budgets.budget(one.budget).period.window(now_ns) for one in keys]
        pots = sorted(Pot(one.budget, one.child) for one in keys if self._budgets.budget(one.budget).guards)
        budgets = tuple(self._budgets.budget(pot.budget) for pot in pots)
        first = tuple(may_use_priority(budget, labels) for budget in budgets)
        leases = tuple(map(self._lease_of, pots, first))
        for budget, lease in zip(budgets, leases, strict=True):
            lease.guard(budget)
        route = Route(
            keys, labels, named.provider, named.model, request.model, request.operation, request.tier,
            request.budget_name, budgets, leases, first,
        )  # fmt: skip
        route.from_ns = max((window.start_ns for window in windows), default=0)
        route.until_ns = min((window.end_ns for window in windows), default=INSTANT_MAX_NS)
        route.capped = any(budget.policies.max_cost_per_call is not None for budget in budgets)
        route.charge_max = route.unpriced == "charge_max"
        route.wait_seconds = max((budget.policies.wait_ms for budget in budgets), default=0) / 1000
        route.expected = any(budget.policies.guarantee == "expected" for budget in budgets)
        return route

    def worst(self, route: Route, request: CallRequest, now_ns: int) -> tuple[WorstCase, tuple[Amount, ...]]:
        """The worst case of a request, and what each budget is asked to hold for it; remembered a minute."""
        now = time.monotonic()
        if now > route.worst_until or len(route.worst) >= WORST_MAX:
            route.worst, route.worst_until = {}, now + _WORST_SECONDS
        key = (
            request.cost, request.input_tokens, request.max_tokens, request.choices, request.cache_writes,
        )  # fmt: skip
        known = route.worst.get(key)
        if known is None or route.expected:
            worst = self.worst_cases.of(request, route.provider, route.model, now_ns)
            amounts = route.amounts(worst, worst.cost or 0)
            known = route.worst[key] = (worst, amounts)
        return known


def may_use_priority(budget: Budget, labels: Labels) -> bool:
    """Whether a call with these labels may use the share of a budget that is kept for some."""
    policies = budget.policies
    return not policies.priority_percent or Selector(policies.priority_match).matches(dict(labels))
