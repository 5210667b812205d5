"""The rule packs: every one can be read, has a test, and looks at series that there are."""

import re

import pytest

from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.exporter.rule_files.unit_tests import load_test_file
from spanbudget.exporter.rule_rendering.packs import pack_names, pack_path, pack_test_path
from spanbudget.processors import names_out
from spanbudget.processors.names_out import Kind, Metric, prometheus_name
from spanbudget.rules.groups import AlertingRule
from spanbudget.rules.unit_tests import run_test


def known_series() -> set[str]:
    metrics = [value for value in vars(names_out).values() if isinstance(value, Metric)]
    plain = {prometheus_name(metric) for metric in metrics}
    histograms = [prometheus_name(metric) for metric in metrics if metric.kind is Kind.HISTOGRAM]
    return plain | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def rules_of(pack: str) -> list[AlertingRule]:
    groups = load_rule_files([pack_path(pack)])
    return [rule for group in groups for rule in group.rules if isinstance(rule, AlertingRule)]


def test_there_is_a_pack_for_each_question():
    assert pack_names() == ("budget", "pipeline", "reliability", "silence", "spend")
    assert pack_path("pack:budget") == pack_path("budget")


@pytest.mark.parametrize("pack", pack_names())
def test_every_series_of_a_pack_is_one_of_ours(pack: str):
    read = {
        matcher.value
        for rule in rules_of(pack)
        for need in rule.expression.needs
        for matcher in need.matchers
        if matcher.name == "__name__"
    }
    assert read <= known_series()


@pytest.mark.parametrize("pack", pack_names())
def test_every_alert_of_a_pack_is_tested_and_says_how_severe_it_is(pack: str):
    tested = pack_test_path(pack).read_text(encoding="utf-8")
    for rule in rules_of(pack):
        assert re.search(rf"alertname: {rule.name}\b", tested), rule.name
        assert dict(rule.labels)["severity"] in ("info", "warning", "critical", "ticket", "page")
        assert "summary" in dict(rule.annotations)


@pytest.mark.parametrize("pack", pack_names())
def test_every_pack_passes_its_test(pack: str):
    file = load_test_file(pack_test_path(pack))
    groups = load_rule_files([pack_path(pack)])
    for test in file.tests:
        assert run_test(test, groups, evaluation_interval_ms=file.evaluation_interval_ms) == [], test.name
