"""The rules about a budget's money: how much of it is used, how fast it goes, where that leads."""

from decimal import Decimal
from typing import Final

from spanbudget.processors import names_out as names
from spanbudget.processors.names_out import BURN_WINDOWS
from spanbudget.processors.periods import Period
from spanbudget.rules.burn import period_seconds
from spanbudget.rules.durations import duration_text
from spanbudget.rules.expansion.promql_text import (
    BURN_WINDOW,
    QUANTILE,
    equal,
    highest,
    number,
    ratio,
    series,
)
from spanbudget.rules.expansion.rule_text import RuleText
from spanbudget.rules.expansion.sugar import (
    AnomalyAlert,
    BudgetAlerts,
    BurnAlert,
    ProjectedAlert,
    ThresholdAlert,
)
from spanbudget.rules.expansion.wording import (
    PERCENT_VALUE,
    TIMES_VALUE,
    USD_VALUE,
    limit_now,
    spent_of_limit,
    subject,
)
from spanbudget.rules.labels import labels_of

_SECOND_MS: Final = 1_000
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000


def threshold_rule(budget: BudgetAlerts, alert: ThresholdAlert) -> RuleText:
    """Fires once for each window: the peak of a window never falls, except where the limit is raised."""
    expr = f"{highest(series(names.BUDGET_PEAK, budget.budgets))} >= {ratio(alert.percent)}"
    percent = number(alert.percent)
    spent = spent_of_limit() if budget.limits_money else ""
    return RuleText(
        expr=expr,
        alert="LLMBudgetThreshold",
        # A rolling window forgets old spend at every moment, so its use goes up and down around a threshold.
        keep_firing_for_ms=_share(budget.period, 24, _HOUR_MS) if budget.period.kind == "rolling" else 0,
        labels=labels_of(
            {"severity": threshold_severity(budget, alert.percent), "llm_budget_threshold": percent}
        ),
        annotations=labels_of(
            {
                "summary": f"{_subject(budget)} is {PERCENT_VALUE} used{spent}",
                "description": f"It has reached its threshold of {percent} % in this window.",
            }
        ),
    )


def threshold_severity(budget: BudgetAlerts, percent: Decimal) -> str:
    """`info` below the budget's warning level, `warning` from there on, `critical` from that level on."""
    if percent >= budget.thresholds.critical:
        return "critical"
    return "warning" if percent >= budget.thresholds.warning else "info"


def burn_rule(budget: BudgetAlerts, alert: BurnAlert) -> RuleText | str:
    """Fires while both times burn too fast; a text says why a budget has no such rule."""
    pair, length = alert.pair, period_seconds(budget.period)
    what = f"burn {number(pair.rate)}x over {pair.long}"
    if not budget.limits_money or length is None:
        return f"{what}: left out, it needs max_cost and a period that ends"
    if not pair.tells_in_time(length):
        return f"{what}: left out, the {budget.period.kind} limit is used up before it could tell"
    rate = number(pair.rate)
    share = number(pair.spent_percent(length).quantize(Decimal("0.1")))
    lasts = duration_text(int(length / pair.rate) // 60 * _MINUTE_MS)
    return RuleText(
        expr=f"{_burning(budget, pair.long)} > {rate}\nand\n{_burning(budget, pair.short)} > {rate}",
        alert="LLMBudgetBurnRate",
        keep_firing_for_ms=max(15 * _MINUTE_MS, BURN_WINDOWS[pair.short] * _SECOND_MS),
        labels=labels_of({"severity": pair.severity, "llm_burn_window": pair.long}),
        annotations=labels_of(
            {
                "summary": f"{_subject(budget)} spends {TIMES_VALUE} times as fast as its limit"
                f"{limit_now()} allows",
                "description": f"Over the last {pair.long}, and still in the last {pair.short}. At {rate}"
                f" times that pace {pair.long} takes {share} % of the limit, and {lasts} takes all of it.",
            }
        ),
    )


def projected_rule(budget: BudgetAlerts, alert: ProjectedAlert) -> RuleText | str:
    """Fires while the end of the window is above the limit; a text says why a budget has no such rule."""
    if not budget.limits_money or budget.period.kind in ("total", "rolling"):
        return "projected overrun: left out, it needs max_cost and a calendar period"
    quantile = number(1 - alert.confidence)
    projected = series(names.BUDGET_PROJECTED_USD, budget.budgets, equal(QUANTILE, quantile))
    sure = f"With {number(alert.confidence * 100)} % confidence"
    return RuleText(
        expr=f"{highest(projected)}\n>\n{highest(series(names.BUDGET_LIMIT_USD, budget.budgets))}",
        alert="LLMBudgetProjectedOverrun",
        for_ms=_share(budget.period, 48, _HOUR_MS),
        keep_firing_for_ms=_share(budget.period, 24, 6 * _HOUR_MS),
        labels=labels_of({"severity": "warning", QUANTILE: quantile}),
        annotations=labels_of(
            {
                "summary": f"{_subject(budget)} is heading for {USD_VALUE}{limit_now()}",
                "description": f"{sure} the window ends above the limit, going by its spend so far.",
            }
        ),
    )


def anomaly_rule(budget: BudgetAlerts, alert: AnomalyAlert) -> RuleText:
    """Fires while spend is unusual and money is at stake: too much of it, or too little."""
    metrics = names.ANOMALY_SCORE, names.ANOMALY_EXCESS_USD
    score, excess = (series(metric, budget.budgets) for metric in metrics)
    # The two are compared before they are aggregated, as each excess belongs to one score.
    unusual = f"\n  {score} > 1\n  and\n  abs({excess}) >= {number(alert.min_excess_usd)}\n"
    return RuleText(
        expr=highest(unusual),
        alert="LLMCostAnomaly",
        keep_firing_for_ms=30 * _MINUTE_MS,
        labels=labels_of({"severity": "warning"}),
        annotations=labels_of(
            {
                "summary": f"Unusual spend: {_subject(budget)} is at {TIMES_VALUE} times the alert level",
                "description": f"At least ${number(alert.min_excess_usd)} more, or less, than was expected;"
                " `spanbudget anomalies list` tells who made it.",
            }
        ),
    )


def _burning(budget: BudgetAlerts, window: str) -> str:
    return highest(series(names.BUDGET_BURN_RATE, budget.budgets, equal(BURN_WINDOW, window)))


def _subject(budget: BudgetAlerts) -> str:
    return subject(has_children=budget.has_children)


def _share(period: Period, parts: int, most_ms: int) -> int:
    """A part of the period, in whole minutes where it has some, and at most `most_ms`."""
    part_ms = (period_seconds(period) or 0) * _SECOND_MS // parts
    unit_ms = _MINUTE_MS if part_ms >= _MINUTE_MS else _SECOND_MS
    return min(part_ms // unit_ms * unit_ms, most_ms)
