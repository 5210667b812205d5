"""What the engine projects: by the history that it brings back, and by what comes while it leads."""

from typing import Any

import pytest
from scene import DAY, SECOND, START, Scene

from spanbudget.exporter.alerting.needs import needs_of
from spanbudget.exporter.alerting.replaying import make_stage, restore, restored_from_ns
from spanbudget.exporter.ledger.tallies import open_tallies
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.labels import label_value
from spanbudget.rules.promql.expression import parse_expression

BUDGETS = """
budgets:
  - {name: month, max_cost: 100, period: monthly, alerts: {projected_overrun: true}}
  - {name: ever, max_cost: 100, period: total}
  - {name: day, max_cost: 100, period: daily}
"""
PROJECTED = "llm_budget_projected_usd"
LEFT = "llm_budget_exhaustion_seconds"


@pytest.fixture
def forty_days(start) -> Scene:
    """$1.20 a day for the 40 days before a morning early in a month (4 September 2026, 08:00)."""
    one = start(BUDGETS)
    one.clock.now_ns = START - 40 * DAY
    for _ in range(80):
        one.clock.now_ns += DAY // 2
        one.spend(60)
    one.clock.now_ns += SECOND // 2
    assert isinstance(one, Scene)
    return one


def values(one: Scene, text: str) -> dict[tuple[str, str], float]:
    """(budget, quantile) → value of an expression on what is brought back from the ledger."""
    expression = parse_expression(text)
    needs = needs_of([expression])
    now_ns = one.clock.now_ns
    stage = make_stage(one.config, one.config.budgets, needs, BudgetGauges(), restored_from_ns(needs, now_ns))
    reader = open_tallies(one.config.ledger.url, question=stage.question)
    restore(stage, reader, needs, now_ns, reader.max_seq())
    reader.close()
    stage.feed.take(now_ns, (), stage.replayed.states(now_ns), {})
    found: Any = expression.evaluate(stage.store, now_ns // NS_PER_MS)
    return {
        (label_value(labels, "llm_budget_name"), label_value(labels, "llm_projection_quantile")): value
        for labels, value in found
    }


def test_the_end_of_the_month_goes_by_weeks_before_it(forty_days):
    found = values(forty_days, PROJECTED)
    window = forty_days.config.budgets[0].period.window(forty_days.clock.now_ns)
    whole = 1.2 * (window.end_ns - window.start_ns) / DAY
    assert found["month", "0.5"] == pytest.approx(whole, rel=0.04)
    # Without the weeks before, the bounds would be 0.6 and 1.8 times what is left.
    assert found["month", "0.95"] - found["month", "0.05"] < 0.2 * whole
    assert ("ever", "0.5") not in found


def test_a_total_runs_out_in_time_and_a_month_that_lasts_does_not(forty_days):
    found = values(forty_days, LEFT)
    assert found["ever", ""] == pytest.approx((100 - 48) / 1.2 * DAY / SECOND, rel=0.05)
    assert ("month", "") not in found


def test_the_leader_shows_the_same_and_goes_on_from_there(forty_days):
    one = forty_days
    expected = values(one, PROJECTED)
    one.step()
    shown = exported(one)
    for quantile in ("0.05", "0.5", "0.95"):
        assert shown["month", quantile] == pytest.approx(expected["month", quantile], rel=0.01)
    one.spend(1_000)
    one.step(SECOND, times=2)
    assert exported(one)["month", "0.5"] == pytest.approx(shown["month", "0.5"] + 10, rel=0.02)
    for _ in range(6):
        one.clock.now_ns += DAY // 2
        one.spend(60)
        one.step(SECOND)
    assert exported(one)["month", "0.5"] == pytest.approx(shown["month", "0.5"] + 10, rel=0.05)


def exported(one: Scene) -> dict[tuple[str, str], float]:
    return {
        (told["llm.budget.name"], told["llm.projection.quantile"]): value
        for metric, told, value in one.engine.derived()
        if metric.name == "llm.budget.projected.usd"
    }


def test_spend_of_long_ago_and_of_a_clock_that_is_ahead_do_no_harm(forty_days):
    one = forty_days
    before = values(one, PROJECTED)
    now_ns = one.clock.now_ns
    for at_ns in (now_ns - 300 * DAY, now_ns + 500 * DAY):
        one.clock.now_ns = at_ns
        one.spend(60)
    one.clock.now_ns = now_ns
    after = values(one, PROJECTED)
    assert after["month", "0.5"] == pytest.approx(before["month", "0.5"], rel=0.04)
