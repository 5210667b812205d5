"""What a refused call is told."""

from datetime import UTC, datetime

from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import BudgetExceeded
from spanbudget.processors.limits import MEASURES, Amount, Pot, Refusal
from spanbudget.processors.money import display_usd
from spanbudget.processors.periods import INSTANT_MAX_NS


def exceeded(budget: Budget, refusal: Refusal, need: Amount, now_ns: int) -> BudgetExceeded:
    """The error for a budget whose money, tokens, calls or rate do not suffice."""
    index = MEASURES.index(refusal.measure)
    spent, held = refusal.standing.spent[index], refusal.standing.held[index]
    window = budget.period.span(now_ns)
    ends = None if window.end_ns >= INSTANT_MAX_NS or budget.period.kind == "rolling" else window.end_ns
    name = _name(refusal.pot)
    retry = None if refusal.retry_after_ns is None else refusal.retry_after_ns / 1e9
    if refusal.reason in ("limit", "suspended") and retry is None and ends is not None:
        retry = max(0.0, (ends - now_ns) / 1e9)
    show = _usd if refusal.measure == "cost" else str
    if refusal.reason == "suspended":
        told = f"budget {name} is suspended{_until(ends)}; resume it, or give it a grant"
    elif refusal.reason == "rate":
        told = (
            f"budget {name} allows {show(refusal.limit)} {_unit(refusal.measure)}a minute, and the call needs"
            f" {show(need[index])}; try again in {retry or 0:.1f} s"
        )
    else:
        told = (
            f"budget {name} cannot pay for the call: it needs {show(need[index])}"
            f" {_unit(refusal.measure)}of a limit of {show(refusal.limit)}, of which {show(spent)} is spent"
            f" and {show(held)} reserved{_until(ends)}; wait, ask for a shorter answer, or raise the limit"
        )
    return BudgetExceeded(
        told,
        budget=refusal.pot.budget,
        child=refusal.pot.child,
        reason=refusal.reason,
        measure=refusal.measure,
        requested=need[index],
        limit=refusal.limit,
        spent=spent,
        reserved=held,
        window_end_ns=ends,
        retry_after_seconds=retry,
    )


def per_call(budget: Budget, cost: int, most: int) -> BudgetExceeded:
    """The error for a call that alone costs more than a budget lets one call cost."""
    told = (
        f"budget {budget.name} lets one call cost {_usd(most)}, and this one may cost {_usd(cost)}; ask for a"
        " shorter answer, or raise max_cost_per_call"
    )
    return BudgetExceeded(told, budget=budget.name, reason="per_call", requested=cost, limit=most)


def unknown_worst_case(budget: Budget, doubt: str, model: str | None) -> BudgetExceeded:
    """The error for a call whose worst case nobody knows."""
    if doubt == "unpriced":
        why = f"the model {model or '(none)'} has no price; add one under `prices`, or set on_unpriced"
    else:
        why = "nobody can say how long its prompt or answer may be; set max_tokens, or on_unbounded: allow"
    told = f"budget {budget.name} has a hard limit, and the worst case of the call is not known: {why}"
    return BudgetExceeded(told, budget=budget.name, reason=doubt, limit=budget.max_cost or 0)


def store_failed(budget: Budget, policy: str, error: Exception) -> BudgetExceeded:
    """The error for a call that comes while the ledger cannot be used."""
    told = (
        f"budget {budget.name} cannot be asked, and on_store_error is {policy}: {error}; mend the ledger, or"
        " set on_store_error: allow"
    )
    return BudgetExceeded(
        told, budget=budget.name, reason="store", limit=budget.max_cost or 0, retry_after_seconds=1.0
    )


def context_exceeded(name: str, limit: int, spent: int, reserved: int, need: int) -> BudgetExceeded:
    """The error for a `budget_context` whose money does not suffice."""
    told = (
        f"the budget of this context, {name}, cannot pay for the call: it needs {_usd(need)} of a limit of"
        f" {_usd(limit)}, of which {_usd(spent)} is spent and {_usd(reserved)} reserved"
    )
    return BudgetExceeded(
        told, budget=name, reason="limit", requested=need, limit=limit, spent=spent, reserved=reserved
    )


def _usd(pico: int) -> str:
    return display_usd(pico)


def _unit(measure: str) -> str:
    return "" if measure == "cost" else f"{measure} "


def _name(pot: Pot) -> str:
    return f"{pot.budget} ({pot.child})" if pot.child else pot.budget


def _until(ends_ns: int | None) -> str:
    if ends_ns is None:
        return ""
    return f" (its window ends at {datetime.fromtimestamp(ends_ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC)"
