"""A real Alertmanager takes what we push, and what it tells a webhook is what we tell one, byte for byte."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from alertmanager_server import AlertmanagerServer, binary
from local_servers import Heard, Request, http_server
from pydantic import SecretStr

from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.exchange import Reach
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.webhook import AlertmanagerSender, WebhookSender
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.alertmanager_push import push_notification
from spanbudget.rules.notifications.fingerprints import fingerprint
from spanbudget.rules.notifications.planning import plan
from spanbudget.rules.notifications.policy import ReceiverPolicy

pytestmark = pytest.mark.server

HERE = "http://alerts.example/x"
"""Where both say that people find out more, so that nothing has to be replaced."""
RECEIVER = "team.a+b"
GROUP_BY = ("alertname", "llm_budget_name")
CONFIGURATION = """
route: {receiver: team.a+b, group_by: [alertname, llm_budget_name], group_wait: 3s, group_interval: 1s}
receivers:
- name: team.a+b
  webhook_configs: [{url: "http://127.0.0.1:%d/hook", send_resolved: true}]
"""


@pytest.fixture
def hook() -> Iterator[Heard]:
    with http_server() as heard:
        yield heard


@pytest.fixture
def server(hook: Heard, tmp_path) -> Iterator[AlertmanagerServer]:
    program = binary()
    if program is None:
        missing = "there is no Alertmanager here; install Debian's package `prometheus-alertmanager`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    running = AlertmanagerServer(program, tmp_path, CONFIGURATION % hook.port, HERE)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def now_ms() -> int:
    return int(time.time() * 1000)


def alert(since: int, name: str = "LLMBudget80", **labels: str) -> Alert:
    return Alert(
        labels_of(
            {"alertname": name, "severity": "warning", "llm_budget_name": 'a "prod" \\ budget', **labels}
        ),
        labels_of(
            {
                "summary": f"{name}: <80 %> & more\n\té\u2028",
                "runbook": "http://example.com/?a=b&c=d",
                **labels,
            }
        ),
        0.81,
        "firing",
        since,
        since,
    )


def ended(alert: Alert, at: int) -> Alert:
    return replace(alert, state="inactive", resolved_at_ms=at)


def pusher_to(server: AlertmanagerServer) -> AlertmanagerSender:
    return AlertmanagerSender(
        Secret(SecretStr(server.url)), Reach(timeout_seconds=30, allow_private=True), external_url=HERE
    )


def push(server: AlertmanagerServer, *alerts: Alert) -> None:
    pusher_to(server).send(push_notification(RECEIVER, alerts, now_ms()))


def told(hook: Heard, group: str, status: str) -> Request:
    """What the webhook heard last of a group, as soon as it has this status."""

    def latest() -> Request | None:
        of_group = [
            request
            for request in hook.requests
            if json.loads(request.body)["groupLabels"]["alertname"] == group
        ]
        return of_group[-1] if of_group and json.loads(of_group[-1].body)["status"] == status else None

    with hook.arrived:
        found = hook.arrived.wait_for(latest, 60)
    assert found is not None, f"{len(hook.requests)} requests, none of {group} {status}"
    return found


def ours(*alerts: Alert, known: tuple[Alert, ...] = ()) -> dict[str, bytes]:
    """The bodies that we send, by alert name."""
    policy = ReceiverPolicy(RECEIVER, GROUP_BY, resolve_hold_ms=0)
    before = plan(policy, known, {}, now_ms() - 1).log if known else {}
    bodies = {}
    with http_server() as heard:
        url = Secret(SecretStr(heard.url))
        sender = WebhookSender(url, Reach(timeout_seconds=30, allow_private=True), external_url=HERE)
        for notification in plan(policy, alerts, before, now_ms()).notifications:
            sender.send(notification)
        for request in heard.requests:
            bodies[json.loads(request.body)["groupLabels"]["alertname"]] = request.body
    return bodies


def test_what_alertmanager_tells_a_webhook_is_what_we_tell_it(
    server: AlertmanagerServer, hook: Heard
) -> None:
    """Two groups, one with two alerts; then the ends of all of them."""
    start = now_ms()
    alerts = (
        alert(start, job="b", note="second by its job"),
        alert(start - start % 1000, job="a", note="first"),  # a time without a fraction
        alert(start - start % 100, "LLMCostAnomaly"),  # one digit of it
    )
    push(server, *alerts)
    both, single = told(hook, "LLMBudget80", "firing"), told(hook, "LLMCostAnomaly", "firing")
    expected = ours(*alerts)
    assert both.body == expected["LLMBudget80"]
    assert single.body == expected["LLMCostAnomaly"]
    assert both.headers["content-type"] == "application/json"

    push(server, *alerts)  # again, as every minute: nothing that a receiver hears of
    over = tuple(ended(one, now_ms()) for one in alerts)
    push(server, *over)
    both, single = told(hook, "LLMBudget80", "resolved"), told(hook, "LLMCostAnomaly", "resolved")
    expected = ours(*over, known=alerts)
    assert both.body == expected["LLMBudget80"]
    assert single.body == expected["LLMCostAnomaly"]
    assert len(hook.requests) == 4


def test_one_end_in_a_group_is_told_as_alertmanager_does(server: AlertmanagerServer, hook: Heard) -> None:
    start = now_ms()
    stays, goes = alert(start, child="stays"), alert(start, child="goes")
    push(server, stays, goes)
    told(hook, "LLMBudget80", "firing")
    over = ended(goes, now_ms())
    push(server, stays, over)
    heard = hook.wait_for(2)
    assert heard[1].body == ours(stays, over, known=(stays, goes))["LLMBudget80"]


def test_fingerprints_are_those_of_alertmanager(server: AlertmanagerServer) -> None:
    start = now_ms()
    alerts = [alert(start, child=text) for text in ("plain", "é€𝄞", '"<&>"', "a\nb", " ", "ÿ\u00ff")]
    push(server, *alerts)
    shown = {labels_of(found["labels"]): found["fingerprint"] for found in server.alerts()}
    assert shown == {one.labels: fingerprint(one.labels) for one in alerts}


def test_a_firing_alert_is_valid_for_four_minutes(server: AlertmanagerServer) -> None:
    at = now_ms()
    pusher_to(server).send(push_notification(RECEIVER, [alert(at - 5_000)], at))
    (found,) = server.alerts()
    until = time.gmtime(at // 1000 + 240)
    assert found["endsAt"] == time.strftime("%Y-%m-%dT%H:%M:%S", until) + f".{at % 1000:03d}Z"
    assert found["generatorURL"] == HERE


def test_what_alertmanager_refuses_is_said(server: AlertmanagerServer) -> None:
    wrong = replace(alert(now_ms()), labels=(("", "no name"),))
    with pytest.raises(DeliveryError, match=r"answered 400 Bad Request: .*invalid label set") as caught:
        push(server, wrong)
    assert not caught.value.retry
