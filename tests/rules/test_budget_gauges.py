"""Figures by hand: a budget of $100 for a day, so $1 in 14.4 minutes is a burn rate of 1."""

from dataclasses import replace
from typing import Any

import pytest

from spanbudget.processors.budget_state import BudgetState, Thresholds
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Pot
from spanbudget.processors.periods import INSTANT_MAX_NS, Window
from spanbudget.rules.budget_gauges import BudgetGauges, Peak
from spanbudget.rules.labels import METRIC_NAME, label_value
from spanbudget.rules.projection.outlook import Ends
from spanbudget.rules.projection.projector import Foreseen

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


def test_what_is_foreseen_becomes_three_quantiles_and_the_time_that_is_left():
    foreseen = Foreseen(Ends(100.0, 70.0, 160.0), START + 9 * HOUR)
    gauges = BudgetGauges()
    found = {
        label_value(labels, METRIC_NAME) + "/" + label_value(labels, "llm_projection_quantile"): number
        for labels, number in gauges.samples(
            state(25), START + 6 * HOUR, nothing_spent, None, lambda one, now_ns: foreseen
        )
    }
    assert found["llm_budget_projected_usd/0.05"] == 70
    assert found["llm_budget_projected_usd/0.5"] == 100
    assert found["llm_budget_projected_usd/0.95"] == 160
    assert found["llm_budget_exhaustion_seconds/"] == 3 * 3_600


def test_nothing_is_foreseen_without_a_limit_on_money_nor_for_a_total_that_lasts():
    def foreseen(one: BudgetState, now_ns: int) -> Foreseen:
        return Foreseen(None, None)

    for one in (state(25, limit_cost=None, limit_tokens=10), state(25)):
        samples = BudgetGauges().samples(one, START + HOUR, nothing_spent, None, foreseen)
        names = {label_value(labels, METRIC_NAME) for labels, _ in samples}
        assert not names & {"llm_budget_projected_usd", "llm_budget_exhaustion_seconds"}


def test_nobody_is_asked_to_foresee_what_nobody_reads():
    def asked(one: BudgetState, now_ns: int) -> Foreseen:
        raise AssertionError

    wanted = frozenset({"llm_budget_burn_rate"})
    assert list(BudgetGauges().samples(state(25), START + HOUR, nothing_spent, wanted, asked))


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
