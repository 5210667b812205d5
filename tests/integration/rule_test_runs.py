"""Runs of rule tests, here and in promtool, and the tests that are run: all of what rules do is asked for."""

import ast
import copy
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from spanbudget.exporter.cli.rules_test import run_file

EVERYTHING: Final = '{__name__=~".+"}'
_ITEM: Final = re.compile(r"^(?=    (?:name: .*,\n    )?alertname: |    expr: |    rule: )", re.MULTILINE)
# What follows is worded by each program for itself.
_WORDING: Final = re.compile(r"err: .*", re.DOTALL)
_ALERTS: Final = re.compile(
    r"alertname: (?P<name>\w+), time: (?P<time>\w+), \n.*?\n        got:(?P<got>.*)", re.DOTALL
)
_ALERT: Final = re.compile(r"Labels:(?P<labels>\{.*\})\n *Annotations:(?P<annotations>\{.*\})")
_LABEL: Final = re.compile(r'(?P<name>\w+|"(?:[^"\\]|\\.)*")=(?P<value>"(?:[^"\\]|\\.)*")')
_SAMPLES: Final = re.compile(r"expr: .*, time: (?P<time>\w+),\n        exp: .*\n        got: (?P<got>.*)")
_SAMPLE: Final = re.compile(r"(?P<labels>\{.*?\}) (?P<value>[-+.\w]+)(?:, |$)")

TestCase: TypeAlias = dict[str, Any]


class Run(NamedTuple):
    """What came of a file of tests.

    Attributes:
        passed: Whether all tests passed.
        failures: What did not, with all that was expected and all that there was; without wording.
        told: All of it, for readers.
    """

    passed: bool
    failures: list[str]
    told: str


def run_here(path: Path) -> Run:
    """Runs our tests of rules."""
    result = run_file(path, re.compile(""))
    told = "\n".join(result.failures)
    return Run(result.exit_code == 0, _items(told), told)


def run_promtool(folder: Path, path: Path) -> Run:
    """Runs promtool's."""
    command = [folder / "promtool", "test", "rules", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Run(done.returncode == 0, _items(done.stderr), done.stderr)


def _items(text: str) -> list[str]:
    found = [_WORDING.sub("err", item).rstrip() for item in _ITEM.split(text)[1:]]
    return sorted(found)


def asking_for_all(test: TestCase, alert_names: Iterable[str], times_seconds: Iterable[int]) -> TestCase:
    """A test that asks for all alerts and all series at some times, and expects none.

    What there is then stands in the failures.
    """
    names, times = sorted(set(alert_names)), [f"{seconds}s" for seconds in times_seconds]
    return {
        **test,
        "alert_rule_test": [{"eval_time": at, "alertname": name} for at in times for name in names],
        "promql_expr_test": [{"expr": EVERYTHING, "eval_time": at} for at in times],
    }


def expecting(test: TestCase, failures: Iterable[str]) -> TestCase:
    """A test that expects what there was, by the failures of one that expected nothing."""
    alerts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    samples: dict[str, list[dict[str, Any]]] = {}
    for item in failures:
        if found := _ALERTS.search(item):
            alerts[found["time"], found["name"]] = _alerts(found["got"])
        elif found := _SAMPLES.search(item):
            samples[found["time"]] = _samples(found["got"])
    complete = copy.deepcopy(test)
    for asked in complete["alert_rule_test"]:
        asked["exp_alerts"] = alerts.get((_shown(asked["eval_time"]), asked["alertname"]), [])
    for asked in complete["promql_expr_test"]:
        asked["exp_samples"] = samples.get(_shown(asked["eval_time"]), [])
    return complete


def _alerts(got: str) -> list[dict[str, Any]]:
    return [
        {"exp_labels": _pairs(alert["labels"]), "exp_annotations": _pairs(alert["annotations"])}
        for alert in _ALERT.finditer(got)
    ]


def _pairs(labels: str) -> dict[str, str]:
    """Labels, those with empty values too; Go's quoted texts read as Python's do."""
    return {found["name"].strip('"'): ast.literal_eval(found["value"]) for found in _LABEL.finditer(labels)}


def _samples(got: str) -> list[dict[str, Any]]:
    return [{"labels": sample["labels"], "value": float(sample["value"])} for sample in _SAMPLE.finditer(got)]


def _shown(time: str) -> str:
    """`90s` as failures have it: `1m30s`."""
    seconds = int(time.removesuffix("s"))
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def without_numbers_that_are_none(failures: Iterable[str]) -> list[str]:
    """The failures of tests in which no value is NaN, which equals nothing, not even what is expected."""
    return [failure for failure in failures if "NaN" not in failure]
