"""Rules as text for each program that loads them."""

from dataclasses import replace
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rendered_cases import BUDGETS as FIRING_BUDGETS
from rendered_cases import RULE_TEST

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.rule_files import parse_rule_text
from spanbudget.exporter.rule_files.unit_tests import load_test_file
from spanbudget.exporter.rule_rendering.expanded import expanded_groups, expanded_rules, expanded_text
from spanbudget.exporter.rule_rendering.kubernetes import object_name
from spanbudget.exporter.rule_rendering.read_rules import group_text
from spanbudget.exporter.rule_rendering.rendering import TARGETS, RenderOptions, distinct, render
from spanbudget.rules.expansion.rule_text import GroupText, RuleText
from spanbudget.rules.groups import Place
from spanbudget.rules.unit_tests import run_test

BUDGETS = r"""
budgets:
  - {name: prod, max_cost: 500, alerts: true}
  - name: "we\"ird\\ {{ né🙂 }} $x ${y"
    max_cost: 5
    period: daily
    per: [user]
    alerts:
      thresholds: [50, 99.5]
      burn: true
      projected_overrun: {confidence: 0.5}
      anomaly: true
      error_rate: {above: 5}
      latency: {p95_seconds: 30}
      model_cost_share: {model: "gpt-5*"}
      unpriced_share: true
      silence: {after: 30m, annotations: {hint: "costs ${{ $value }}, \"see\" {{ `$x` }}\nnow"}}
""".replace("${y", "$${y").replace("${{", "$${{")
CONFIG = parse_config(BUDGETS, "budgets.yaml")
GROUPS = expanded_groups(CONFIG.budget_configs)
FULL = GroupText(
    "all",
    (
        RuleText("sum(x)", record="x:sum", labels=(("a", "b"),)),
        RuleText("x:sum > 1\nand\ny", alert="X", for_ms=90_000, keep_firing_for_ms=3_600_000),
    ),
    interval_ms=15_000,
    limit=10,
    query_offset_ms=60_000,
    labels=(("team", "t"),),
)


def loaded(target, groups=GROUPS, **options):
    return list(yaml.safe_load_all(render(groups, target, RenderOptions(**options))))


def test_what_prometheus_is_given_is_read_back_the_same():
    groups = [*GROUPS, FULL]
    read = parse_rule_text(render(groups, "prometheus"), "r.yaml")
    assert [group_text(group) for group in read] == groups


def test_rules_that_were_not_written_are_those_that_are_written_and_read():
    def without_lines(groups):
        return [
            replace(group, rules=tuple(replace(rule, place=Place("", 1)) for rule in group.rules))
            for group in groups
        ]

    read = parse_rule_text(expanded_text(CONFIG.budget_configs), "budgets.yaml")
    assert without_lines(expanded_rules(CONFIG.budget_configs, "budgets.yaml")) == without_lines(read)


def test_expanded_rules_fire_and_say_what_is_spent(tmp_path):
    (tmp_path / "test.yaml").write_text(RULE_TEST, encoding="utf-8")
    (test,) = load_test_file(tmp_path / "test.yaml").tests
    config = parse_config(FIRING_BUDGETS, "budgets.yaml")
    assert run_test(test, expanded_rules(config.budget_configs, "budgets.yaml")) == []


printable = st.characters(exclude_categories=("Cs",))


@given(st.lists(st.text(printable, min_size=1), min_size=1, max_size=3, unique=True), st.text(printable))
def test_any_text_is_read_back_as_it_is(names, text):
    rule = RuleText('x == 1 or y{z="#: \\n"}', alert="A: b", labels=(("a", text + "x"),))
    groups = [GroupText(name, (replace(rule, annotations=(("c", "-" + text),)),)) for name in names]
    read = yaml.safe_load(render(groups, "prometheus"))["groups"]
    assert [group["name"] for group in read] == names
    assert read[0]["rules"][0]["labels"] == {"a": text + "x"}
    assert read[0]["rules"][0]["annotations"] == {"c": "-" + text}


def test_the_text_is_stable_and_made_to_be_read():
    text = render(GROUPS, "prometheus")
    assert text == render(expanded_groups(CONFIG.budget_configs), "prometheus")
    assert "        expr: |-\n          max by" in text
    assert text.startswith("groups:\n  - name: budget:prod\n    rules:\n      - alert: LLMBudgetThreshold\n")


def test_groups_of_one_name_are_told_apart():
    one = GroupText("a", FULL.rules)
    names = [group.name for group in distinct([one, one, GroupText("a (2)", FULL.rules), one])]
    assert names == ["a", "a (3)", "a (2)", "a (4)"]


def test_mimir_has_a_namespace():
    assert loaded("mimir")[0]["namespace"] == "spanbudget"
    (document,) = loaded("mimir", namespace="llm")
    assert document == {"namespace": "llm", **loaded("prometheus")[0]}


def test_vmalert_has_another_name_for_the_offset():
    (ours,), (theirs,) = loaded("prometheus", [FULL]), loaded("vmalert", [FULL])
    assert ours["groups"][0].pop("query_offset") == theirs["groups"][0].pop("eval_delay") == "1m"
    assert ours == theirs


def test_kubernetes_has_an_object_for_each_group():
    documents = loaded("prometheus-operator", namespace="monitoring", labels={"release": "kube"})
    assert [document["kind"] for document in documents] == ["PrometheusRule"] * 2
    assert documents[0]["metadata"] == {
        "name": "spanbudget-budget-prod",
        "namespace": "monitoring",
        "labels": {
            "app.kubernetes.io/managed-by": "spanbudget",
            "app.kubernetes.io/name": "spanbudget",
            "release": "kube",
        },
    }
    assert [document["spec"]["groups"][0] for document in documents] == loaded("prometheus")[0]["groups"]
    assert "namespace" not in loaded("prometheus-operator")[0]["metadata"]


def test_names_of_objects_are_short_lower_case_and_different():
    groups = [
        "budget:a-b",
        "budget:a_b",
        "budget:A:b",
        "budget:a:b",
        "🙂",
        "é",
        "x" * 300,
        "x" * 301,
        "-",
        "",
    ]
    names = [object_name(group) for group in groups]
    assert len(set(names)) == len(groups)
    for name in names:
        assert len(name) <= 63
        assert name[0].isalpha()
        assert name[-1].isalnum()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_takes_every_rule(target):
    assert "LLMBudgetSilent" in render([*GROUPS, FULL], target)


@cache
def groups_of_thousand(more=""):
    lines = [
        f"  - {{name: team-{n:04}, match: {{team: t{n}}}, max_cost: 100, alerts: true}}" for n in range(1_000)
    ]
    config = parse_config("\n".join(["budgets:", *lines, more]), "budgets.yaml")
    return expanded_groups(config.budget_configs)


@pytest.mark.parametrize("target", TARGETS)
def test_a_thousand_budgets_of_one_kind_are_a_short_file(target):
    """Five groups of eight rules with 200 names each, far below the 1 MiB that a rule file may have here."""
    groups = groups_of_thousand()
    assert [len(group.rules) for group in groups] == [8] * 5
    text = render(groups, target)
    assert len(text.encode()) < 300_000
    if target == "prometheus":
        assert [group_text(group) for group in parse_rule_text(text, "r.yaml")] == list(groups)


def test_grafanas_rules_of_shared_groups_are_told_apart_and_stay_when_a_budget_comes():
    def rules(groups):
        (document,) = loaded("grafana", groups)
        return [rule for group in document["groups"] for rule in group["rules"]]

    before = rules(groups_of_thousand())
    after = rules(groups_of_thousand("  - {name: more, max_cost: 100, alerts: true}"))
    for shown in ("uid", "title"):
        assert len({rule[shown] for rule in before}) == len(before) == 40
        assert {rule[shown] for rule in before} < {rule[shown] for rule in after}
