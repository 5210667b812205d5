"""The rules about a budget's calls: do they fail, are they slow, what do they cost, are there any."""

from collections.abc import Sequence
from typing import Final

from spanbudget.processors import names_out as names
from spanbudget.rules.durations import duration_text
from spanbudget.rules.expansion.promql_text import (
    BUDGET_LABELS,
    CONFIDENCE,
    MODEL,
    NAME,
    OUTCOME,
    UNPRICED,
    equal,
    matching,
    number,
    over,
    ratio,
    series,
    summed,
)
from spanbudget.rules.expansion.rule_text import RuleText
from spanbudget.rules.expansion.sugar import (
    BudgetAlerts,
    ErrorRateAlert,
    LatencyAlert,
    ModelShareAlert,
    SilenceAlert,
    UnpricedAlert,
)
from spanbudget.rules.expansion.wording import PERCENT_VALUE, subject
from spanbudget.rules.labels import labels_of

_MINUTE_MS: Final = 60_000
_BUCKET: Final = "le"
_BLOCK: Final = 20
"""Absences that are bracketed together."""


def error_rate_rule(budget: BudgetAlerts, alert: ErrorRateAlert) -> RuleText:
    """Fires while too many calls fail, of enough calls to tell."""
    where = subject(has_children=budget.has_children)
    return RuleText(
        expr=_share(budget, equal(OUTCOME, names.OUTCOME_ERROR), alert),
        alert="LLMErrorRateHigh",
        for_ms=5 * _MINUTE_MS,
        keep_firing_for_ms=5 * _MINUTE_MS,
        labels=labels_of({"severity": "warning"}),
        annotations=labels_of(
            {
                "summary": f"{where}: {PERCENT_VALUE} of the calls fail",
                "description": f"More than {number(alert.above_percent)} % of the calls of the last"
                f" {duration_text(alert.over_ms)}, which are at least {alert.min_requests}.",
            }
        ),
    )


def latency_rule(budget: BudgetAlerts, alert: LatencyAlert) -> RuleText:
    """Fires while calls are slow, with enough calls to tell."""
    selector = series(names.BUDGET_REQUEST_DURATION, budget.budgets, suffix="_bucket")
    everything = series(
        names.BUDGET_REQUEST_DURATION, budget.budgets, equal(_BUCKET, "+Inf"), suffix="_bucket"
    )
    quantile, percentile = number(alert.quantile), f"p{number(alert.quantile * 100)}"
    slow = f"histogram_quantile({quantile}, {summed(f'rate({over(selector, alert.over_ms)})', _BUCKET)})"
    enough = summed(f"increase({over(everything, alert.over_ms)})")
    where = subject(has_children=budget.has_children)
    return RuleText(
        expr=f"{slow} > {number(alert.seconds)}\nand\n{enough} >= {alert.min_requests}",
        alert="LLMLatencyHigh",
        for_ms=10 * _MINUTE_MS,
        keep_firing_for_ms=10 * _MINUTE_MS,
        labels=labels_of({"severity": "warning", "llm_latency_quantile": quantile}),
        annotations=labels_of(
            {
                "summary": f"{where}: {percentile} of the calls is {{{{ $value | humanizeDuration }}}}",
                "description": f"Above {number(alert.seconds)} s, over the last"
                f" {duration_text(alert.over_ms)}.",
            }
        ),
    )


def model_share_rule(budget: BudgetAlerts, alert: ModelShareAlert) -> RuleText:
    """Fires while one model takes too much of the money, of enough money to matter."""
    matchers = (matching(MODEL, alert.model),) if alert.model else ()
    one = summed(f"increase({over(_cost(budget, *matchers), alert.over_ms)})", MODEL)
    total = summed(f"increase({over(_cost(budget), alert.over_ms)})")
    on = f"on ({', '.join(BUDGET_LABELS)})"
    where = subject(has_children=budget.has_children)
    return RuleText(
        expr=f"{one}\n/ {on} group_left ()\n{total}\n> {ratio(alert.above_percent)}\n"
        f"and {on}\n{total} >= {number(alert.min_usd)}",
        alert="LLMModelCostShare",
        for_ms=60 * _MINUTE_MS,
        keep_firing_for_ms=60 * _MINUTE_MS,
        labels=labels_of({"severity": "info"}),
        annotations=labels_of(
            {
                "summary": f"{where}: {{{{ $labels.{MODEL} }}}} takes {PERCENT_VALUE} of the money",
                "description": f"More than {number(alert.above_percent)} % of what was spent in the last"
                f" {duration_text(alert.over_ms)}, which is at least ${number(alert.min_usd)}.",
            }
        ),
    )


def unpriced_rule(budget: BudgetAlerts, alert: UnpricedAlert) -> RuleText:
    """Fires while calls cost what nobody knows: no limit in money holds for them."""
    where = subject(has_children=budget.has_children)
    return RuleText(
        expr=_share(budget, equal(CONFIDENCE, UNPRICED), alert),
        alert="LLMUnpricedCalls",
        for_ms=10 * _MINUTE_MS,
        keep_firing_for_ms=60 * _MINUTE_MS,
        labels=labels_of({"severity": "warning"}),
        annotations=labels_of(
            {
                "summary": f"{where}: {PERCENT_VALUE} of the calls have no price",
                "description": "No limit in money holds for them: see `spanbudget prices --check`.",
            }
        ),
    )


def silence_rule(budget: BudgetAlerts, alert: SilenceAlert) -> RuleText:
    """Fires where no call was counted, whether the counter stands still, is gone, or never was there.

    A counter that appeared with calls in it within that time is no silence, although it has not moved since.
    A template is silent where all of its children are.
    """
    calls = series(names.BUDGET_CALLS, budget.budgets)
    after = duration_text(alert.after_ms)
    by_name, by_series = (
        f"sum by ({NAME})",
        f"sum by ({', '.join((*BUDGET_LABELS, OUTCOME, CONFIDENCE, MODEL))})",
    )
    return RuleText(
        expr=f"{_absences(budget.budgets, after)}\n"
        "or\n"
        "(\n"
        f"  {by_name} (increase({calls}[{after}])) == 0\n"
        f"  unless on ({NAME})\n"
        "  (\n"
        f"    {by_series} ({calls}) > 0\n"
        "    unless\n"
        f"    {by_series} ({calls} offset {after})\n"
        "  )\n"
        ")",
        alert="LLMBudgetSilent",
        for_ms=5 * _MINUTE_MS,
        labels=labels_of({"severity": "warning"}),
        annotations=labels_of(
            {
                "summary": f"{subject(has_children=False)} has counted no call for {after}",
                "description": "Either nobody calls, or the calls no longer reach SpanBudget.",
            }
        ),
    )


def _absences(budgets: Sequence[str], after: str) -> str:
    """Which of the budgets have no counter: only a matcher of one name tells which one is absent.

    Many are bracketed in blocks, as operators that follow one another are as deep as they are many.
    """
    absent = [f"absent_over_time({series(names.BUDGET_CALLS, (name,))}[{after}])" for name in budgets]
    if len(absent) <= _BLOCK:
        return "\nor\n".join(absent)
    blocks = ("\nor\n".join(absent[first : first + _BLOCK]) for first in range(0, len(absent), _BLOCK))
    return "\nor\n".join(f"(\n{block}\n)" for block in blocks)


def _share(budget: BudgetAlerts, matcher: str, alert: ErrorRateAlert | UnpricedAlert) -> str:
    """The share of some calls of all, above a ratio, where there are enough of them."""
    some = over(series(names.BUDGET_CALLS, budget.budgets, matcher), alert.over_ms)
    every = over(series(names.BUDGET_CALLS, budget.budgets), alert.over_ms)
    return (
        f"{summed(f'increase({some})')}\n/\n{summed(f'increase({every})')}\n> {ratio(alert.above_percent)}\n"
        f"and\n{summed(f'increase({every})')} >= {alert.min_requests}"
    )


def _cost(budget: BudgetAlerts, *matchers: str) -> str:
    return series(names.BUDGET_COST_USD, budget.budgets, *matchers)
