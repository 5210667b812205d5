"""A wrong configuration of alerts is told at the start, in one error, and leaves nothing behind."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alerted_programs import written
from opentelemetry.sdk.trace import TracerProvider

import spanbudget
from spanbudget import BudgetManager, ConfigurationError
from spanbudget.exporter import instrument as home

LOG = "{name: team, log: true}"
GROUP = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: llm_cost_usd_total > 1\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "too large": ("#" * 79 + "\n") * 104_858,
    "a bomb": BOMB,
    "an unknown key": GROUP + "    colour: red\n",
    "a bad expression": GROUP.replace("> 1", "> > 1"),
    "a bad template": GROUP + "    annotations: {summary: '{{ $labels.x'}\n",
}
TOLD = {
    "too large": ":1:1: larger than 1 MiB",
    "a bomb": ":5:28: more than 50000 values",
    "an unknown key": ":6:5: groups[0].rules[0].colour",
    "a bad expression": ":5:",
    "a bad template": ":6:",
}
RECEIVERS = {
    "a module that is not there": (
        "callback: 'no_such_module:tell'",
        "callback no_such_module:tell: cannot be",
    ),
    "a function that is not there": ("callback: 'os.path:tell'", "callback os.path:tell: cannot be imported"),
    "apprise that is not installed": ("apprise: {urls: 'json://localhost'}", "spanbudget[notify]"),
}


def opened_below(folder: Path) -> list[str]:
    """The files of a folder that this process has open, where the system tells that."""
    found = []
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the descriptor of this listing is closed by now
            found.append(str(link.readlink()))
    return [path for path in found if path.startswith(str(folder))]


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(tmp_path):
    before, pipelines = threading.enumerate(), home._process.pipelines()
    yield
    assert threading.enumerate() == before
    assert home.current_pipeline() is None
    assert home._process.pipelines() == pipelines
    assert not home._process.engines
    assert opened_below(tmp_path) == []


def refused(config: Path) -> list[str]:
    """The problems that both ways to start tell of."""
    provider = TracerProvider(shutdown_on_exit=False)
    sampler = provider.sampler
    with pytest.raises(ConfigurationError) as raised:
        spanbudget.instrument(config, tracer_provider=provider)
    assert provider.sampler is sampler
    assert provider._active_span_processor._span_processors == ()
    with pytest.raises(ConfigurationError) as again, BudgetManager(config=config) as manager:
        manager.reserve("all", cost="0.1")
    assert again.value.problems == raised.value.problems
    return list(raised.value.problems)


@pytest.mark.parametrize("what", FILES)
def test_a_rule_file_that_is_wrong_is_told_with_its_place(tmp_path, what):
    rules = tmp_path / "rules.yaml"
    rules.write_text(FILES[what])
    problems = refused(written(tmp_path, LOG, more="rules: [rules.yaml]\n"))
    assert problems[0].startswith(str(rules) + TOLD[what]), problems
    assert len("\n".join(problems)) < 10_000


@pytest.mark.parametrize("what", RECEIVERS)
def test_a_receiver_that_cannot_be_made_is_told_by_name(tmp_path, what, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    given, told = RECEIVERS[what]
    problems = refused(written(tmp_path, f"{{name: team, {given}}}"))
    assert len(problems) == 1
    assert problems[0].startswith("receiver team: ")
    assert told in problems[0]


def test_every_wrong_file_and_receiver_is_told_at_once(tmp_path):
    (tmp_path / "one.yaml").write_text(FILES["a bad expression"])
    (tmp_path / "two.yaml").write_text(FILES["an unknown key"])
    receivers = [f"{{name: {name}, callback: 'no_such_module:tell'}}" for name in ("first", "second")]
    config = written(tmp_path, *receivers, more="rules: [one.yaml, two.yaml, none.yaml, 'pack:none']\n")
    problems = "\n".join(refused(config))
    for part in ("one.yaml:5:", "two.yaml:6:5", "none.yaml", "pack", "receiver first", "receiver second"):
        assert part in problems


def test_a_wrong_rule_file_leaves_no_metrics_endpoint_open(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(FILES["an unknown key"])
    config = written(tmp_path, LOG, more="rules: [rules.yaml]\n")
    config.write_text(config.read_text().replace("{exporter: none}", "{exporter: prometheus, port: 0}"))
    refused(config)


@pytest.mark.server
def test_a_program_that_knows_nothing_of_it_runs_without_budgets_and_is_told_why(tmp_path):
    """As with every other wrong configuration; see `SpanBudgetInstrumentor`."""
    (tmp_path / "rules.yaml").write_text(FILES["an unknown key"])
    config = written(tmp_path, LOG, more="rules: [rules.yaml]\n")
    exporters = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c", "print('ran')"],
        env={**os.environ, **exporters, "SPANBUDGET_CONFIG": str(config)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "ran\n"
    assert done.stderr.count(f"{tmp_path}/rules.yaml:6:5") == 1
    assert "SpanBudget is off, the program runs without budgets" in done.stderr
