"""What is brought back from the ledger, against what was spent."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from scene import DAY, HOUR, MINUTE, SECOND, START, Scene, told

from spanbudget.exporter.alerting.backtest import Backtest
from spanbudget.exporter.alerting.needs import needs_of, needs_of_groups
from spanbudget.exporter.alerting.replaying import (
    Stage,
    make_stage,
    moments,
    restore,
    restored_from_ns,
)
from spanbudget.exporter.alerting.rule_sets import rule_groups
from spanbudget.exporter.ledger.tallies import LedgerTallies, open_tallies
from spanbudget.processors.limits import Pot
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.templates import Externals

BUDGETS = """
budgets:
  - {name: all, max_cost: 100, period: daily, alerts: {thresholds: [50], burn: true}}
  - {name: mini, match: {model: gpt-4o-mini}, max_cost: 100, period: {rolling: 24h}}
"""
EXPRESSIONS = [
    "sum(llm_cost_usd_total)",
    "sum by (gen_ai_response_model) (llm_requests_total)",
    "sum by (llm_outcome) (llm_budget_calls_total{llm_budget_name='all'})",
    "sum(llm_tokens_total{gen_ai_token_type='output'})",
    "sum(llm_request_duration_seconds_count)",
    "histogram_quantile(0.5, sum by (le) (rate(llm_budget_request_duration_seconds_bucket[1d])))",
    "llm_budget_spent_usd",
    "llm_budget_burn_rate{llm_budget_burn_window='1d'}",
    "max_over_time(llm_budget_spent_usd{llm_budget_name='all'}[2d])",
]


def brought(one: Scene, at_ns: int, texts: list[str], **until: int) -> tuple[Stage, list[object]]:
    expressions = [parse_expression(text) for text in texts]
    needs = needs_of(expressions)
    stage = make_stage(one.config, one.config.budgets, needs, BudgetGauges(), restored_from_ns(needs, at_ns))
    reader = open_tallies(one.config.ledger.url, question=stage.question)
    restore(stage, reader, needs, at_ns, reader.max_seq(), **until)
    reader.close()
    stage.feed.take(at_ns, (), stage.replayed.states(at_ns), {})
    values = [expression.evaluate(stage.store, at_ns // NS_PER_MS) for expression in expressions]
    return stage, [
        {"/".join(v for n, v in labels if n != "__name__"): number for labels, number in value}
        if isinstance(value, list)
        else value
        for value in values
    ]


@pytest.fixture
def three_days(start) -> Scene:
    """10 cents an hour for three days; each third call is of a cheap model, each seventh fails."""
    one = start(BUDGETS)
    one.clock.now_ns = START - START % DAY
    for number in range(72):
        one.clock.now_ns += HOUR - SECOND if number == 0 else HOUR
        model = "gpt-4o-mini" if number % 3 == 0 else "gpt-4o"
        one.spend(10, model=model, error=number % 7 == 0, seconds=3)
    return one


def test_counters_gauges_and_burn_rates_are_what_the_calls_come_to(three_days):
    """48 calls of 10 cents and 24 of 0.6: $4.944; in the last day a third of each."""
    now_ns = three_days.clock.now_ns + SECOND // 2
    _, found = brought(three_days, now_ns, EXPRESSIONS)
    cost, calls, outcomes, tokens, timed, median, spent, burn, highest = found
    assert cost == {"": pytest.approx(4.944)}
    assert calls == {"gpt-4o": 48, "gpt-4o-mini": 24}
    assert outcomes == {"ok": 61, "error": 11}
    assert tokens == {"": 720_000}
    assert timed == {"": 72}
    assert median == {"": pytest.approx(3.84)}  # all last 3 s: the middle of the bucket from 2.56 to 5.12
    assert spent == {"all": pytest.approx(1.648), "mini": pytest.approx(0.048)}
    # The call of 24 hours and half a second ago is in it: what is a day old is known to half an hour.
    assert burn == {"1d/all": pytest.approx(0.01748), "1d/mini": pytest.approx(0.00048, rel=1e-3)}
    assert highest == {"all": pytest.approx(1.648)}


def test_spend_since_a_time_is_exact_where_calls_are_apart(three_days):
    now_ns = three_days.clock.now_ns
    stage, _ = brought(three_days, now_ns, EXPRESSIONS)
    for hours in (1, 2, 6, 24, 48):
        since = stage.feed.spent_since(Pot("all"), now_ns - hours * HOUR - 30 * MINUTE)
        calls = [0.006 if number % 3 == 0 else 0.1 for number in range(72)][-hours - 1 :]
        assert since == pytest.approx(sum(calls), abs=0.101)  # one call: old steps are half an hour long


def test_the_past_can_be_asked_for_without_what_came_later(three_days):
    at_ns = three_days.clock.now_ns - 36 * HOUR - MINUTE
    _, (cost, calls) = brought(three_days, at_ns, EXPRESSIONS[:2], until_ns=at_ns)
    assert calls == {"gpt-4o": 23, "gpt-4o-mini": 12}
    assert cost == {"": pytest.approx(2.3 + 12 * 0.006)}


def test_moments_bring_each_call_once_and_every_step(three_days):
    reader: LedgerTallies = open_tallies(three_days.config.ledger.url)
    since_ns = START - START % DAY
    steps = list(moments(reader, since_ns, since_ns + 3 * DAY, HOUR))
    reader.close()
    assert [end for end, _ in steps] == [since_ns + (index + 1) * HOUR for index in range(72)]
    assert sum(tally.requests for _, tallies in steps for tally in tallies) == 72
    assert {len(tallies) for _, tallies in steps} == {1}


def test_a_backtest_fires_what_would_have_fired(start):
    """$30 at once on the second day, $30 two hours later: half of the limit is reached by the second."""
    one = start(BUDGETS)
    one.clock.now_ns = START - START % DAY
    for hours, dollars in ((2, 1), (22, 1), (10, 30), (2, 30)):
        one.clock.now_ns += hours * HOUR
        for _ in range(dollars):
            one.spend(100)
    until_ns = one.clock.now_ns + DAY
    groups = rule_groups(one.config)
    needs = needs_of_groups(groups)
    stage = make_stage(one.config, one.config.budgets, needs, BudgetGauges(), 0)
    reader = open_tallies(one.config.ledger.url, question=stage.question)
    parts: list[float] = []
    test = Backtest(stage, groups, needs, Externals())
    found = test.run(reader, START - START % DAY, until_ns, MINUTE, parts.append)
    reader.close()
    named: list[Any] = [
        (dict(i.alert.labels)["alertname"], i.fired_at_ms, i.resolved_at_ms) for i in found.incidents
    ]
    second_ms = one.clock.now_ns // NS_PER_MS
    end_of_day_ms = (START - START % DAY + 2 * DAY) // NS_PER_MS
    thresholds: list[Any] = [times for name, *times in named if name == "LLMBudgetThreshold"]
    assert len(thresholds) == 1
    assert abs(thresholds[0][0] - second_ms) <= MINUTE // NS_PER_MS
    assert abs(thresholds[0][1] - end_of_day_ms) <= MINUTE // NS_PER_MS
    # $30 in an hour are 7.2 times what $100 a day allow: below 10.
    assert {name for name, *_ in named} == {"LLMBudgetThreshold"}
    assert found.requests == 62
    assert not found.failures
    assert parts == sorted(parts)
    assert not told


def test_what_is_spent_is_the_same_by_decimals(three_days):
    total = sum(entry.priced.cost or 0 for entry in three_days.pipeline.ledger.entries())
    assert Decimal(total) / 10**12 == Decimal("4.944")
    assert len(list(itertools.islice(three_days.pipeline.ledger.entries(), 100))) == 72
