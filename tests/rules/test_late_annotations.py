"""Annotations that are expanded at the first look, and show it in nothing."""

import copy
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import pytest

from spanbudget.rules.alerts import Alert
from spanbudget.rules.annotations import LateAnnotations
from spanbudget.rules.evaluation import GroupMemory, RuleOutcome, evaluate_group
from spanbudget.rules.groups import AlertingRule, RuleGroup
from spanbudget.rules.labels import Labels, labels_of
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals, Template, compile_template

MINUTE: Final = 60_000
SAMPLE: Final = labels_of({"__name__": "m", "team": "a"})
TEXTS: Final = (("summary", "{{ $labels.team }} at {{ $value }}"), ("where", "{{ $externalLabels.site }}"))
EXTERNALS: Final = Externals((("site", "berlin"),))
MADE: Final = (("summary", "a at 2.5"), ("where", "berlin"))


class Watched(list[tuple[str, Template]]):
    """Templates that count how often somebody goes through them."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()


def templates() -> Watched:
    return Watched((name, compile_template(text)) for name, text in TEXTS)


def late(value: float = 2.5, own: Watched | None = None) -> LateAnnotations:
    return LateAnnotations(templates() if own is None else own, SAMPLE, value, EXTERNALS)


def alert(annotations, value: float = 2.5) -> Alert:
    return Alert(SAMPLE, annotations, value, "firing", 0, 0)


class Bench:
    """One rule over the series `m{a="x"}`."""

    def __init__(self, *, labels: Labels = (), annotations: Labels = ()) -> None:
        rule = AlertingRule("A", parse_expression("m > 1"), labels=labels, annotations=annotations)
        self.group = RuleGroup("g", "rules.yaml", (rule,))
        self.memory = GroupMemory(self.group)
        self.store = SeriesStore()

    def at(self, minute: int, value: float) -> RuleOutcome:
        self.store.append(labels_of({"__name__": "m", "a": "x"}), minute * MINUTE, value)
        (outcome,) = evaluate_group(self.group, self.memory, self.store, minute * MINUTE)
        return outcome


def test_nothing_is_expanded_before_the_first_look_and_nothing_twice() -> None:
    own = templates()
    annotations = late(own=own)
    held = replace(alert(annotations), state="inactive", resolved_at_ms=5)
    assert (len(annotations), own.looks) == (2, 0)
    assert [tuple(held.annotations), *map(list, [held.annotations])] == [MADE, list(MADE)]
    assert own.looks == 1


def test_they_are_the_tuple_of_the_same_pairs_to_everybody() -> None:
    assert (late(), MADE) == (MADE, late())
    assert late() == late()
    assert late() != late(3.0)
    assert late() != list(MADE)
    assert (hash(late()), repr(late())) == (hash(MADE), repr(MADE))
    assert (late()[0], late()[1:], dict(late())) == (MADE[0], MADE[1:], dict(MADE))
    assert alert(late()) == alert(MADE)
    assert {alert(late()), alert(MADE)} == {alert(MADE)}
    assert json.loads(json.dumps(dict(late()))) == dict(MADE)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],  # noqa: S301 - our own bytes
)
def test_a_copy_and_what_was_pickled_are_plain_tuples(copied) -> None:
    assert type(copied(late())) is tuple
    assert copied(alert(late())) == alert(MADE)


def test_those_of_one_sample_are_equal_without_a_look() -> None:
    own = templates()
    assert late(own=own) == late(own=own)
    assert own.looks == 0
    assert late(math.nan, own) == late(math.nan, own)  # the same texts, though the value equals nothing
    assert late(0.0, own) != late(-0.0, own)  # "0" and "-0"


def test_any_thread_may_look_first() -> None:
    for _ in range(50):
        annotations = late()
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(tuple, [annotations] * 8)) == {MADE}


def test_annotations_read_later_are_those_of_their_own_evaluation() -> None:
    bench = Bench(annotations=(("a", "{{ $labels.a }}"), ("v", "{{ $value }}")))
    before, after = bench.at(0, 2.0), bench.at(1, 3.0)
    assert after.alerts[0].annotations == (("a", "x"), ("v", "3"))
    assert before.alerts[0].annotations == (("a", "x"), ("v", "2"))
    ended = bench.at(2, 0.0)
    assert ended.changed[0].annotations == (("a", "x"), ("v", "3"))


@pytest.mark.parametrize(("text", "at_first"), [("{{ query `m` | first | value }}", "2"), ("{{ now }}", "0")])
def test_what_looks_at_the_series_or_the_time_does_so_when_the_rule_is_evaluated(
    text: str, at_first: str
) -> None:
    bench = Bench(annotations=(("q", text), ("v", "{{ $value }}")))
    before = bench.at(0, 2.0)
    bench.at(1, 3.0)
    assert before.alerts[0].annotations == (("q", at_first), ("v", "2"))


def test_labels_are_exact_at_every_evaluation() -> None:
    bench = Bench(labels=(("level", "{{ if gt $value 5.0 }}high{{ else }}low{{ end }}"),))
    levels = []
    for minute, value in enumerate([2.0, 9.0, 3.0]):
        firing = [found for found in bench.at(minute, value).alerts if found.state == "firing"]
        levels.append([dict(found.labels)["level"] for found in firing])
    assert levels == [["low"], ["high"], ["low"]]


def test_an_alert_of_which_nothing_changes_is_the_same_record() -> None:
    bench = Bench(labels=(("twice", "{{ $value }}"),), annotations=(("v", "{{ $value }}"),))
    (first,), (second,) = bench.at(0, 2.0).alerts, bench.at(1, 2.0).alerts
    assert second is first
