"""The page on anomalies: its example loads and names every key; its metrics, signals and commands exist."""

import re
from pathlib import Path
from typing import get_args

from slot_ledger import read

from spanbudget.exporter.anomalies.config import AnomaliesConfig, Signal
from spanbudget.exporter.cli.anomalies import anomalies
from spanbudget.processors import names_out

PAGE = (Path(__file__).parents[3] / "docs" / "anomalies.md").read_text(encoding="utf-8")


def test_the_example_loads_and_says_the_defaults():
    text = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]
    config = read(text)
    assert config.anomalies == AnomaliesConfig(enabled=True, exclude=("sandbox",))
    section = text.partition("anomalies:")[2].partition("budgets:")[0]
    assert set(re.findall(r"^  (\w+):", section, re.MULTILINE)) == set(AnomaliesConfig.model_fields)
    assert config.watches


def test_every_signal_metric_and_command_is_named():
    rows = " ".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(get_args(Signal)) <= set(re.findall(r"`(\w+)`", rows))
    shown = {metric.name for metric in names_out.ANOMALY_METRICS}
    own = {
        metric.name for metric in names_out.SELF_METRICS if metric.name.startswith("spanbudget.anomalies.")
    }
    named = set(re.findall(r"`((?:llm\.anomaly|spanbudget\.anomalies)\.[\w.]+)`", PAGE))
    assert named == shown | own
    assert set(re.findall(r"^spanbudget anomalies (\w+)", PAGE, re.MULTILINE)) == set(anomalies.commands)
