"""promtool's unit-test files: YAML in, tests out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from spanbudget.exporter import config_yaml as tree
from spanbudget.exporter.rule_files.fields import Keys, Reading, read, text_of
from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.series_notation import metric_labels, series_values
from spanbudget.rules.templates import Externals
from spanbudget.rules.unit_tests import (
    AlertTest,
    ExpectedAlert,
    ExpressionTest,
    InputSeries,
    RuleTest,
    expected_alert,
)

INTERVAL_MS: Final = 60_000
"""Between two evaluations where a file says nothing."""
FILE_KEYS: Final = ("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
TEST_KEYS: Final = (
    "name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels",
    "external_url", "start_timestamp",
)  # fmt: skip
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TestFile:
    """One file of tests.

    Attributes:
        path: Its path; patterns are relative to its folder.
        rule_patterns: Names of rule files, or patterns such as `rules/*.yaml`.
        evaluation_interval_ms: Between two evaluations.
        group_order: Names of groups in the order in which they are evaluated.
        fuzzy: Whether values of expressions may differ in the last bit.
        tests: The tests.
    """

    __test__ = False  # not one of pytest's

    path: Path
    rule_patterns: tuple[str, ...]
    evaluation_interval_ms: int
    group_order: tuple[str, ...]
    fuzzy: bool
    tests: tuple[RuleTest, ...]


def load_test_file(path: Path) -> TestFile:
    """Reads a file of tests.

    Raises:
        ConfigurationError: It cannot be read or is wrong; it holds every problem.
    """
    reading = read(text_of(path), str(path))
    keys = Keys(reading, reading.root, (), FILE_KEYS)
    interval_ms = keys.duration_ms("evaluation_interval") or INTERVAL_MS
    order: dict[str, None] = {}
    for at, place, name in keys.element_texts("group_eval_order"):
        if name in order:
            reading.note(place, at, f"group {tree.quoted(name)} is named twice")
        order[name] = None
    test_file = TestFile(
        path=path,
        rule_patterns=tuple(str(path.parent / name) for _, _, name in keys.element_texts("rule_files")),
        evaluation_interval_ms=interval_ms,
        group_order=tuple(order),
        fuzzy=keys.flag("fuzzy_compare"),
        tests=tuple(_test(reading, node, at, interval_ms) for at, node in keys.elements("tests")),
    )
    reading.finish()
    return test_file


def _test(reading: Reading, node: tree.Node, path: tree.Path, interval_ms: int) -> RuleTest:
    keys = Keys(reading, node, path, TEST_KEYS)
    labels = tuple(sorted(keys.texts("external_labels").items()))
    return RuleTest(
        name=keys.text("name"),
        interval_ms=keys.duration_ms("interval") or interval_ms,
        inputs=tuple(_input(reading, element, at) for at, element in keys.elements("input_series")),
        alert_tests=tuple(
            _alert_test(reading, element, at) for at, element in keys.elements("alert_rule_test")
        ),
        expression_tests=tuple(
            _expression_test(reading, element, at) for at, element in keys.elements("promql_expr_test")
        ),
        # promtool gives the functions `externalURL` and `pathPrefix` no URL.
        externals=Externals(labels, keys.text("external_url"), function_url=None),
        start_ms=_start_ms(keys),
    )


def _input(reading: Reading, node: tree.Node, path: tree.Path) -> InputSeries:
    keys = Keys(reading, node, path, ("series", "values"))
    labels = _noted(keys, "series", _series_labels, EMPTY)
    return InputSeries(labels, _noted(keys, "values", series_values, []))


def _series_labels(text: str) -> Labels:
    if not text:
        raise ValueError("`series` must be set")
    labels = metric_labels(text)
    if not labels:
        raise ValueError("a series needs a name or a label that is not empty")
    return labels


def _alert_test(reading: Reading, node: tree.Node, path: tree.Path) -> AlertTest:
    keys = Keys(reading, node, path, ("eval_time", "alertname", "exp_alerts"))
    name = keys.text("alertname")
    if not name:
        keys.note("alertname", "`alertname` must be set")
    expected = tuple(_expected(reading, element, at, name) for at, element in keys.elements("exp_alerts"))
    return AlertTest(keys.duration_ms("eval_time") or 0, name, expected)


def _expected(reading: Reading, node: tree.Node, path: tree.Path, name: str) -> ExpectedAlert:
    keys = Keys(reading, node, path, ("exp_labels", "exp_annotations"))
    return expected_alert(name, keys.texts("exp_labels"), keys.texts("exp_annotations"))


def _expression_test(reading: Reading, node: tree.Node, path: tree.Path) -> ExpressionTest:
    keys = Keys(reading, node, path, ("expr", "eval_time", "exp_samples"))
    samples = tuple(_sample(reading, element, at) for at, element in keys.elements("exp_samples"))
    return ExpressionTest(keys.text("expr"), keys.duration_ms("eval_time") or 0, samples)


def _sample(reading: Reading, node: tree.Node, path: tree.Path) -> tuple[Labels, float]:
    keys = Keys(reading, node, path, ("labels", "value", "histogram"))
    if keys.text("histogram"):
        keys.note("histogram", "native histograms are not supported")
    return _noted(keys, "labels", metric_labels, EMPTY), _noted(keys, "value", _float, 0.0)


def _noted(keys: Keys, key: str, meaning: Callable[[str], _T], otherwise: _T) -> _T:
    """What the text of a key means; where it is wrong, that is noted."""
    try:
        return meaning(keys.text(key))
    except (ExpressionError, ValueError) as error:
        keys.note(key, str(error))
        return otherwise


def _float(text: str) -> float:
    """A number as YAML has it; nothing is 0."""
    word = _WORDS.get(text.lower())
    if word is not None:
        return float(word)
    plain = text.replace("_", "")
    if _FLOAT.fullmatch(plain):
        return float(plain)
    try:
        return float(int(plain, 0)) if plain else 0.0
    except ValueError:
        raise ValueError(f"must be a number, .inf or .nan, got {tree.quoted(text)}") from None


def _start_ms(keys: Keys) -> int:
    """`start_timestamp`: seconds since the epoch, or RFC 3339."""
    text = keys.text("start_timestamp")
    if not text:
        return 0
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - refused below, as it has no time zone
    if moment.tzinfo is None:
        told = f"must be seconds since 1970 or like 2026-01-02T03:04:05Z, got {tree.quoted(text)}"
        keys.note("start_timestamp", told)
        return 0
    return round(moment.astimezone(UTC).timestamp() * 1000)
