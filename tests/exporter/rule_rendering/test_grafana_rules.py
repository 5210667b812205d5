"""Rules as Grafana's alerting is provisioned with them."""

from dataclasses import replace

import pytest

from spanbudget.exporter.rule_rendering.grafana import (
    TITLE_CHARS_MAX,
    UID_CHARS_MAX,
    GrafanaPlace,
    provisioning,
    title,
    uid,
)
from spanbudget.exporter.rule_rendering.grafana_templates import annotation_text, converted
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.expansion.rule_text import GroupText, RuleText

RULE = RuleText(
    "x == 0",
    alert="Down",
    for_ms=60_000,
    keep_firing_for_ms=300_000,
    labels=(("llm_budget_threshold", "80"), ("severity", "page"), ("who", "{{ $labels.who }}")),
    annotations=(("summary", "{{ $labels.who }} at {{ $value | humanize }}"),),
)
GROUP = GroupText("budget:prod", (RULE,), query_offset_ms=60_000, labels=(("team", "t"),))


def rule_of(rule=RULE, group=GROUP, **place):
    return provisioning([replace(group, rules=(rule,))], GrafanaPlace(**place))["groups"][0]["rules"][0]


def test_a_rule_fires_for_each_value_also_for_zero():
    rule = rule_of(datasource_uid="mimir")
    query, present, condition = rule["data"]
    assert rule["condition"] == "C"
    assert query["datasourceUid"] == "mimir"
    assert query["model"] == {"refId": "A", "expr": "x == 0", "instant": True, "range": False}
    assert query["relativeTimeRange"] == {"from": 660, "to": 60}
    assert present["model"]["expression"] == "is_number($A) || is_nan($A) || is_inf($A)"
    assert condition["model"]["expression"] == "B"
    assert condition["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]
    assert (present["datasourceUid"], condition["datasourceUid"]) == ("__expr__", "__expr__")


def test_no_result_means_that_all_is_well():
    rule = rule_of()
    assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
    assert (rule["for"], rule["keepFiringFor"], rule["missing_series_evals_to_resolve"]) == ("1m", "5m", 1)


def test_labels_keep_the_name_of_the_alert_and_no_dollar_is_taken_for_a_variable():
    assert rule_of()["labels"] == {
        "llm_budget_threshold": "80",
        "prometheus_alertname": "Down",
        "severity": "page",
        "team": "t",
        "who": "{{ $$labels.who }}",
    }
    assert rule_of()["annotations"] == {"summary": "{{ $labels.who }} at {{ $values.A.Value | humanize }}"}


def test_groups_say_where_they_are_and_are_evaluated_in_steps_of_ten_seconds():
    (group,) = provisioning([replace(GROUP, name="a$b")], GrafanaPlace("LLM", 2))["groups"]
    assert (group["name"], group["folder"], group["orgId"], group["interval"]) == ("a$$b", "LLM", 2, "1m")
    (group,) = provisioning([replace(GROUP, interval_ms=15_000)])["groups"]
    assert group["interval"] == "20s"


def test_a_recording_rule_writes_to_the_data_source():
    rule = rule_of(RuleText("sum(x)", record="x:sum"))
    assert rule["record"] == {"metric": "x:sum", "from": "A", "targetDatasourceUid": "prometheus"}
    assert "condition" not in rule


def test_an_identity_stays_while_threshold_severity_and_wording_change():
    changed = replace(RULE, expr="x == 1", labels=(("llm_budget_threshold", "80"), ("severity", "info")))
    assert uid(GROUP, RULE) == uid(GROUP, changed)
    others = {
        uid(GROUP, RULE),
        uid(GROUP, RULE, 1),
        uid(GROUP, replace(RULE, labels=(("llm_budget_threshold", "90"),))),
        uid(replace(GROUP, name="other"), RULE),
    }
    assert len(others) == 4


def test_identities_and_titles_are_short_and_different_for_rules_of_one_name():
    long = replace(RULE, alert="A" * 300)
    twice = provisioning([replace(GROUP, rules=(RULE, RULE, long, long))])["groups"][0]["rules"]
    assert len({rule["uid"] for rule in twice}) == len({rule["title"] for rule in twice}) == 4
    assert title(GROUP, RULE) == "Down 80 (budget:prod)"
    for rule in twice:
        assert len(rule["uid"]) <= UID_CHARS_MAX
        assert len(rule["title"]) <= TITLE_CHARS_MAX


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ $value }} {{ .Value }} {{ $.Value }}", "{{ $values.A.Value }} " * 2 + "{{ $values.A.Value }}"),
        ('{{ printf "$value %.2f" $value }}', '{{ printf "$value %.2f" $values.A.Value }}'),
        ("$value {{ $labels.value }} {{ $values }}", "$value {{ $labels.value }} {{ $values }}"),
        ("a{{ with query `x` }} {{ if $value }}b{{ end }}{{ else }}c{{ end }}d", "ad"),
        ('{{ range printf "%q" $labels.a | query }}{{ .Value }}{{ end }}e', "e"),
        ('{{ "query" }}', '{{ "query" }}'),
        ("{{ with $labels.a }}{{ . }}{{ end }}", "{{ with $labels.a }}{{ . }}{{ end }}"),
    ],
)
def test_templates_say_the_same_in_grafana(template, expected):
    assert converted(template, "here") == expected


def test_a_query_outside_of_a_block_is_refused_with_its_place():
    rule = replace(RULE, annotations=(("summary", "{{ query `x` | first | value }}"),))
    with pytest.raises(
        ConfigurationError, match="budget:prod: Down: annotation summary: Grafana has no `query`"
    ):
        rule_of(rule)


def test_a_dollar_before_a_brace_is_written_by_an_action():
    assert annotation_text("costs ${{ $value }} ${x} $5") == 'costs {{ "$" }}{{ $value }} {{ "$" }}{x} $5'
