"""Budgets of equal alerts share rules; when one comes, goes or changes, alerts of the others move."""

from pathlib import Path

import pytest
from scene import DAY, HOUR, MINUTE, SECOND, START, news

from spanbudget.exporter.alert_store.records import RuleKey
from spanbudget.exporter.alerting.handover import LoadedRule, hand_over
from spanbudget.rules.alerts import Alert
from spanbudget.rules.groups import AlertingRule
from spanbudget.rules.labels import labels_of
from spanbudget.rules.promql.expression import parse_expression

ANY = "max_cost: 1, period: daily"
BOTH = f"""
budgets:
  - {{name: a, {ANY}, alerts: {{thresholds: [50]}}}}
  - {{name: b, {ANY}, match: {{team: none}}, alerts: {{thresholds: [50]}}}}
"""
OTHER_CHANGED = BOTH.replace("none}, alerts: {thresholds: [50]", "none}, alerts: {thresholds: [60]")
OTHER_GONE = f"\nbudgets: [{{name: a, {ANY}, alerts: {{thresholds: [50]}}}}]\n"
PENDING = """
budgets:
  - {name: a, max_cost: 1, period: daily, alerts: {silence: {after: 5m, for: 10m}}}
  - {name: b, max_cost: 1, period: daily, match: {team: none}, alerts: {silence: {after: 5m, for: 2h}}}
"""
PENDING_SHARED = PENDING.replace("for: 2h", "for: 10m")


def groups_of(one):
    return [group.name for group in one.engine._rulebook.groups]


def restarted(start, before, text):
    before.vanish()
    after = start(text, clock=before.clock)
    after.step(20 * SECOND)  # the lease of the first has run out
    return after


@pytest.mark.parametrize(
    ("first", "then"),
    [(BOTH, OTHER_CHANGED), (OTHER_CHANGED, BOTH), (BOTH, OTHER_GONE), (OTHER_GONE, BOTH)],
)
def test_an_alert_that_moves_with_another_budgets_change_is_told_neither_again_nor_as_ended(
    start, first, then
):
    one = start(first)
    one.spend(55)
    one.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
    began = [alert.fired_at_ms for alert in one.engine._lead.evaluator.alerts()]
    two = restarted(start, one, then)
    two.step(15 * SECOND, times=200)
    assert groups_of(one) != groups_of(two)
    assert news() == []
    assert [alert.fired_at_ms for alert in two.engine._lead.evaluator.alerts()] == began
    two.clock.now_ns = START - START % DAY + DAY
    two.step()
    assert news() == [("resolved", "LLMBudgetThreshold", "50")]


def test_what_is_kept_of_a_moved_alert_is_kept_under_its_new_rule(start):
    one = start(BOTH)
    one.spend(55)
    one.step()
    two = restarted(start, one, OTHER_CHANGED)
    assert list(two.engine._store.load().alerts) == [
        RuleKey("budgets.yaml;budget:a", 'LLMBudgetThreshold {llm_budget_threshold="50", severity="info"}')
    ]
    three = restarted(start, two, OTHER_CHANGED)
    three.step(15 * SECOND, times=8)
    assert news() == [("firing", "LLMBudgetThreshold", "50")]


def test_an_alert_whose_threshold_was_taken_away_ends_although_others_moved(start):
    one = start(BOTH.replace("thresholds: [50]", "thresholds: [30, 50]", 2))
    one.spend(55)
    one.step()
    assert ("firing", "LLMBudgetThreshold", "50") in news()
    two = restarted(start, one, BOTH.replace("thresholds: [50]", "thresholds: [30]", 1))
    two.step(15 * SECOND, times=40)
    told = news()
    assert ("resolved", "LLMBudgetThreshold", "50") in told
    assert ("resolved", "LLMBudgetThreshold", "30") not in told


def test_a_pending_alert_that_moves_does_not_wait_again(start):
    one = start(PENDING)
    one.step(MINUTE, times=8)
    two = restarted(start, one, PENDING_SHARED)
    two.step(MINUTE, times=4)
    assert len(groups_of(two)) == 1
    assert ("firing", "LLMBudgetSilent", "") in news()


def test_an_alert_stays_while_budgets_before_it_push_it_into_another_chunk(start, monkeypatch):
    """20 names are a group here: with one more before it, the 20th goes into the second group."""
    monkeypatch.setattr("spanbudget.rules.expansion.sharing.NAMES_MAX", 20)
    names = [f"m{n:02}" for n in range(21)]
    line = "  - {{name: {0}, {1}, match: {{team: {0}}}, alerts: {{thresholds: [50]}}}}"
    lines = ["", "budgets:", *(line.format(name, ANY) for name in names)]
    first = "\n".join(lines).replace("match: {team: m19}", "match: {}")
    one = start(first)
    one.spend(55)
    one.step()
    assert news() == [("firing", "LLMBudgetThreshold", "50")]
    two = restarted(start, one, f"{first}\n{line.format('a', ANY)}")
    two.step(15 * SECOND, times=40)
    assert news() == []
    assert len(groups_of(two)) == 2


def test_the_rule_of_a_file_may_move_to_another_group_or_get_a_label(start, tmp_path):
    def rules(group, labels):
        Path(tmp_path / "rules.yaml").write_text(
            f"groups: [{{name: {group}, rules: [{{alert: Many, expr: 'llm_budget_peak_ratio > 0.5',"
            f" labels: {{{labels}}}}}]}}]",
            encoding="utf-8",
        )

    rules("one", "llm_budget_threshold: '50'")
    text = f"\nrules: [rules.yaml]\nbudgets: [{{name: a, {ANY}}}]\n"
    one = start(text)
    one.spend(55)
    one.step()
    assert news() == [("firing", "Many", "50")]
    rules("two", "llm_budget_threshold: '{{ 50 }}'")  # the same label, written as a template
    two = restarted(start, one, text)
    two.step(15 * SECOND, times=40)
    assert news() == []
    rules("two", "llm_budget_threshold: '50', team: t")
    three = restarted(start, two, text)
    assert sorted(news()) == [("firing", "Many", "50"), ("resolved", "Many", "50")]
    three.step(HOUR)
    assert news() == []


def loaded(name, text, **labels):
    return LoadedRule(AlertingRule(name, parse_expression(text), labels=labels_of(labels)), ())


def kept(name, **labels):
    return Alert(labels_of({"alertname": name, **labels}), (), 1, "firing", 0, 0)


def test_an_alert_goes_to_the_rule_that_can_have_it():
    a, b, gone = RuleKey("f;a", "X"), RuleKey("f;b", "X"), RuleKey("f;gone", "X")
    rules = {a: loaded("X", 'm{n=~"a|c"} > 1', s="1"), b: loaded("X", 'm{n="b"} > 1 and k{n="b"} > 1', s="1")}
    of_a, of_b = kept("X", n="a", s="1"), kept("X", n="b", s="1")
    stranger, other = kept("X", n="z", s="1"), kept("X", n="a", s="2")
    found = hand_over(rules, {gone: (of_a, of_b, stranger, other)})
    assert found.alerts == {a: [of_a], b: [of_b]}
    assert found.moved == [(gone, of_a.labels), (gone, of_b.labels)]
    assert found.orphans == {(gone, stranger.labels): stranger, (gone, other.labels): other}


def test_an_alert_stays_with_its_own_rule_where_no_other_can_have_it():
    a, b = RuleKey("f;a", "X"), RuleKey("f;b", "X")
    rules = {a: loaded("X", 'label_replace(m{n="a"}, "n", "z", "n", ".*")'), b: loaded("X", 'm{n="b"}')}
    alert, moves = kept("X", n="z"), kept("X", n="b")
    found = hand_over(rules, {a: (alert, moves)})
    assert found.alerts == {a: [alert], b: [moves]}
    assert (found.moved, found.orphans) == ([(a, moves.labels)], {})


def test_an_alert_does_not_take_the_place_of_one_that_a_rule_has():
    a, gone = RuleKey("f;a", "X"), RuleKey("f;gone", "X")
    own, double = kept("X", n="a"), kept("X", n="a")
    found = hand_over({a: loaded("X", "m")}, {gone: (double,), a: (own,)})
    assert found.alerts == {a: [own]}
    assert found.orphans == {(gone, double.labels): double}
