"""Budgets whose alerts are the same share rules, and nobody who is told can see it."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from spanbudget.processors.periods import Period
from spanbudget.rules.burn import MONEY_PAIRS
from spanbudget.rules.evaluation import GroupMemory, evaluate_group
from spanbudget.rules.expansion.expand import expand
from spanbudget.rules.expansion.sharing import CHARS_MAX, NAMES_MAX, expand_all
from spanbudget.rules.expansion.sugar import (
    AnomalyAlert,
    BudgetAlerts,
    BurnAlert,
    ErrorRateAlert,
    LatencyAlert,
    ModelShareAlert,
    ProjectedAlert,
    SilenceAlert,
    ThresholdAlert,
    UnpricedAlert,
    Wishes,
)
from spanbudget.rules.groups import AlertingRule, RuleGroup
from spanbudget.rules.labels import METRIC_NAME, Matcher, labels_of
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.promql.scanning import LENGTH_MAX
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.unit_tests import AlertTest, ExpectedAlert, InputSeries, RuleTest, run_test

MONTHLY, DAILY = Period("monthly"), Period("daily")
MINUTE, HOUR = 60_000, 3_600_000
START_MS = 1_800_000_000_000
ALERTS = (
    ThresholdAlert(Decimal(50)),
    ThresholdAlert(Decimal(80), Wishes("page", labels=(("who", "{{ $labels.llm_budget_name }}"),))),
    *map(BurnAlert, MONEY_PAIRS),
    ProjectedAlert(Decimal("0.95"), Wishes(for_ms=2 * MINUTE)),
    AnomalyAlert(Decimal(5)),
    ErrorRateAlert(Decimal(5), 2, 5 * MINUTE, Wishes(for_ms=MINUTE, keep_firing_for_ms=2 * MINUTE)),
    LatencyAlert(Decimal("0.95"), Decimal(3), 2, 5 * MINUTE, Wishes(for_ms=MINUTE)),
    ModelShareAlert(Decimal(60), "", Decimal("0.1"), 5 * MINUTE, Wishes(for_ms=0)),
    UnpricedAlert(Decimal(1), 2, 5 * MINUTE, Wishes(for_ms=0)),
    SilenceAlert(5 * MINUTE, Wishes(for_ms=MINUTE, annotations=(("runbook_url", "https://r"),))),
)
ODD = 'a|b.*\\"{{ x }}🙂'
MIX = (
    *(BudgetAlerts(name, MONTHLY, ALERTS) for name in ("b", ODD, "a", "gone", "a|b", "b.")),
    BudgetAlerts("day", DAILY, ALERTS),
    BudgetAlerts("berlin", Period("daily", zone="Europe/Berlin"), ALERTS),
    *(BudgetAlerts(name, DAILY, ALERTS, has_children=True) for name in ("per-a", "per-b")),
    BudgetAlerts("alone", MONTHLY, ALERTS[:1]),
    BudgetAlerts("tokens", MONTHLY, ALERTS, limits_money=False),
    BudgetAlerts("none", MONTHLY, ()),
)
KINDS = 5
"""Of budgets: monthly, daily (in any zone), daily with children, the lone one, the one of tokens."""


def loaded(groups):
    return [
        RuleGroup(
            group.name,
            "f",
            tuple(
                AlertingRule(
                    rule.alert,
                    parse_expression(rule.expr),
                    rule.for_ms,
                    rule.keep_firing_for_ms,
                    rule.labels,
                    rule.annotations,
                )
                for rule in group.rules
            ),
        )
        for group in groups
    ]


def moving(budget, chance):
    """The label sets of a budget's series with what their values do, some of them absent for a while."""
    children = ("", "user=ann", "user=bob") if budget.has_children else ("",)
    for child in children:
        own = {"llm_budget_name": budget.budget, "llm_budget_child": child}
        for gauge, most in {"peak_ratio": 1.2, "spent_usd": 9, "limit_usd": 5}.items():
            yield (
                labels_of({METRIC_NAME: f"llm_budget_{gauge}", **own}),
                lambda _, m=most: m * chance.random(),
            )
        for window in ("10m", "30m", "1h", "2h", "6h", "1d", "3d"):
            burn = labels_of({METRIC_NAME: "llm_budget_burn_rate", **own, "llm_budget_burn_window": window})
            yield burn, lambda _: 15 * chance.random()
        projected = {METRIC_NAME: "llm_budget_projected_usd", **own, "llm_projection_quantile": "0.05"}
        yield labels_of(projected), lambda _: 8 * chance.random()
        for name, most in (("llm_anomaly_score", 2), ("llm_anomaly_excess_usd", 10)):
            yield labels_of({METRIC_NAME: name, **own}), lambda _, m=most: m * chance.random()
        for outcome in ("ok", "error"):
            for confidence in ("exact", "unpriced"):
                calls = {"llm_outcome": outcome, "llm_cost_confidence": confidence}
                yield labels_of({METRIC_NAME: "llm_budget_calls_total", **own, **calls}), _grows(chance, 3)
        for model in ("gpt-5", "other"):
            cost = {METRIC_NAME: "llm_budget_cost_usd_total", **own, "gen_ai_response_model": model}
            yield labels_of(cost), _grows(chance, 0.3)
        for le in ("1", "5", "+Inf"):
            slow = {METRIC_NAME: "llm_budget_request_duration_seconds_bucket", **own, "le": le}
            yield labels_of(slow), _grows(chance, {"1": 1, "5": 2, "+Inf": 3}[le])


def _grows(chance, most):
    return lambda before: (before or 0) + (chance.random() * most if chance.random() < 0.8 else 0)


@pytest.mark.parametrize("seed", range(3))
def test_shared_rules_have_the_same_alerts_as_rules_of_each_budgets_own(seed):
    """Every series comes and goes; `gone` never has any, and the calls of all stand still for a while."""
    own = loaded(group for budget in MIX for group in expand(budget).groups)
    shared = loaded(expand_all(MIX).groups)
    assert len(own) == len(MIX) - 1
    assert len(shared) == KINDS
    chance = random.Random(seed)
    values = [series for budget in MIX if budget.budget != "gone" for series in moving(budget, chance)]
    stores, kinds = (SeriesStore(), SeriesStore()), (own, shared)
    memories = [[GroupMemory(group) for group in groups] for groups in kinds]
    last: dict[Any, Any] = {}
    away: set[Any] = set()
    fired = set()
    for minute in range(45):
        at_ms = START_MS + minute * MINUTE
        still = 15 <= minute < 25
        for labels, value in values:
            if chance.random() < 0.02:
                away ^= {labels}
            if labels in away:
                continue
            is_count = dict(labels)[METRIC_NAME].endswith(("_total", "_bucket"))
            if not (still and is_count and labels in last):
                last[labels] = value(last.get(labels))
            for store in stores:
                store.append(labels, at_ms, last[labels])
        seen = []
        for groups, memory, store in zip(kinds, memories, stores, strict=True):
            outcomes = [
                outcome
                for group, state in zip(groups, memory, strict=True)
                for outcome in evaluate_group(group, state, store, at_ms)
            ]
            assert [outcome.error for outcome in outcomes if outcome.error] == []
            alerts = [
                replace(alert, annotations=tuple(alert.annotations))
                for one in outcomes
                for alert in one.alerts
            ]
            seen.append(sorted(alerts, key=lambda alert: (alert.labels, alert.state, alert.active_at_ms)))
        assert seen[0] == seen[1]
        fired |= {dict(alert.labels)["alertname"] for alert in seen[0] if alert.state == "firing"}
    assert len(fired) == len({rule.name for group in own for rule in group.rules})


def test_a_name_of_a_group_stays_while_budgets_come_and_go():
    def names(*budgets):
        return [group.name for group in expand_all(budgets).groups]

    a, b, c = (BudgetAlerts(name, MONTHLY, ALERTS) for name in "abc")
    (shared,) = names(a, b)
    assert names(c, b, a) == [shared]
    assert shared.startswith("budgets:")
    assert len(shared) == len("budgets:") + 8
    assert names(a) == ["budget:a"]
    assert names(a, b, replace(c, alerts=ALERTS[:1])) == [shared, "budget:c"]
    assert expand_all([b, a]) == expand_all([a, b])


def test_what_does_not_show_in_rules_does_not_divide_budgets():
    """Neither a time zone nor 80.0 in place of 80."""
    one = BudgetAlerts("a", MONTHLY, (ThresholdAlert(Decimal(80)),))
    two = BudgetAlerts("b", Period("monthly", zone="Asia/Tokyo"), (ThresholdAlert(Decimal("80.0")),))
    assert len(expand_all([one, two]).groups) == 1
    assert len(expand_all([one, replace(two, period=Period("rolling", rolling_seconds=600))]).groups) == 2
    assert len(expand_all([one, replace(two, has_children=True)]).groups) == 2


def test_names_are_matched_as_they_are():
    (group,) = expand_all([BudgetAlerts(name, MONTHLY, ALERTS[:1]) for name in (ODD, "b", "a.c")]).groups
    assert (
        '{llm_budget_name=~"a\\\\.c|a\\\\|b\\\\.\\\\*\\\\\\\\\\"\\\\{\\\\{ x \\\\}\\\\}🙂|b"}'
        in group.rules[0].expr
    )
    (matcher,) = [
        one for one in parse_expression(group.rules[0].expr).needs[0].matchers if one.operator == "=~"
    ]
    assert [name for name in (ODD, "b", "a.c", "abc", "a", "b.*") if matcher.matches(name)] == [
        ODD,
        "b",
        "a.c",
    ]


def test_many_budgets_are_groups_of_at_most_200_and_no_expression_is_too_long():
    many = [BudgetAlerts(f"b{n}", MONTHLY, ALERTS) for n in range(401)]
    first, second, third = expand_all(many).groups
    assert (second.name, third.name) == (f"{first.name}:2", f"{first.name}:3")
    assert [group.rules[0].expr.count("|") + 1 for group in (first, second)] == [NAMES_MAX] * 2
    names = [f"{n:03}" + "\\" * 197 for n in range(30)]
    longest = expand_all([BudgetAlerts(name, MONTHLY, ALERTS) for name in names]).groups
    assert len(longest) > 1
    for group in (first, *longest):
        for rule in group.rules:
            assert len(rule.expr) < LENGTH_MAX, rule.alert
            parse_expression(rule.expr)
    assert all(len(group.rules[0].expr) < CHARS_MAX + 200 for group in longest)


def test_every_budget_is_in_one_group():
    names = [f"b{n}" for n in range(401)]
    groups = expand_all([BudgetAlerts(name, MONTHLY, ALERTS) for name in names]).groups
    for name in names:
        found = [
            group.name
            for group in groups
            for matcher in parse_expression(group.rules[0].expr).needs[0].matchers
            if matcher.name == "llm_budget_name" and matcher.matches(name)
        ]
        assert len(found) == 1


def test_what_was_left_out_is_told_once_with_a_few_names():
    burn = BurnAlert(MONEY_PAIRS[1])
    many = [BudgetAlerts(f"b{n:04}", DAILY, (burn, ALERTS[0])) for n in range(1_003)]
    alone = BudgetAlerts("alone", DAILY, (burn, ALERTS[1]))
    reason = "burn 4x over 6h: left out, the daily limit is used up before it could tell"
    assert expand_all([*many, alone]).notes == (f"budgets b0000, b0001, b0002 and 1,001 more: {reason}",)
    assert expand_all(many[:2]).notes == (f"budgets b0000, b0001: {reason}",)
    assert expand_all(many[:1]).notes == (f"budget b0000: {reason}",)
    two = expand_all([BudgetAlerts(name, DAILY, (burn,)) for name in "ab"])
    assert two.groups == ()


def test_silence_is_told_of_each_of_many_budgets():
    """In promtool's way: of 45 budgets `b7` calls, `b8` stands still, `b9` is gone, the others never were."""
    names = [f"b{n}" for n in range(45)]
    groups = loaded(expand_all([BudgetAlerts(n, MONTHLY, (SilenceAlert(5 * MINUTE),)) for n in names]).groups)
    (rule,) = groups[0].rules
    assert sum(Matcher("llm_budget_name", "=", name) in need.matchers for need in rule.expression.needs
               for name in names) == 45  # fmt: skip

    def calls(name, values):
        labels = labels_of({METRIC_NAME: "llm_budget_calls_total", "llm_budget_name": name})
        return InputSeries(labels, values)

    def silent(name):
        own = {"alertname": "LLMBudgetSilent", "llm_budget_name": name, "severity": "warning"}
        told = {
            "description": "Either nobody calls, or the calls no longer reach SpanBudget.",
            "summary": f"Budget {name} has counted no call for 5m",
        }
        return ExpectedAlert(labels_of(own), labels_of(told))

    at = {minute: sorted(names) for minute in (6, 19)}
    at[6] = [name for name in at[6] if name not in ("b7", "b8", "b9")]
    at[19] = [name for name in at[19] if name != "b7"]
    test = RuleTest(
        "",
        MINUTE,
        inputs=(
            calls("b7", [float(n) for n in range(30)]),
            calls("b8", [float(min(n, 5)) for n in range(30)]),
            calls("b9", [float(n) if n < 5 else None for n in range(30)]),
        ),
        alert_tests=tuple(
            AlertTest(minute * MINUTE, "LLMBudgetSilent", tuple(map(silent, found)))
            for minute, found in at.items()
        ),
    )
    assert run_test(test, groups) == []
