"""The pages on rules: YAML loads, Python runs, tables are complete, links lead somewhere."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from spanbudget.exporter.alerting.config import AlertingConfig
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.notify.config import AlertmanagerConfig, AppriseConfig, ReceiverConfig, WebhookConfig
from spanbudget.exporter.notify.signing import signed_headers, signing_key
from spanbudget.exporter.rule_files.loading import parse_rule_text
from spanbudget.exporter.rule_files.unit_tests import load_test_file
from spanbudget.exporter.rule_rendering.packs import pack_names
from spanbudget.processors import names_out
from spanbudget.rules.alerts import Alert
from spanbudget.rules.budget_gauges import GAUGES
from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.notification import Notification
from spanbudget.rules.notifications.policy import group_key
from spanbudget.rules.notifications.webhook_payload import webhook_payload
from spanbudget.rules.unit_tests import run_test

FOLDER = Path(__file__).parents[2] / "docs" / "rules"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}


def blocks(language: str) -> list[Any]:
    """The fenced blocks of all pages."""
    fenced = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [
        pytest.param(found[1], id=f"{name}-{number}")
        for name, text in PAGES.items()
        for number, found in enumerate(fenced.finditer(text), 1)
    ]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_example_loads(text: str, tmp_path: Path) -> None:
    keys = yaml.safe_load(text).keys()
    if keys & {"groups"}:
        assert parse_rule_text(text, "page")
    elif keys & {"tests"}:
        path = tmp_path / "tests.yaml"
        path.write_text(text, encoding="utf-8")
        assert load_test_file(path).tests
    else:
        assert parse_config(text, "page", stand_in(text)) != Config()


def stand_in(text: str) -> dict[str, str]:
    """An environment with everything that a text asks for."""
    named = re.findall(r"\$\{(\w+)", text)
    return {name: "https://example.com/x" if name.endswith("URL") else "s" * 32 for name in named}


def test_the_tests_of_the_page_are_those_of_its_rules(tmp_path: Path) -> None:
    rules, tests = (param.values[0] for param in blocks("yaml") if str(param.id).startswith("series.md"))
    path = tmp_path / "tests.yaml"
    path.write_text(tests, encoding="utf-8")
    for test in load_test_file(path).tests:
        assert run_test(test, parse_rule_text(rules, "search.yaml")) == []


@pytest.mark.parametrize("text", blocks("python"))
def test_every_program_runs(text: str) -> None:
    exec(compile(text, "page", "exec"), {"__name__": "page"})  # noqa: S102 - a program of ours


def test_the_program_that_checks_signatures_takes_ours_only() -> None:
    text = next(param.values[0] for param in blocks("python") if "def verified" in str(param.values[0]))
    page: dict[str, Any] = {}
    exec(compile(str(text), "page", "exec"), page)  # noqa: S102 - as above
    secrets = ["whsec_" + "QUJD" * 8, "a plain secret of 26 bytes"]
    keys = [signing_key(secret) for secret in secrets]
    now, body = int(time.time()), b'{"version":"4"}\n'
    headers = signed_headers("msg_1", now, body, keys)
    assert all(page["verified"](headers, body, secret) for secret in secrets)
    assert not page["verified"](headers, body + b" ", secrets[0])
    assert not page["verified"](headers, body, "another secret of 20 bytes")
    assert not page["verified"](signed_headers("msg_1", now, body, []), body, secrets[0])
    assert not page["verified"](signed_headers("msg_1", now - 600, body, keys), body, secrets[0])


def test_the_payload_of_the_page_is_what_a_webhook_holds() -> None:
    (told,) = (json.loads(str(param.values[0])) for param in blocks("json"))
    (shown,) = told["alerts"]
    labels, moment = labels_of(shown["labels"]), 1_795_479_103_480
    alert = Alert(labels, labels_of(shown["annotations"]), 0.804, "firing", moment, moment)
    group = labels_of(told["groupLabels"])
    notification = Notification("msg_1", "team", group_key(group), group, (alert,), moment)
    assert webhook_payload(notification, "team", told["externalURL"]) == told


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("## `rules` and `alerting`", AlertingConfig),
        ("## `receivers`", ReceiverConfig),
        ("### `webhook`", WebhookConfig),
        ("### `alertmanager`", AlertmanagerConfig),
        ("### `apprise`", AppriseConfig),
    ],
)
def test_every_key_of_a_receiver_is_in_the_table_and_no_other(section: str, model: type[BaseModel]) -> None:
    text = re.split(r"\n##+ ", PAGES["receivers.md"].partition(f"\n{section}\n")[2])[0]
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    named = {name.removeprefix("alerting.") for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert named - {"rules"} == set(model.model_fields)


def test_the_defaults_of_the_table_are_those_of_the_code() -> None:
    rows = [
        re.split(r"(?<!\\) \| ", line[2:-2])
        for line in PAGES["receivers.md"].splitlines()
        if line.startswith("| `")
    ]
    told = {re.findall(r"`([\w.]+)`", row[0])[0]: row[2].strip("`") for row in rows if len(row) == 4}
    receiver = parse_config("receivers: [{name: a, log: true, webhook: {url: https://example.com}}]", "x", {})
    (one,), alerting = receiver.receivers, receiver.alerting
    lengths = {"s": 1_000, "m": 60_000, "h": 3_600_000}
    for key in ("group_wait", "group_interval", "repeat_interval", "resolve_hold"):
        assert int(told[key][:-1]) * lengths[told[key][-1]] == getattr(one, key), key
    assert told["alerting.evaluation_interval"] == f"{alerting.evaluation_interval}s"
    assert told["alerting.external_url"] == alerting.external_url
    assert told["timeout_seconds"] == "10"
    assert one.webhook is not None
    assert (one.webhook.timeout_seconds, one.webhook.max_alerts) == (10, int(told["max_alerts"]))
    assert (one.send_resolved, one.webhook.allow_private, alerting.enabled) == (True, False, True)


def test_the_page_on_series_names_every_metric_that_rules_read() -> None:
    named = set(re.findall(r"`(llm_\w+)`", PAGES["series.md"]))
    counters = (names_out.COST_USD, names_out.REQUESTS, names_out.TOKENS, names_out.BUDGET_COST_USD)
    metrics = {names_out.prometheus_name(metric) for metric in (*counters, names_out.BUDGET_CALLS)}
    durations = (names_out.REQUEST_DURATION, names_out.BUDGET_REQUEST_DURATION)
    metrics |= {f"{names_out.prometheus_name(metric)}_bucket" for metric in durations}
    metrics |= set(map(names_out.prometheus_name, names_out.ANOMALY_METRICS))
    assert metrics | GAUGES <= named
    attributes = vars(names_out).values()
    labels = {names_out.prometheus_label(name) for name in attributes if isinstance(name, str)}
    assert named - metrics - GAUGES <= labels


def test_every_pack_is_named() -> None:
    table = PAGES["alerts.md"].partition("## Packs")[2]
    assert tuple(sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))) == pack_names()


def test_links_lead_to_pages_and_the_index_names_all() -> None:
    for name, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (FOLDER / target).is_file(), f"{name}: {target}"
    linked = set(re.findall(r"\]\(([\w.-]+\.md)\)", PAGES["README.md"]))
    assert linked == PAGES.keys() - {"README.md"}
