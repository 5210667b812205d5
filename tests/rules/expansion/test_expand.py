"""What each kind of alert becomes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.periods import Period
from spanbudget.rules.burn import MONEY_PAIRS
from spanbudget.rules.expansion.expand import expand
from spanbudget.rules.expansion.promql_text import matching
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
from spanbudget.rules.labels import Matcher, label_value
from spanbudget.rules.promql.expression import parse_expression

MONTHLY = Period("monthly")
MINUTE, HOUR = 60_000, 3_600_000
EVERY_KIND = (
    ThresholdAlert(Decimal(80)),
    *map(BurnAlert, MONEY_PAIRS),
    ProjectedAlert(Decimal("0.95")),
    AnomalyAlert(Decimal(5)),
    ErrorRateAlert(Decimal(5), 20, 5 * MINUTE),
    LatencyAlert(Decimal("0.95"), Decimal(30), 20, 10 * MINUTE),
    ModelShareAlert(Decimal(60), "gpt-5*", Decimal(1), 24 * HOUR),
    UnpricedAlert(Decimal(1), 20, HOUR),
    SilenceAlert(30 * MINUTE),
)


def rules_of(*alerts, budget="prod", period=MONTHLY, **more):
    (group,) = expand(BudgetAlerts(budget, period, alerts, **more)).groups
    return group.rules


def notes_of(*alerts, period=MONTHLY, **more):
    found = expand(BudgetAlerts("prod", period, alerts, **more))
    return found.groups, found.notes


def test_names_of_alerts_are_stable_and_say_neither_threshold_nor_time():
    rules = rules_of(*EVERY_KIND)
    assert [rule.alert for rule in rules] == [
        "LLMBudgetThreshold",
        *["LLMBudgetBurnRate"] * 4,
        "LLMBudgetProjectedOverrun",
        "LLMCostAnomaly",
        "LLMErrorRateHigh",
        "LLMLatencyHigh",
        "LLMModelCostShare",
        "LLMUnpricedCalls",
        "LLMBudgetSilent",
    ]
    (group,) = expand(BudgetAlerts("prod", MONTHLY, EVERY_KIND)).groups
    assert group.name == "budget:prod"


def test_a_threshold_looks_at_the_peak_and_is_a_label():
    (rule,) = rules_of(ThresholdAlert(Decimal("99.5")))
    peak = 'max by (llm_budget_name, llm_budget_child) (llm_budget_peak_ratio{llm_budget_name="prod"})'
    assert rule.expr == f"{peak} >= 0.995"
    assert label_value(rule.labels, "llm_budget_threshold") == "99.5"
    assert (rule.for_ms, rule.keep_firing_for_ms) == (0, 0)


@pytest.mark.parametrize(
    ("percent", "severity"),
    [(50, "info"), (69, "info"), (70, "warning"), (94, "warning"), (95, "critical"), (100, "critical")],
)
def test_the_severity_of_a_threshold_follows_the_levels_of_its_budget(percent, severity):
    (rule,) = rules_of(ThresholdAlert(Decimal(percent)), thresholds=Thresholds(70, 95))
    assert label_value(rule.labels, "severity") == severity


def test_the_use_of_a_rolling_window_falls_so_its_threshold_holds_on_for_a_while():
    (rule,) = rules_of(ThresholdAlert(Decimal(80)), period=Period("rolling", rolling_seconds=86_400))
    assert rule.keep_firing_for_ms == HOUR


def test_a_burn_rate_needs_both_times():
    (rule,) = rules_of(BurnAlert(MONEY_PAIRS[3]))
    assert rule.expr == (
        "max by (llm_budget_name, llm_budget_child)"
        ' (llm_budget_burn_rate{llm_budget_name="prod", llm_budget_burn_window="3d"}) > 1.5\n'
        "and\n"
        "max by (llm_budget_name, llm_budget_child)"
        ' (llm_budget_burn_rate{llm_budget_name="prod", llm_budget_burn_window="6h"}) > 1.5'
    )
    assert rule.labels == (("llm_burn_window", "3d"), ("severity", "ticket"))
    assert "3d takes 15 % of the limit, and 20d takes all of it" in label_value(
        rule.annotations, "description"
    )


def test_what_a_period_or_a_limit_cannot_have_is_left_out_and_told():
    burns = tuple(map(BurnAlert, MONEY_PAIRS))
    _, notes = notes_of(*burns, period=Period("daily"))
    assert notes == (
        "budget prod: burn 4x over 6h: left out, the daily limit is used up before it could tell",
        "budget prod: burn 2x over 1d: left out, the daily limit is used up before it could tell",
        "budget prod: burn 1.5x over 3d: left out, the daily limit is used up before it could tell",
    )
    groups, notes = notes_of(*burns, ProjectedAlert(Decimal("0.5")), period=Period("total"))
    assert groups == ()
    assert len(notes) == 5
    assert notes_of(ProjectedAlert(Decimal("0.5")), period=Period("rolling", rolling_seconds=600))[0] == ()
    (group,), notes = notes_of(*burns, ThresholdAlert(Decimal(80)), limits_money=False)
    assert [rule.alert for rule in group.rules] == ["LLMBudgetThreshold"]
    assert "$" not in label_value(group.rules[0].annotations, "summary").replace("$value", "").replace(
        "$labels", ""
    )


def test_an_overrun_is_awaited_for_a_part_of_the_period():
    for period, for_ms in (("hourly", MINUTE), ("daily", 30 * MINUTE), ("monthly", HOUR)):
        (rule,) = rules_of(ProjectedAlert(Decimal("0.95")), period=Period(period))
        assert (rule.for_ms, rule.keep_firing_for_ms > rule.for_ms) == (for_ms, True)
        assert label_value(rule.labels, "llm_projection_quantile") == "0.05"


def test_every_ratio_needs_enough_to_tell():
    error, share, unpriced, slow = rules_of(EVERY_KIND[7], EVERY_KIND[9], EVERY_KIND[10], EVERY_KIND[8])
    for rule in (error, unpriced, slow):
        assert rule.expr.endswith(">= 20")
    assert share.expr.endswith(">= 1")


def test_every_rule_on_a_gauge_that_may_flap_goes_on_for_a_while():
    for rule in rules_of(*EVERY_KIND):
        if rule.alert not in ("LLMBudgetThreshold", "LLMBudgetSilent"):
            assert rule.keep_firing_for_ms > 0, rule.alert


def test_a_template_has_one_rule_for_all_children_and_names_the_child():
    rules = rules_of(*EVERY_KIND, has_children=True)
    for rule in rules:
        assert ("$labels.llm_budget_child }})" in label_value(rule.annotations, "summary")) is (
            rule.alert != "LLMBudgetSilent"
        )
        assert ("llm_budget_child" in rule.expr) is True


def test_wishes_replace_what_an_alert_would_be_by_itself():
    own = Wishes("page", 0, HOUR, (("owner", "me"),), (("summary", "mine"),))
    of_all = Wishes(labels=(("owner", "us"), ("team", "x")), annotations=(("runbook_url", "https://r"),))
    (rule,) = rules_of(ErrorRateAlert(Decimal(5), 20, 5 * MINUTE, own), wishes=of_all)
    assert (rule.for_ms, rule.keep_firing_for_ms) == (0, HOUR)
    assert rule.labels == (("owner", "me"), ("severity", "page"), ("team", "x"))
    assert dict(rule.annotations)["runbook_url"] == "https://r"
    assert dict(rule.annotations)["summary"] == "mine"


@given(st.text(min_size=1).filter(lambda name: not any("\ud800" <= c <= "\udfff" for c in name)))
def test_any_name_of_a_budget_is_read_back_as_it_is(name):
    for rule in rules_of(*EVERY_KIND, budget=name):
        for need in parse_expression(rule.expr).needs:
            assert Matcher("llm_budget_name", "=", name) in need.matchers


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("gpt-5*", "gpt-5-mini", True),
        ("gpt-5*", "my-gpt-5", False),
        ("*.v1:0", "anthropic.v1:0", True),
        ("*.v1:0", "anthropicXv1:0", False),
        ("a|b*", "a", False),
        ("(x)*", "(x)y", True),
    ],
)
def test_a_star_in_the_name_of_a_model_stands_for_any_text(pattern, name, is_match):
    expression = parse_expression(f"x{{{matching('m', pattern)}}}")
    matcher = next(one for one in expression.needs[0].matchers if one.name == "m")
    assert matcher.matches(name) is is_match
