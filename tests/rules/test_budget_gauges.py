"""Figures by hand: a budget of $100 for a day, so $1 in 14.4 minutes is a burn rate of 1."""

from dataclasses import replace
from typing import Any

import pytest

from spanbudget.processors.budget_state import BudgetState, Thresholds
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Pot
from spanbudget.processors.periods import INSTANT_MAX_NS, Window
from spanbudget.rules.budget_gauges import BudgetGauges, Peak
from spanbudget.rules.labels import label_value

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 20_000 * DAY
USD = 10**12


def state(spent: float = 0, **changes: Any) -> BudgetState:
    made = BudgetState(
        budget="prod",
        child="",
        window=Window(START, START + DAY),
        limit_cost=100 * USD,
        limit_tokens=None,
        limit_requests=None,
        spent=Spend(int(spent * USD), 10, 5),
        reserved=0,
        thresholds=Thresholds(),
        auto_suspend=False,
    )
    return replace(made, **changes)


def nothing_spent(pot: Pot, since_ns: int) -> float | None:
    return 0.0


def values(
    gauges: BudgetGauges, one: BudgetState, now_ns: int, spent_since: Any = nothing_spent
) -> dict[str, float]:
    return {
        "/".join(
            value for name, value in labels if name not in ("llm_budget_name", "llm_budget_child")
        ): number
        for labels, number in gauges.samples(one, now_ns, spent_since)
    }


def test_a_budgets_state_becomes_series_with_the_names_of_the_exported_metrics():
    found = values(BudgetGauges(), state(25, reserved=5 * USD, limit_tokens=40), START + 6 * HOUR)
    assert found["llm_budget_limit_usd"] == 100
    assert found["llm_budget_spent_usd"] == 25
    assert found["llm_budget_reserved_usd"] == 5
    assert found["llm_budget_remaining_usd"] == 70
    assert found["llm_budget_utilization_ratio"] == 0.25
    assert found["llm_budget_limit_tokens"] == 40
    assert "llm_budget_limit_requests" not in found
    labels, _ = next(BudgetGauges().samples(state(child="user=ann"), START, nothing_spent))
    assert label_value(labels, "llm_budget_name") == "prod"
    assert label_value(labels, "llm_budget_child") == "user=ann"


def test_a_correction_does_not_lower_the_peak_of_its_window_and_the_next_window_does():
    gauges = BudgetGauges()
    seen = [
        values(gauges, one, START + HOUR)["llm_budget_peak_ratio"]
        for one in (state(81), state(79), state(85), state(2, window=Window(START + DAY, START + 2 * DAY)))
    ]
    assert seen == [0.81, 0.81, 0.85, 0.02]


def test_a_higher_limit_lowers_the_peak():
    gauges = BudgetGauges()
    values(gauges, state(81), START)
    assert values(gauges, state(81, limit_cost=162 * USD), START)["llm_budget_peak_ratio"] == 0.5


def test_the_peak_of_a_rolling_budget_is_what_it_has_now():
    gauges = BudgetGauges()
    values(gauges, state(81, is_rolling=True), START)
    assert values(gauges, state(20, is_rolling=True), START)["llm_budget_peak_ratio"] == 0.2


def test_peaks_that_were_kept_hold_after_a_restart():
    gauges = BudgetGauges({Pot("prod"): Peak(START, 90 * USD)})
    assert values(gauges, state(79), START)["llm_budget_peak_ratio"] == 0.9


@pytest.mark.parametrize(
    ("hours", "projected"),
    [
        (2, None),  # less than a tenth of the day
        # $25 in 6 of 24 hours: $75 are left at the same rate, 0.6 and 1.8 times as much at the ends.
        (6, {"0.05": 70.0, "0.5": 100.0, "0.95": 160.0}),
        (24, {"0.05": 25.0, "0.5": 25.0, "0.95": 25.0}),
    ],
)
def test_the_end_of_the_window_is_projected_once_a_tenth_of_it_has_passed(hours, projected):
    found = values(BudgetGauges(), state(25), START + hours * HOUR)
    told = {
        name.split("/")[1]: value for name, value in found.items() if name.startswith("llm_budget_projected")
    }
    assert told == ({} if projected is None else pytest.approx(projected))


def test_a_burn_rate_is_spend_over_what_the_limit_allows_in_that_time():
    """$100 a day allow $4.1666 an hour. $12.50 in the last hour are 3 times that; $12.50 in a day 0.125."""
    found = values(BudgetGauges(), state(12.5), START + HOUR, lambda pot, since_ns: 12.5)
    assert found["llm_budget_burn_rate/1h"] == pytest.approx(3)
    assert found["llm_budget_burn_rate/1d"] == pytest.approx(0.125)
    assert found["llm_budget_burn_rate/10m"] == pytest.approx(18)


def test_what_nobody_knows_and_what_never_ends_has_no_burn_rate():
    unknown = values(BudgetGauges(), state(12.5), START + HOUR, lambda pot, since_ns: None)
    endless = values(BudgetGauges(), state(12.5, window=Window(0, INSTANT_MAX_NS)), START + HOUR)
    assert not [name for name in (*unknown, *endless) if "burn" in name]
    assert not [name for name in endless if "projected" in name or "elapsed" in name]
