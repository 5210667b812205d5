"""Budgets: which calls they count, in which running totals, and how full they are.

A budget holds rules and no spend. `BudgetBook` answers the two questions of the hot path and of the rules:
which totals does this call belong to, and what do the totals mean?
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from spanbudget.processors.budget_state import BudgetState, Terms, Thresholds
from spanbudget.processors.call import Labels, LLMCall
from spanbudget.processors.children import child_text
from spanbudget.processors.ledger import Spend, SpendKey
from spanbudget.processors.limits import Limits, Policies
from spanbudget.processors.periods import INSTANT_MAX_NS, NS_PER_SECOND, Period, Window, WindowMemo
from spanbudget.processors.selectors import CallIdentity, Selector, identity_of

CHILDREN_MAX: Final = 10_000
ROUTES_MAX: Final = 16_384
"""Label sets that are remembered; at the limit all are forgotten and learned again (about 10 µs each)."""
OTHER_CHILD: Final = "(other)"
BUDGET_LABEL: Final = "budget"
"""A call with this label is directed at the budget of that name; see `BudgetBook`."""
CHILD_LABEL: Final = "child"
ORPHANED_LEASE: Final = "orphaned_lease"
"""Operation of an entry that charges a lease: it belongs to the child of the budget that its labels name."""
_STRETCHES_MAX: Final = 4
"""Windows whose children are remembered: the current one, one for late spans, two for wrong clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on spend.

    Attributes:
        name: Unique name.
        selector: Which calls count.
        max_cost: Limit in pico-USD, above 0; None where money is not limited.
        max_tokens: Limit in tokens, above 0; None where tokens are not limited.
        max_requests: Limit in calls, above 0; None where calls are not limited.
        period: How time is cut into windows.
        per: Canonical label names; each combination of values is a child with these limits of its own.
        hard_limit: Whether calls are refused that could exceed the limit.
        auto_suspend: Whether an exceeded budget refuses every call until its window ends.
        thresholds: Where warning and critical begin.
        policies: What happens to calls before they are made.

    Raises:
        ValueError: There is no limit, or a limit is not above 0.
    """

    name: str
    selector: Selector = field(default_factory=Selector)
    max_cost: int | None = None
    max_tokens: int | None = None
    max_requests: int | None = None
    period: Period = field(default_factory=lambda: Period("monthly"))
    per: tuple[str, ...] = ()
    hard_limit: bool = False
    auto_suspend: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)
    policies: Policies = field(default_factory=Policies)

    @property
    def limits(self) -> Limits:
        """The limits as they are defined, without grants and money carried over."""
        return Limits(self.max_cost, self.max_tokens, self.max_requests)

    @property
    def guards(self) -> bool:
        """Whether a call can be refused for this budget."""
        policies = self.policies
        asks = policies.max_cost_per_call is not None or any(policies.rates)
        return self.hard_limit or self.auto_suspend or asks

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.max_cost, self.max_tokens, self.max_requests) if limit is not None]
        if not limits or min(limits) <= 0:
            raise ValueError(f"budget {self.name!r} needs a limit, and every limit must be above 0")


class BudgetBook:
    """All budgets, and which running totals a call belongs to.

    A call that is directed at a budget, by the label `budget`, belongs to that one, and to the others whose
    selector has terms that match it. A budget without terms counts every call that is not directed elsewhere.

    Children of a `per` template exist from the first call on. A budget has at most `children_max` of them
    at a time: in one window, or for a rolling period in one stretch of its length. Further ones share the
    child `(other)` and are counted. The bound holds for each process by itself.

    Several threads may ask at once: what they share is replaced, never changed in place. They may then pass
    `children_max` by one child each.

    Raises:
        ValueError: Two budgets have the same name.
    """

    __slots__ = (
        "_by_call", "_by_name", "_children_max", "_lanes", "_names", "_routes", "_routes_max", "_shared",
    )  # fmt: skip

    def __init__(
        self, budgets: Sequence[Budget], *, children_max: int = CHILDREN_MAX, routes_max: int = ROUTES_MAX
    ) -> None:
        self._children_max = children_max
        self._routes_max = routes_max
        self._lanes: dict[str, _Lane] = {}
        self.define(budgets)

    def define(self, budgets: Sequence[Budget]) -> None:
        """Replaces all budgets; what is remembered of those that stay the same stays.

        Raises:
            ValueError: Two budgets have the same name; nothing has changed.
        """
        by_name = {budget.name: budget for budget in budgets}
        if len(by_name) != len(budgets):
            raise ValueError("two budgets have the same name")
        known = {lane.budget: lane for lane in self._lanes.values()}
        lanes = {one.name: known.get(one) or _Lane(one, self._children_max) for one in budgets}
        self._by_name, self._lanes = by_name, lanes
        self._names = tuple(sorted({name for budget in budgets for name in _label_names(budget)}))
        self._routes: dict[tuple[Labels, CallIdentity], _Route] = {}
        self._by_call: dict[tuple[object, ...], tuple[Labels, _Route]] = {}
        self._shared: dict[tuple[str | None, ...], _Route] = {}

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, in the order given."""
        return tuple(self._by_name.values())

    def budget(self, name: str) -> Budget:
        """The budget of that name.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[name]

    def windows(self, labels: Labels, identity: CallIdentity, end_ns: int) -> tuple[SpendKey, ...]:
        """The running totals that a call belongs to, in the order of the budgets.

        Args:
            labels: Attribution labels with canonical names, sorted by name.
            identity: Provider, models, tier and operation of the call.
            end_ns: When the call ended, nanoseconds since the epoch.
        """
        route = self._routes.get((labels, identity)) or self._learn(labels, identity)
        start_ns, until_ns, keys = route.current
        return keys if start_ns <= end_ns < until_ns else route.refresh(end_ns)

    def windows_of(self, call: LLMCall) -> tuple[SpendKey, ...]:
        """The running totals that a call belongs to; see `windows`."""
        labels, end_ns = call[18], call[15]
        # Labels are shared from call to call; to hash what is in them would cost as much as all the rest.
        key = (id(labels), call[4:9], call[10])
        known = self._by_call.get(key)
        if known is None or known[0] is not labels:
            identity = identity_of(call)
            route = self._routes.get((labels, identity)) or self._learn(labels, identity)
            if len(self._by_call) >= self._routes_max:
                self._by_call.clear()
            known = self._by_call[key] = (labels, route)
        start_ns, until_ns, keys = known[1].current
        return keys if start_ns <= end_ns < until_ns else known[1].refresh(end_ns)

    def keys_at(self, budget: str, child: str, now_ns: int) -> tuple[SpendKey, ...]:
        """The totals whose sum is the spend at `now_ns`: one, or a rolling period's slices, up to 2160."""
        period = self._by_name[budget].period
        text = period.text
        return tuple(SpendKey(budget, child, text, start_ns) for start_ns in period.slices(now_ns))

    def children(self, budget: str, now_ns: int | None = None) -> tuple[str, ...]:
        """The children with calls, sorted, and `(other)` once it was needed.

        A budget without `per` is its own only child: ("",).

        Args:
            budget: Name of the budget.
            now_ns: Chooses the window (a rolling period may name children of up to twice its length); None
                names the children of every window that is remembered, at most 4.
        """
        lane = self._lanes[budget]
        return tuple(sorted(lane.children(now_ns))) if lane.budget.per else ("",)

    def folded(self, budget: str) -> int:
        """How often a label set was put into `(other)` since the start, once for each window."""
        return self._lanes[budget].folded

    def state(
        self,
        budget: str,
        child: str,
        spend: Spend,
        now_ns: int,
        *,
        reserved: int = 0,
        terms: "Terms | None" = None,
    ) -> BudgetState:
        """What `spend`, the sum over `keys_at`, means for the budget.

        Args:
            budget: Name of the budget.
            child: The child's text, "" for a budget without `per`.
            spend: Settled spend.
            now_ns: Nanoseconds since the epoch; chooses the window.
            reserved: Money held by calls in flight, pico-USD.
            terms: What holds for it now beside its definition; None where that is nothing.
        """
        rule = self._by_name[budget]
        terms = terms or Terms(rule.limits)
        return BudgetState(
            budget=budget,
            child=child,
            window=rule.period.span(now_ns),
            limit_cost=terms.limits.cost,
            limit_tokens=terms.limits.tokens,
            limit_requests=terms.limits.requests,
            spent=spend,
            reserved=reserved,
            thresholds=rule.thresholds,
            auto_suspend=rule.auto_suspend,
            closed=terms.closed,
            reopened=terms.reopened,
            is_rolling=rule.period.kind == "rolling",
        )

    def _learn(self, labels: Labels, identity: CallIdentity) -> "_Route":
        values = dict(labels)
        if identity.operation == ORPHANED_LEASE:
            lane = self._lanes.get(values.get(BUDGET_LABEL, ""))
            return _Route(((lane, values.get(CHILD_LABEL, "")),) if lane else ())
        for name, value in zip(CallIdentity._fields, identity, strict=True):
            values.pop(name, None)  # A custom label never stands in for what the call itself says.
            if value is not None:
                values[name] = value
        if len(self._routes) >= self._routes_max:
            self._routes, self._shared, self._by_call = {}, {}, {}
        # Labels that no budget looks at (sessions, say) share one route, so that its windows are made once.
        relevant = tuple(values.get(name) for name in self._names)
        route = self._shared.get(relevant)
        if route is None:
            matching = [lane for lane in self._lanes.values() if _counts(lane.budget, values)]
            route = _Route(tuple((lane, child_text(lane.budget.per, values)) for lane in matching))
            self._shared[relevant] = route
        self._routes[labels, identity] = route
        return route


@dataclass(slots=True)
class _Lane:
    """A budget with what is remembered about it: its last window, and the children seen in the last few.

    Each window has its own set of children, so that one span from a wrong clock does not hold up the others.
    """

    budget: Budget
    children_max: int
    folded: int = 0
    memo: WindowMemo = field(init=False)
    period_text: str = field(init=False)
    seen: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memo = WindowMemo(self.budget.period)
        self.period_text = self.budget.period.text

    def key(self, child: str, end_ns: int) -> tuple[Window, SpendKey]:
        window = self.memo.window(end_ns)
        if self.budget.per:
            child = self._admit(child, window)
        return window, SpendKey(self.budget.name, child, self.period_text, window.start_ns)

    def children(self, now_ns: int | None) -> set[str]:
        found = {OTHER_CHILD} if self.folded else set()
        if now_ns is None:
            return found.union(*self.seen.copy().values())
        stretch = self._stretch(self.budget.period.window(now_ns))
        before = stretch - 1 if self.budget.period.kind == "rolling" else stretch
        return found | self.seen.get(before, set()) | self.seen.get(stretch, set())

    def _admit(self, child: str, window: Window) -> str:
        stretch = self._stretch(window)
        seen = self.seen.get(stretch)
        if seen is None:
            if len(self.seen) >= _STRETCHES_MAX:
                self.seen.pop(next(iter(self.seen), stretch), None)
            seen = self.seen[stretch] = set()
        if child not in seen:
            if len(seen) >= self.children_max:
                self.folded += 1
                return OTHER_CHILD
            seen.add(child)
        return child

    def _stretch(self, window: Window) -> int:
        rolling_ns = self.budget.period.rolling_seconds * NS_PER_SECOND
        return window.start_ns // rolling_ns if rolling_ns else window.start_ns


@dataclass(slots=True)
class _Route:
    """The budgets and children of one set of labels, with the keys of its last windows.

    Attributes:
        stops: The budgets that match, with the child's text.
        current: From when until when `keys` hold, and the keys; replaced as one, so that no thread mixes two.
    """

    stops: tuple[tuple[_Lane, str], ...]
    current: tuple[int, int, tuple[SpendKey, ...]] = (0, 0, ())

    def refresh(self, end_ns: int) -> tuple[SpendKey, ...]:
        stops = [lane.key(child, end_ns) for lane, child in self.stops]
        start_ns = max((window.start_ns for window, _ in stops), default=0)
        until_ns = min((window.end_ns for window, _ in stops), default=INSTANT_MAX_NS)
        keys = tuple(key for _, key in stops)
        self.current = (start_ns, until_ns, keys)
        return keys


def _counts(budget: Budget, values: dict[str, str]) -> bool:
    directed = values.get(BUDGET_LABEL)
    if directed == budget.name:
        return True
    return (directed is None or bool(budget.selector.terms)) and budget.selector.matches(values)


def _label_names(budget: Budget) -> set[str]:
    return {label for label, _ in budget.selector.terms} | {*budget.per, BUDGET_LABEL}
