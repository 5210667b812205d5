"""Projections of budgets straight from the ledger, also of what would be if things changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from spanbudget.exporter.alerting.replayed import ReplayedBudgets
from spanbudget.exporter.alerting.replaying import learn
from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.config import Config
from spanbudget.exporter.instrument import give_up_pipeline, shared_pipeline
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import Tally, TallyQuestion, open_tallies
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import BUDGET_LABEL, CHILD_LABEL, Budget, BudgetBook
from spanbudget.processors.errors import InputError
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import PICO
from spanbudget.processors.periods import INSTANT_MAX_NS, Period
from spanbudget.rules.projection.bins import is_endless
from spanbudget.rules.projection.projection import Projection, projected
from spanbudget.rules.projection.projector import Projector

_STEP_NS: Final = 300 * 10**9
"""The finest bins there are, in which the ledger is read where a budget needs them."""
_COARSE_NS: Final = 1_800 * 10**9
"""Divides the offsets of nearly all time zones, so that days are whole."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What should be different from now on.

    Attributes:
        models: Factor of what a model's calls cost, by its name; 0 drops it.
        growth: Factor of all that is left to spend, above 0.
    """

    models: Mapping[str, float] = field(default_factory=dict[str, float])
    growth: float = 1.0

    def factor(self, tally: Tally) -> float:
        """Factor of what calls cost."""
        called = (tally.model, tally.response_model, tally.request_model)
        return next((self.models[name] for name in called if name is not None and name in self.models), 1.0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of one budget, or of one child.

    Attributes:
        state: How full it is.
        period: How its time is cut.
        now_ns: When that was, nanoseconds since the epoch.
        projection: Where it is going; None where that cannot be told.
        problem: Why it cannot; "" where it can.
        so_far: (nanoseconds since the epoch, USD spent in the window up to then), up to now.
    """

    state: BudgetState
    period: Period
    now_ns: int
    projection: Projection | None
    problem: str
    so_far: tuple[tuple[int, float], ...]


def forecasts(
    config: Config,
    now_ns: int,
    budget: str | None = None,
    child: str | None = None,
    what_if: WhatIf | None = None,
) -> list[Forecast]:
    """Projects budgets by what the ledger holds, the fullest first.

    Args:
        config: Names the ledger and the budgets.
        now_ns: Nanoseconds since the epoch.
        budget: Name of the only one that is wanted; None for all.
        child: Text of the only child of it that is wanted; None for all.
        what_if: What should be different; None for nothing.

    Raises:
        InputError: There is no such budget, child or model, or there are no calls.
        LedgerError: The ledger cannot be read.
    """
    open_ledger(config.ledger.url, create=False).close()
    config = with_stored(config)
    chosen = _chosen(config.budgets, budget)
    pipeline = shared_pipeline(config, rules=False)
    try:
        names = {one.name for one in chosen}
        states = [state for state in pipeline.budget_states() if state.budget in names]
    finally:
        give_up_pipeline(pipeline)
    if child is not None:
        states = [_of_child(states, budget or "", child)]
    past = _Past.read(config, chosen, now_ns, what_if or WhatIf())
    periods = {one.name: one.period for one in chosen}
    states.sort(key=lambda state: (-state.utilization, state.budget, state.child))
    return [past.forecast(state, periods[state.budget], now_ns) for state in states]


def _chosen(budgets: Sequence[Budget], name: str | None) -> Sequence[Budget]:
    if not budgets:
        raise InputError(
            "the configuration has no budgets, so there is nothing to project; add some below `budgets`"
        )
    if name is None:
        return budgets
    found = [one for one in budgets if one.name == name]
    if not found:
        raise InputError(f"there is no budget {name!r}; known are {_listed(one.name for one in budgets)}")
    return found


def _of_child(states: Sequence[BudgetState], budget: str, child: str) -> BudgetState:
    found = next((state for state in states if state.child == child), None)
    if found is None:
        known = _listed(state.child for state in states if state.child)
        told = f"known are {known}" if known else "it has none with calls in this window"
        raise InputError(f"budget {budget!r} has no child {child!r}; {told}")
    return found


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:_LISTED_MAX]) + (", …" if len(known) > _LISTED_MAX else "")


_LISTED_MAX: Final = 20


class _Past:
    """What budgets have spent, as it was and as it would have been.

    Args:
        periods: The period of each budget, by its name.
        what_if: What should be different.
    """

    def __init__(self, periods: Mapping[str, Period], what_if: WhatIf) -> None:
        self._what_if = what_if
        self._was = Projector(periods, learn)
        self._would = Projector(periods, learn) if what_if.models else self._was
        self._saved: dict[Pot, list[tuple[int, int]]] = {}

    @classmethod
    def read(cls, config: Config, budgets: Sequence[Budget], now_ns: int, what_if: WhatIf) -> "_Past":
        """Reads the ledger.

        Raises:
            InputError: It has no calls, or none of a model.
        """
        past = cls({one.name: one.period for one in budgets}, what_if)
        bins = past._was.history.bins.values()
        since_ns = max(0, min((now_ns - one.kept * one.length_ns for one in bins), default=now_ns))
        step_ns = _STEP_NS if any(one.length_ns <= _STEP_NS for one in bins) else _COARSE_NS
        labels = {label for one in budgets for label, _ in one.selector.terms}
        labels |= {label for one in budgets for label in one.per}
        asked = TallyQuestion(tuple(sorted({*labels, BUDGET_LABEL, CHILD_LABEL})), ())
        replayed = ReplayedBudgets(BudgetBook(budgets))
        reader = open_tallies(config.ledger.url, question=asked)
        models: set[str] = set()
        empty = True
        try:
            for tally in reader.tallies_between(since_ns - since_ns % step_ns, INSTANT_MAX_NS, step_ns):
                empty = False
                models |= {name for name in (tally.model, tally.request_model, tally.response_model) if name}
                past.add(tally, replayed.pots_of(tally), now_ns)
        finally:
            reader.close()
        if empty and any(one.period.kind != "rolling" for one in budgets):
            raise InputError(
                "the ledger has no calls in the time that projections go by, so there is nothing to project"
            )
        for model in what_if.models:
            if model not in models:
                raise InputError(f"there is no call of a model {model!r}; known are {_listed(models)}")
        return past

    def add(self, tally: Tally, pots: Sequence[Pot], now_ns: int) -> None:
        """Adds spend; what ended after now, by a clock that is ahead, is of now."""
        at_ns = min(tally.bucket_ns, now_ns)
        factor = self._what_if.factor(tally)
        for pot in pots:
            self._was.history.add(pot, at_ns, tally.cost)
            if self._would is not self._was:
                cost = round(tally.cost * factor)
                self._would.history.add(pot, at_ns, cost)
                if cost != tally.cost:
                    self._saved.setdefault(pot, []).append((at_ns, tally.cost - cost))

    def forecast(self, state: BudgetState, period: Period, now_ns: int) -> Forecast:
        """Projects one budget."""
        pot = Pot(state.budget, state.child)
        past = self._was.history.past(pot, now_ns)
        found = None
        if past is None and not state.spent.cost:
            problem = _NOTHING_SPENT
        elif period.kind == "rolling":
            problem = _ROLLING
        else:
            saved = sum(cost for at_ns, cost in self._saved.get(pot, ()) if at_ns >= state.window.start_ns)
            spent = replace(
                state, spent=Spend(state.spent.cost - saved, state.spent.tokens, state.spent.requests)
            )
            found = self._would.outlook(spent, now_ns)
            problem = "" if found is not None else _TOO_EARLY
        if found is None:
            return Forecast(state, period, now_ns, None, problem, ())
        outlook, now = found
        now = now._replace(spent=state.spent.cost / PICO)  # what is spent stays spent
        limit = None if state.limit_cost is None else state.limit_cost / PICO
        outlook = replace(outlook, growth=self._what_if.growth)
        projection = projected(outlook, now, limit, endless=is_endless(state.window))
        return Forecast(state, period, now_ns, projection, "", self._so_far(state, now_ns))

    def _so_far(self, state: BudgetState, now_ns: int) -> tuple[tuple[int, float], ...]:
        found = self._was.outlook(state, now_ns)
        if found is None:
            return ()
        outlook, now = found
        known = [*now.seen, now.current]
        before = max(now.spent - sum(known), 0.0)
        bins = outlook.bins
        starts = [outlook.edges[0]]
        for _ in now.seen:
            starts.append(bins.around(max(0, starts[-1] - bins.length_ns // 2)).start_ns)
        moments = [max(at_ns, state.window.start_ns) for at_ns in reversed(starts)] + [now_ns]
        return tuple(zip(moments, accumulate(known, initial=before), strict=True))


_NOTHING_SPENT: Final = "it has spent nothing yet, so there is nothing to project"
_ROLLING: Final = "a rolling budget has no end to project: its window moves on at every moment"
_TOO_EARLY: Final = "it is too early: without history, a tenth of the window must have passed"
