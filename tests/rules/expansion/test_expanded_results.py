"""What expanded expressions say of series."""

from decimal import Decimal

from spanbudget.processors.periods import Period
from spanbudget.rules.expansion.expand import expand
from spanbudget.rules.expansion.sugar import (
    BudgetAlerts,
    ErrorRateAlert,
    ModelShareAlert,
    SilenceAlert,
    ThresholdAlert,
)
from spanbudget.rules.labels import METRIC_NAME, labels_of
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series import SeriesStore

MINUTE, HOUR = 60_000, 3_600_000
NOW_MS = 1_800_000_000_000
PROD = (("llm_budget_name", "prod"),)


def stored(*series):
    """(labels, {minutes before now: value}) as a store."""
    store = SeriesStore(default_keep_ms=10**12)
    for labels, samples in series:
        for before in sorted(samples, reverse=True):
            store.append(labels_of(labels), NOW_MS - before * MINUTE, samples[before])
    return store


def result(store, alert, **more):
    (group,) = expand(BudgetAlerts("prod", Period("monthly"), (alert,), **more)).groups
    (rule,) = group.rules
    return parse_expression(rule.expr).evaluate(store, NOW_MS)


def calls(**labels):
    return {METRIC_NAME: "llm_budget_calls_total", "llm_budget_name": "prod", **labels}


def every_minute(count, value):
    return {before: value(count - before) for before in range(count + 1)}


SILENCE = SilenceAlert(30 * MINUTE)


def test_silence_is_a_counter_that_never_was_there():
    assert result(stored(), SILENCE) == [(PROD, 1)]


def test_silence_is_a_counter_that_is_gone():
    series = (calls(llm_outcome="ok"), {before: 100 - before for before in range(31, 90)})
    assert result(stored(series), SILENCE) == [(PROD, 1)]


def test_silence_is_a_counter_that_stands_still():
    series = (calls(llm_outcome="ok"), every_minute(90, lambda at: min(at, 50)))
    assert result(stored(series), SILENCE) == [(PROD, 0)]


def test_a_counter_that_moves_is_no_silence():
    still = (calls(llm_outcome="ok"), every_minute(90, lambda _: 5))
    moved = (calls(llm_outcome="error"), every_minute(90, lambda at: at // 20))
    assert result(stored(still, moved), SILENCE) == []


def test_a_counter_that_appeared_with_calls_in_it_is_no_silence_although_it_stands_still():
    old = (calls(gen_ai_response_model="a"), every_minute(90, lambda _: 5))
    new = (calls(gen_ai_response_model="b"), every_minute(10, lambda _: 3))
    assert result(stored(old, new), SILENCE) == []


def test_a_counter_that_begins_at_zero_tells_nothing():
    old = (calls(gen_ai_response_model="a"), every_minute(90, lambda _: 5))
    new = (calls(gen_ai_response_model="b"), every_minute(10, lambda _: 0))
    assert result(stored(old, new), SILENCE) == [(PROD, 0)]


def test_a_template_is_silent_where_all_of_its_children_are():
    ann = (calls(llm_budget_child="user=ann"), every_minute(90, lambda _: 5))
    bob = (calls(llm_budget_child="user=bob"), every_minute(90, lambda at: at))
    assert result(stored(ann), SILENCE, has_children=True) == [(PROD, 0)]
    assert result(stored(ann, bob), SILENCE, has_children=True) == []


def test_a_threshold_holds_at_its_percent_exactly_and_for_each_child_by_itself():
    def peak(child, value):
        name = {METRIC_NAME: "llm_budget_peak_ratio", "llm_budget_name": "prod", "llm_budget_child": child}
        return name, {0: value}

    store = stored(peak("a", 400 / 500), peak("b", 399 / 500), peak("", 0.9))
    assert sorted(result(store, ThresholdAlert(Decimal(80)))) == [
        ((("llm_budget_child", "a"), ("llm_budget_name", "prod")), 0.8),
        (PROD, 0.9),
    ]


def test_shared_state_that_several_processes_show_is_one_alert():
    name = {METRIC_NAME: "llm_budget_peak_ratio", "llm_budget_name": "prod"}
    store = stored(({**name, "instance": "a"}, {0: 0.85}), ({**name, "instance": "b"}, {0: 0.86}))
    assert result(store, ThresholdAlert(Decimal(80))) == [(PROD, 0.86)]


def test_errors_of_few_calls_are_not_told():
    """Each minute 3 calls fail of 30, or 1 of 1: 10 % of 150 are told, 100 % of 5 are not."""
    alert = ErrorRateAlert(Decimal(5), 20, 5 * MINUTE)
    failed = (calls(llm_outcome="error"), every_minute(10, lambda at: 3 * at))
    fine = (calls(llm_outcome="ok"), every_minute(10, lambda at: 27 * at))
    ((labels, share),) = result(stored(failed, fine), alert)
    assert (labels, round(share, 9)) == (PROD, 0.1)
    assert result(stored((calls(llm_outcome="error"), every_minute(10, lambda at: at))), alert) == []


def test_the_share_of_a_model_is_of_the_money_of_all_models():
    def cost(model, rate):
        name = {METRIC_NAME: "llm_budget_cost_usd_total", "llm_budget_name": "prod"}
        return {**name, "gen_ai_response_model": model}, every_minute(60, lambda at: rate * at)

    store = stored(cost("gpt-5", 0.7), cost("gpt-5-mini", 0.1), cost("other", 0.2))
    ((labels, share),) = result(store, ModelShareAlert(Decimal(60), "", Decimal(1), HOUR))
    assert (dict(labels)["gen_ai_response_model"], round(share, 9)) == ("gpt-5", 0.7)
    assert result(store, ModelShareAlert(Decimal(60), "o*", Decimal(1), HOUR)) == []
    assert result(store, ModelShareAlert(Decimal(60), "", Decimal(1_000), HOUR)) == []
