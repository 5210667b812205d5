from typing import Any

import pytest

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import Labels, labels_of
from spanbudget.rules.promql.functions.relabelling import label_join, label_replace


def labels(**pairs: str) -> Labels:
    return labels_of({("__name__" if name == "metric" else name): value for name, value in pairs.items()})


def replaced(template: str, pattern: str, value: str = "prod-eu-1") -> str:
    """What `label_replace(v, "to", template, "from", pattern)` sets the label `to` to."""
    args: Any = [[(labels(**{"from": value, "to": "as it was"}), 1.0)], "to", template, "from", pattern]
    ((found, _),) = label_replace(args, 0)
    return dict(found).get("to", "")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$1", "prod"),
        ("${1}x", "prodx"),
        ("$1x", ""),  # the group named "1x"
        ("$2-$1", "eu-prod"),
        ("$0", "prod-eu-1"),
        ("$zone", "1"),
        ("${zone}$zone", "11"),
        ("$other", ""),
        ("$9", ""),
        ("$01", ""),
        ("$$1", "$1"),
        ("a$", "a$"),
        ("$ 1", "$ 1"),
        ("${1", "${1"),
        ("${}", "${}"),
        ("{$1}", "{prod}"),
        ("$1²", "prod²"),  # neither a letter nor a decimal digit, so the name ends before it
        ("plain", "plain"),
    ],
)
def test_templates_are_expanded_as_go_does(template: str, expected: str) -> None:
    assert replaced(template, "(.*)-(.*)-(?P<zone>.*)") == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("prod", "as it was"),  # not the whole value
        ("prod.*", "new"),
        ("PROD.*", "as it was"),
        ("(?i)PROD.*", "new"),
        ("", "as it was"),
    ],
)
def test_only_a_whole_match_replaces(pattern: str, expected: str) -> None:
    assert replaced("new", pattern) == expected


def test_a_group_that_matched_nothing_is_empty() -> None:
    assert replaced("<$2>", "(prod).*|(dev).*") == "<>"


def test_the_dot_matches_a_line_end() -> None:
    assert replaced("$1", "a(.*)b", "a\nb") == "\n"


def test_an_empty_result_removes_the_label_and_an_absent_source_is_empty() -> None:
    args: Any = [[(labels(metric="up", a="1", b="2"), 5.0)], "a", "", "none", ""]
    assert label_replace(args, 0) == [(labels(metric="up", b="2"), 5.0)]


def test_the_name_can_be_replaced() -> None:
    args: Any = [[(labels(metric="up", a="1"), 5.0)], "__name__", "down", "a", "1"]
    assert label_replace(args, 0) == [(labels(metric="down", a="1"), 5.0)]


def test_series_that_become_one_are_an_error() -> None:
    vector = [(labels(a="1", b="x"), 1.0), (labels(a="2", b="x"), 2.0)]
    args: Any = [vector, "a", "", "a", ".*"]
    with pytest.raises(EvaluationError, match="vector cannot contain metrics with the same labelset"):
        label_replace(args, 0)
    args = [vector, "a", "-", "b"]
    with pytest.raises(EvaluationError, match="vector cannot contain metrics with the same labelset"):
        label_join(args, 0)


def test_bad_names_and_patterns_are_errors_that_say_so() -> None:
    args: Any = [[], "", "x", "a", ".*"]
    with pytest.raises(EvaluationError, match="invalid destination label name in label_replace"):
        label_replace(args, 0)
    args = [[], "a", "x", "a", "("]
    with pytest.raises(EvaluationError, match=r'invalid regular expression in label_replace\(\): "\("'):
        label_replace(args, 0)
    args = [[], "", "-", "a"]
    with pytest.raises(EvaluationError, match="invalid destination label name in label_join"):
        label_join(args, 0)
    args = [[], "a", "-", "b", ""]
    with pytest.raises(EvaluationError, match="invalid source label name in label_join"):
        label_join(args, 0)


def test_a_bad_pattern_writes_nothing_of_itself(capfd: pytest.CaptureFixture[str]) -> None:
    args: Any = [[], "a", "x", "a", "(unclosed"]
    with pytest.raises(EvaluationError):
        label_replace(args, 0)
    assert capfd.readouterr() == ("", "")


def test_labels_are_joined_in_the_order_they_are_named() -> None:
    vector = [(labels(metric="up", a="1", b="2"), 5.0)]
    args: Any = [vector, "to", "/", "b", "none", "a"]
    assert label_join(args, 0) == [(labels(metric="up", a="1", b="2", to="2//1"), 5.0)]


def test_joining_nothing_removes_the_label() -> None:
    vector = [(labels(a="1", to="x"), 5.0)]
    args: Any = [vector, "to", "/"]
    assert label_join(args, 0) == [(labels(a="1"), 5.0)]


def test_more_values_than_are_remembered_are_replaced_all_the_same() -> None:
    vector = [(labels(a=str(number)), 1.0) for number in range(10_050)]
    args: Any = [vector, "b", "<$1>", "a", "(.*)"]
    for _ in range(2):
        found = label_replace(args, 0)
        assert [dict(own)["b"] for own, _ in found] == [f"<{number}>" for number in range(10_050)]
