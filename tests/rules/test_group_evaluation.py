"""A group at one moment after the other, over a real store."""

import math

import pytest

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.alerts import Alert
from spanbudget.rules.evaluation import GroupMemory, RuleOutcome, evaluate_group
from spanbudget.rules.groups import AlertingRule, RecordingRule, Rule, RuleGroup
from spanbudget.rules.labels import Labels, Matcher, labels_of, shown
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series import SeriesStore, is_stale
from spanbudget.rules.templates import Externals

MINUTE = 60_000


class Bench:
    """A group, its memory and its store."""

    def __init__(self, *rules: Rule, store: SeriesStore | None = None, **more) -> None:
        self.group = RuleGroup("g", "rules.yaml", rules, **more)
        self.memory = GroupMemory(self.group)
        self.store = SeriesStore() if store is None else store

    def at(self, minute: int, values: dict[str, float] | None = None) -> list[RuleOutcome]:
        for name, value in (values or {}).items():
            self.store.append(labels_of({"__name__": "m", "a": name}), minute * MINUTE, value)
        return evaluate_group(self.group, self.memory, self.store, minute * MINUTE)

    def series(self, name: str) -> dict[str, list[float | str]]:
        found = self.store.select((Matcher("__name__", "=", name),))
        return {
            shown(series.labels): ["stale" if is_stale(v) else v for v in series.values] for series in found
        }


def record(name: str, text: str, **labels: str) -> RecordingRule:
    return RecordingRule(name, parse_expression(text), tuple(sorted(labels.items())))


def alert(text: str = "m > 1", name: str = "A", *, labels: Labels = (), annotations: Labels = (), **more):
    return AlertingRule(name, parse_expression(text), labels=labels, annotations=annotations, **more)


def test_a_rule_sees_what_an_earlier_one_recorded_at_this_time() -> None:
    bench = Bench(record("doubled", "m * 2"), record("more", "doubled + 1"), alert("more > 6"))
    outcomes = bench.at(0, {"x": 3.0})
    assert bench.series("more") == {'more{a="x"}': [7.0]}
    assert [found.value for found in outcomes[2].alerts] == [7.0]


def test_recorded_labels_replace_those_of_the_result_and_empty_ones_remove_them() -> None:
    bench = Bench(record("r", "m", a="", b="own", team="rule"), labels=(("team", "group"), ("zone", "z")))
    bench.at(0, {"x": 1.0})
    assert list(bench.series("r")) == ['r{b="own", team="rule", zone="z"}']


def test_a_number_is_recorded_without_labels() -> None:
    bench = Bench(record("r", "1 + 1"))
    bench.at(0)
    assert bench.series("r") == {"r": [2.0]}


def test_a_recorded_series_that_is_gone_ends() -> None:
    bench = Bench(record("r", "m > 1"))
    bench.at(0, {"x": 2.0, "y": 2.0})
    bench.at(1, {"x": 2.0, "y": 0.0})
    bench.at(2, {"x": 2.0})
    assert bench.series("r") == {'r{a="x"}': [2.0, 2.0, 2.0], 'r{a="y"}': [2.0, "stale"]}


def test_series_about_alerts_follow_their_states() -> None:
    bench = Bench(alert(for_ms=MINUTE, labels=(("severity", "page"),)))
    for minute, value in enumerate([2.0, 2.0, 2.0, 0.0]):
        bench.at(minute, {"x": value})
    assert bench.series("ALERTS") == {
        'ALERTS{a="x", alertname="A", alertstate="pending", severity="page"}': [1.0, "stale"],
        'ALERTS{a="x", alertname="A", alertstate="firing", severity="page"}': [1.0, 1.0, "stale"],
    }
    assert bench.series("ALERTS_FOR_STATE") == {
        'ALERTS_FOR_STATE{a="x", alertname="A", severity="page"}': [0.0, 0.0, 0.0, "stale"]
    }


def test_an_alert_has_the_labels_of_the_sample_the_group_and_the_rule() -> None:
    rule = alert(
        labels=(("severity", "{{ if gt $value 5.0 }}page{{ else }}ticket{{ end }}"), ("team", "rule")),
        annotations=(("summary", "{{ $labels.a }} at {{ $value }} for {{ $externalLabels.site }}"),),
    )
    bench = Bench(rule, labels=(("team", "group"), ("zone", "{{ $labels.a }}")))
    bench.store.append(labels_of({"__name__": "m", "a": "x"}), 0, 9.0)
    externals = Externals((("site", "berlin"),))
    (outcome,) = evaluate_group(bench.group, bench.memory, bench.store, 0, externals=externals)
    (found,) = outcome.changed
    assert dict(found.labels) == {"a": "x", "alertname": "A", "severity": "page", "team": "rule", "zone": "x"}
    assert found.annotations == (("summary", "x at 9 for berlin"),)


def test_annotations_follow_the_value_the_time_and_queries() -> None:
    annotations = (("q", "{{ query `sum(m)` | first | value }}"), ("t", "{{ now }}"), ("v", "{{ $value }}"))
    bench = Bench(alert(annotations=annotations))
    bench.at(0, {"x": 2.0, "y": 1.0})
    (outcome,) = bench.at(1, {"x": 2.0, "y": 0.0})
    assert outcome.alerts[0].annotations == (("q", "2"), ("t", "60"), ("v", "2"))
    (outcome,) = bench.at(2, {"x": 3.0})
    assert outcome.alerts[0].annotations == (("q", "3"), ("t", "120"), ("v", "3"))


def test_a_query_that_fails_is_told_in_the_annotation() -> None:
    bench = Bench(alert(annotations=(("q", "{{ query `m[` }}"),)))
    (outcome,) = bench.at(0, {"x": 2.0})
    assert outcome.error is None
    assert outcome.alerts[0].annotations[0][1].startswith("<error expanding template: ")


def test_two_alerts_of_one_label_set_are_an_error_and_change_nothing() -> None:
    bench = Bench(alert(labels=(("a", ""),)))
    bench.at(0, {"x": 2.0})
    (outcome,) = bench.at(1, {"x": 2.0, "y": 2.0})
    assert outcome.error == "vector contains metrics with the same labelset after applying alert labels"
    assert [found.state for found in outcome.alerts] == ["firing"]
    assert outcome.changed == ()


def test_two_recorded_series_of_one_label_set_are_an_error() -> None:
    bench = Bench(record("r", "m", a="same"))
    (outcome,) = bench.at(0, {"x": 1.0, "y": 1.0})
    assert outcome.error == "vector contains metrics with the same labelset after applying rule labels"
    assert bench.series("r") == {}


def test_more_alerts_than_the_limit_are_an_error_that_clears_them() -> None:
    bench = Bench(alert(), record("r", "sum(m)"), limit=1)
    bench.at(0, {"x": 2.0})
    outcomes = bench.at(1, {"x": 2.0, "y": 2.0})
    assert outcomes[0] == RuleOutcome(bench.group.rules[0], error="exceeded limit of 1 with 2 alerts")
    assert outcomes[1].error is None
    (fired, _) = bench.at(2, {"y": 0.0})
    assert [found.active_at_ms for found in fired.changed] == [2 * MINUTE]


def test_more_series_than_the_limit_are_an_error_and_nothing_is_recorded() -> None:
    bench = Bench(record("r", "m"), limit=1)
    (outcome,) = bench.at(0, {"x": 1.0, "y": 1.0})
    assert outcome.error == "exceeded limit of 1 with 2 series"
    assert bench.series("r") == {}


def test_a_rule_that_fails_keeps_its_alerts_and_the_others_go_on() -> None:
    failing = alert("m > 1 and on() (m * on() m)", "Failing")
    bench = Bench(failing, alert(name="B"))
    first, _ = bench.at(0, {"x": 2.0})
    assert [found.state for found in first.alerts] == ["firing"]
    failed, other = bench.at(1, {"x": 2.0, "y": 2.0})
    assert failed.error is not None
    assert "many-to-many" in failed.error or "duplicate" in failed.error or "match" in failed.error
    assert [found.state for found in failed.alerts] == ["firing"]
    assert len(other.alerts) == 2


def test_a_rule_with_more_series_than_the_store_takes_says_so() -> None:
    bench = Bench(record("r", "m"), alert("m > 1"), store=SeriesStore(series_max=4))
    outcomes = bench.at(0, dict.fromkeys("abc", 2.0))
    assert outcomes[0].error is not None
    assert outcomes[0].error.startswith("the evaluator holds its most of 4 series; r{a=")
    assert len(outcomes[1].alerts) == 3


def test_results_of_rules_with_one_name_and_other_values_are_a_conflict() -> None:
    bench = Bench(record("r", "m"), record("r", "m"), record("r", "m + 1"))
    outcomes = bench.at(0, {"x": 1.0})
    assert [outcome.error is None for outcome in outcomes] == [True, True, False]
    assert "duplicate sample for timestamp" in str(outcomes[2].error)


def test_not_a_number_recorded_twice_is_no_conflict() -> None:
    bench = Bench(record("r", "m"), record("r", "m"))
    assert [outcome.error for outcome in bench.at(0, {"x": math.nan})] == [None, None]


def test_the_query_offset_looks_into_the_past_and_writes_there() -> None:
    bench = Bench(record("r", "m"), alert("m > 1"), query_offset_ms=MINUTE)
    bench.at(0, {"x": 5.0})
    outcomes = bench.at(1, {"x": 0.0})
    assert [found.active_at_ms for found in outcomes[1].alerts] == [MINUTE]
    (series,) = bench.store.select((Matcher("__name__", "=", "r"),))
    assert (list(series.times), list(series.values)) == ([0], [5.0])


def test_restored_alerts_go_on_where_they_were_and_are_not_told_again() -> None:
    labels = labels_of({"a": "x", "alertname": "A"})
    group = RuleGroup("g", "f", (record("r", "m"), alert(for_ms=5 * MINUTE)))
    firing = Alert(labels, (), 2.0, "firing", active_at_ms=0, fired_at_ms=5 * MINUTE)
    memory = GroupMemory(group, {1: [firing]})
    store = SeriesStore()
    store.append(labels_of({"__name__": "m", "a": "x"}), 60 * MINUTE, 2.0)
    outcome = evaluate_group(group, memory, store, 60 * MINUTE)[1]
    assert (outcome.alerts, outcome.changed) == ((firing,), ())
    store.append(labels_of({"__name__": "m", "a": "x"}), 61 * MINUTE, 0.0)
    ended = evaluate_group(group, memory, store, 61 * MINUTE)[1].changed
    assert [(found.state, found.resolved_at_ms) for found in ended] == [("inactive", 61 * MINUTE)]
    assert memory.alerts == ((), ended)


def test_a_memory_belongs_to_its_group() -> None:
    bench = Bench(alert())
    with pytest.raises(ValueError, match="the memory is of group g, not of other"):
        evaluate_group(RuleGroup("other", "f", ()), bench.memory, bench.store, 0)


def test_a_template_that_cannot_be_read_is_refused_when_the_memory_is_made() -> None:
    with pytest.raises(ExpressionError, match='function "nope" not defined'):
        Bench(alert(annotations=(("a", "{{ nope }}"),)))


def test_a_label_that_a_template_leaves_empty_is_absent() -> None:
    bench = Bench(alert(labels=(("team", "{{ $labels.nope }}"),)))
    (outcome,) = bench.at(0, {"x": 2.0})
    assert dict(outcome.alerts[0].labels) == {"a": "x", "alertname": "A"}
