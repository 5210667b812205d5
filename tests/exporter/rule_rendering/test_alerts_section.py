"""The section `alerts` of a budget: what it takes, what it refuses, and what it asks for."""

from decimal import Decimal
from pathlib import Path

import pytest

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.config_sections import BudgetConfig
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.burn import MONEY_PAIRS
from spanbudget.rules.expansion import sugar


def budget_of(alerts, **budget):
    return BudgetConfig.model_validate({"name": "prod", "max_cost": "500", "alerts": alerts, **budget})


def asked(alerts, **budget):
    return budget_of(alerts, **budget).to_alerts().alerts


def problems_of(alerts):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(f"budgets:\n- name: prod\n  max_cost: 5\n  alerts: {alerts}\n", "b.yaml")
    return [problem.partition("budgets[0].alerts")[2].lstrip(".") for problem in caught.value.problems]


def test_true_asks_for_the_budgets_own_levels_the_burn_rates_and_the_overrun():
    alerts = asked("true", thresholds={"warning": 70, "critical": 85})
    assert [one.percent for one in alerts[:3]] == [70, 85, 100]
    assert [one.pair for one in alerts[3:7]] == list(MONEY_PAIRS)
    assert alerts[7:] == (sugar.ProjectedAlert(Decimal("0.95")),)


@pytest.mark.parametrize("given", ["false", False, None])
def test_false_and_nothing_ask_for_nothing(given):
    assert budget_of(given).to_alerts() is None


def test_a_mapping_asks_for_what_it_names_and_no_more():
    assert asked({"thresholds": "80"}) == (sugar.ThresholdAlert(Decimal(80)),)
    assert asked({"silence": "true", "burn": "false"}) == (sugar.SilenceAlert(1_800_000),)
    assert asked({}) == ()


def test_the_example_of_the_page_is_what_it_says():
    page = (Path(__file__).parents[3] / "docs" / "rules" / "alerts.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    production, per_user = parse_config(example, "budgets.yaml").budget_configs
    alerts = [one.to_alerts() for one in (production, per_user)]
    assert [len(one.alerts) for one in alerts if one] == [8, 6]


def test_thresholds_are_sorted_and_may_have_settings():
    half, most = asked({"thresholds": [{"percent": "80", "severity": "page", "for": "1m"}, "50"]})
    assert (half.percent, half.wishes) == (50, sugar.NO_WISHES)
    assert (most.percent, most.wishes) == (80, sugar.Wishes("page", 60_000))


def test_burn_rates_may_be_given_as_a_share_of_the_limit():
    """20 % of a daily limit in 2 h is 0.20 x 24 / 2 = 2.4 times the pace."""
    (page,) = asked({"burn": {"page": [{"percent": "20", "long": "2h", "short": "10m"}]}}, period="daily")
    assert (page.pair.rate, page.pair.severity) == (Decimal("2.4"), "page")


def test_a_list_of_burn_rates_names_who_is_told():
    pairs = [
        {"rate": "8", "long": "1h", "short": "10m", "severity": "page"},
        {"rate": "3", "long": "6h", "short": "30m"},
    ]
    assert [one.pair.severity for one in asked({"burn": pairs})] == ["page", "ticket"]


def test_every_kind_of_alert_takes_its_settings():
    given = {
        "anomaly": {"min_excess_usd": "20"},
        "error_rate": {"above": "2.5", "min_requests": "50", "over": "10m"},
        "latency": {"p50_seconds": "2", "p95_seconds": "30"},
        "model_cost_share": {"above": "75", "model": "gpt-5*", "min_usd": "10", "over": "6h"},
        "unpriced_share": "true",
        "silence": {"after": "2h", "severity": "page", "labels": {"owner": "me"}},
    }
    assert asked(given) == (
        sugar.AnomalyAlert(Decimal(20)),
        sugar.ErrorRateAlert(Decimal("2.5"), 50, 600_000),
        sugar.LatencyAlert(Decimal("0.5"), Decimal(2), 20, 600_000),
        sugar.LatencyAlert(Decimal("0.95"), Decimal(30), 20, 600_000),
        sugar.ModelShareAlert(Decimal(75), "gpt-5*", Decimal(10), 21_600_000),
        sugar.UnpricedAlert(Decimal(1), 20, 3_600_000),
        sugar.SilenceAlert(7_200_000, sugar.Wishes("page", labels=(("owner", "me"),))),
    )


def test_what_is_said_for_all_alerts_is_said_beside_them():
    alerts = budget_of({"silence": "1h", "labels": {"team": "x"}, "runbook_url": "https://r"}).to_alerts()
    assert alerts.wishes == sugar.Wishes(labels=(("team", "x"),), annotations=(("runbook_url", "https://r"),))


def test_what_a_ledger_stores_of_a_budget_is_read_back_the_same():
    given = {
        "thresholds": ["50", {"percent": "80", "for": "1m", "keep_firing_for": "0"}],
        "burn": [{"rate": "8", "long": "1h", "short": "10m"}],
        "projected_overrun": "true",
        "latency": {"p95_seconds": "30.5"},
        "silence": "30m",
    }
    for alerts in (given, "true"):
        budget = budget_of(alerts)
        again = BudgetConfig.model_validate_json(budget.model_dump_json(exclude_unset=True))
        assert again == budget
        assert again.to_alerts() == budget.to_alerts()


@pytest.mark.parametrize(
    ("alerts", "problem"),
    [
        ("{anomoly: true}", "anomoly: unknown key; did you mean anomaly?"),
        ("yes", ": must be a mapping, got yes"),
        ("{thresholds: [0]}", "thresholds[0]: must be greater than 0"),
        ("{thresholds: [80%]}", "thresholds[0]: must be a number"),
        ("{thresholds: []}", "thresholds: must have a value, got a list"),
        ("{thresholds: [80, 80.0]}", "thresholds: must not name the same threshold twice, got a list"),
        (
            "{thresholds: [{percent: 5, sverity: x}]}",
            "thresholds[0].sverity: unknown key; did you mean severity?",
        ),
        ("{burn: [{long: 1h, short: 10m}]}", "burn[0]: needs one of rate and percent"),
        (
            "{burn: [{rate: 1, percent: 1, long: 1h, short: 10m}]}",
            "burn[0].rate: needs one of rate and percent, got 1",
        ),
        (
            "{burn: [{rate: 1, long: 5h, short: 10m}]}",
            "burn[0].long: must be one of 10m, 30m, 1h, 2h, 6h, 1d, 3d, got 5h",
        ),
        (
            "{burn: {page: [{rate: 1, long: 1h, short: 2h}]}}",
            "burn.page[0].short: must be shorter than long (1h), got 2h",
        ),
        (
            "{projected_overrun: {confidence: 0.7}}",
            "projected_overrun.confidence: must be 0.5 or 0.95, got 0.7",
        ),
        ("{error_rate: 5}", "error_rate: must be a mapping, got 5"),
        ("{error_rate: {over: 30d}}", "error_rate.over: must be 1m to 7d, got 30d"),
        (
            "{error_rate: {for: soon}}",
            "error_rate.for: must be a duration such as 30s, 5m or 1h30m, got soon",
        ),
        (
            "{latency: true}",
            "latency: needs at least one of p50_seconds, p90_seconds, p95_seconds and p99_seconds",
        ),
        (
            "{latency: {p95_seconds: 81.92}}",
            "latency.p95_seconds: must be below 81.92: durations are not told apart beyond, got 81.92",
        ),
        (
            "{silence: {labels: {severity: x}}}",
            (
                "silence.labels.severity: must not be set: severity is the alert's own; there is a key"
                " of that name"
            ),
        ),
        (
            "{labels: {llm_budget_name: x}}",
            "labels.llm_budget_name: must not be set: llm_budget_name is the alert's own",
        ),
        (
            "{silence: {severity: Now!}}",
            'silence.severity: must be a word such as info, warning, critical, ticket or page, got "Now!"',
        ),
        (
            '{silence: {annotations: {a: "{{ nope }}"}}}',
            (
                'silence.annotations.a: must be a template: template: __alert_:1: function "nope" not'
                ' defined, got "{{ nope }}"'
            ),
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_path(alerts, problem):
    assert problems_of(alerts) == [problem]
