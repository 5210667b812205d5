import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from spanbudget.exporter.config_problems import problem_of
from spanbudget.exporter.config_yaml import read_tree
from spanbudget.exporter.notify.apprise_services import AppriseSender
from spanbudget.exporter.notify.callback import CallbackSender
from spanbudget.exporter.notify.config import ReceiverConfig, Receivers
from spanbudget.exporter.notify.event_log import LogSender
from spanbudget.exporter.notify.senders import senders_of
from spanbudget.exporter.notify.webhook import AlertmanagerSender, WebhookSender
from spanbudget.rules.notifications.policy import ReceiverPolicy
from spanbudget.rules.notifications.time_intervals import TimeInterval

HOOK = {"url": "https://hooks.example/s3cret"}


def receiver(**keys: Any) -> ReceiverConfig:
    return ReceiverConfig.model_validate({"name": "team", **keys})


def problems(**keys: Any) -> list[str]:
    """What is wrong, as `path: message`; nothing secret is in it."""
    with pytest.raises(ValidationError) as caught:
        receiver(**keys)
    assert "s3cret" not in str(caught.value)
    root, _ = read_tree(json.dumps({"name": "team", **keys}), {})
    for detail in caught.value.errors(include_url=False, include_input=False):
        assert "s3cret" not in problem_of(detail, root, lambda path: ()).text
    return [
        f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].removeprefix('Value error, ')}"
        for detail in caught.value.errors()
    ]


def test_defaults_are_those_of_alertmanager_but_for_the_waits() -> None:
    assert receiver(webhook=HOOK).to_policy() == ReceiverPolicy(
        "team", ("alertname",), 0, 0, 14_400_000, True, 300_000, ()
    )


def test_each_alert_has_an_event_of_its_own_in_a_log() -> None:
    assert receiver(log="true").to_policy().group_by == ("...",)
    assert receiver(log="true", webhook=HOOK).to_policy().group_by == ("alertname",)
    assert receiver(log="true", group_by=[]).to_policy().group_by == ()


def test_everything_can_be_said() -> None:
    config = receiver(
        webhook={**HOOK, "secrets": ["0123456789abcdef", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
                 "headers": {"Authorization": "Bearer s3cret"}, "timeout_seconds": "2.5",
                 "allow_private": "true", "ca_file": "/etc/ca.pem", "max_alerts": "5"},
        alertmanager={"url": "http://am:9093", "path_prefix": "/am", "username": "me", "password_file": "/p"},
        apprise={"urls": "json://a/s3cret"},
        callback="json:dumps",
        log="true",
        group_by=["alertname", "llm_budget_name"],
        group_wait="30s", group_interval="5m", repeat_interval="1d", resolve_hold="0", send_resolved="false",
        mute=[{"times": [{"start_time": "22:00", "end_time": "24:00"},
                         {"start_time": "00:00", "end_time": "06:30"}],
               "weekdays": ["monday:Friday", "sunday"], "days_of_month": ["1:5", "-3:-1"],
               "months": ["january:march", "12"], "years": "2026:2027", "location": "Europe/Berlin"}],
    )  # fmt: skip
    interval = TimeInterval(
        ((1320, 1440), (0, 390)), ((1, 5), (0, 0)), ((1, 5), (-3, -1)), ((1, 3), (12, 12)), ((2026, 2027),),
        "Europe/Berlin",
    )  # fmt: skip
    policy = config.to_policy()
    assert policy == ReceiverPolicy(
        "team", ("alertname", "llm_budget_name"), 30_000, 300_000, 86_400_000, False, 0, (interval,)
    )
    assert config.channels == ("team/webhook", "team/apprise", "team/callback", "team/log")
    assert config.push_channel == "team/alertmanager"
    senders = senders_of([config], external_url="http://here", interval_ms=300_000)
    assert {name: type(sender) for name, sender in senders.items()} == {
        "team/webhook": WebhookSender,
        "team/alertmanager": AlertmanagerSender,
        "team/apprise": AppriseSender,
        "team/callback": CallbackSender,
        "team/log": LogSender,
    }
    hook, push = senders["team/webhook"], senders["team/alertmanager"]
    assert isinstance(hook, WebhookSender)
    assert isinstance(push, AlertmanagerSender)
    assert hook.reach == (2.5, True, Path("/etc/ca.pem"))
    assert [secret.read()[:5] for secret in hook.secrets] == ["01234", "whsec"]
    assert (push.url.read(), push.interval_ms) == ("http://am:9093/am", 300_000)
    assert "s3cret" not in repr(config) + repr(senders)


def test_files_are_read_when_they_are_needed() -> None:
    config = receiver(
        webhook={"url_file": "/run/url", "secret_file": "/run/secret"}, apprise={"urls_file": "/run/urls"}
    )
    hook = senders_of([config])["team/webhook"]
    assert isinstance(hook, WebhookSender)
    assert (hook.url.file, [secret.file for secret in hook.secrets]) == (
        Path("/run/url"),
        [Path("/run/secret")],
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ": needs at least one of webhook, alertmanager, apprise, callback and log"),
        ({"log": "false"}, ": needs at least one of webhook, alertmanager, apprise, callback and log"),
        ({"log": "true", "name": "a/b"}, "name: must be a name of letters"),
        ({"log": "true", "nam": "x"}, "nam: Extra inputs are not permitted"),
        ({"webhook": {}}, "webhook: needs exactly one of url and url_file"),
        ({"webhook": {**HOOK, "url_file": "/x"}}, "webhook: needs exactly one of url and url_file"),
        ({"webhook": {"url": "hooks.example/s3cret"}}, "webhook: url must start with http:// or https://"),
        ({"webhook": {"url": "https://u:s3cret@h/"}}, "webhook: url must not hold a user name or password"),
        ({"webhook": {**HOOK, "secret": "s3cret"}}, "webhook: secret: must have at least 16 bytes"),
        ({"webhook": {**HOOK, "secret": "whsec_s3cret!"}},
         "webhook: secret: what follows whsec_ must be Base64"),
        ({"webhook": {**HOOK, "secret": "s3cret" * 9, "secret_file": "/x"}},
         "webhook: must have at most one of"),
        ({"webhook": {**HOOK, "headers": {"Host": "s3cret"}}}, "webhook: the header Host is set by itself"),
        ({"webhook": {**HOOK, "headers": "X-A: s3cret"}}, "webhook: headers must be a mapping"),
        ({"webhook": {**HOOK, "secrets": "s3cret"}}, "webhook: secret: must have at least 16 bytes"),
        ({"webhook": {**HOOK, "headers": {"webhook-id": "x"}}}, "webhook: the header webhook-id is set by"),
        ({"webhook": {**HOOK, "headers": {"a b": "x"}}}, "webhook: headers must have names"),
        ({"webhook": {**HOOK, "headers": {"X-A": "s3cret\nX"}}}, "webhook: the header X-A must be one line"),
        ({"webhook": {**HOOK, "timeout_seconds": "0"}}, "webhook.timeout_seconds: Input should be greater"),
        ({"webhook": {**HOOK, "timeout_seconds": "61"}}, "webhook.timeout_seconds: Input should be less"),
        ({"webhook": {**HOOK, "timeout_seconds": "nan"}}, "webhook.timeout_seconds: Input should be"),
        ({"alertmanager": {}}, "alertmanager.url: Field required"),
        ({"alertmanager": {"url": "http://am/?s3cret"}}, "alertmanager: url must not have a query"),
        ({"alertmanager": {"url": "http://am", "path_prefix": "am"}},
         "alertmanager: path_prefix must be a path"),
        ({"alertmanager": {"url": "http://am", "username": "me"}},
         "alertmanager: needs exactly one of password"),
        ({"alertmanager": {"url": "http://am", "password": "s3cret"}},
         "alertmanager: a password needs a username"),
        ({"alertmanager": {"url": "http://am", "username": "me", "password": "x", "bearer_token": "s3cret"}},
         "alertmanager: must have at most one of bearer_token"),
        ({"apprise": {}}, "apprise: needs exactly one of urls and urls_file"),
        ({"apprise": {"urls": ["s3cret"]}}, "apprise: urls must be URLs of apprise"),
        ({"callback": "nothing"}, "callback: must be package.module:function"),
        ({"log": "true", "group_by": ["a b"]}, "group_by.0: must be a label's name"),
        ({"log": "true", "repeat_interval": "10s"},
         "repeat_interval: Input should be greater than or equal to 60000"),
        ({"log": "true", "repeat_interval": "often"}, "repeat_interval: must be a duration"),
        ({"log": "true", "resolve_hold": "2d"}, "resolve_hold: Input should be less"),
        ({"log": "true", "mute": [{}]}, "mute.0: needs at least one of times"),
        ({"log": "true", "mute": [{"location": "Mars/Base"}]}, "mute.0.location: must be an IANA time zone"),
        ({"log": "true", "mute": [{"times": [{"start_time": "9:00", "end_time": "10:00"}]}]},
         "mute.0.times.0.start_time: must be a time such as 09:30 or 24:00"),
        ({"log": "true", "mute": [{"times": [{"start_time": "22:00", "end_time": "06:00"}]}]},
         "mute.0.times.0: start_time must be before end_time"),
        ({"log": "true", "mute": [{"weekdays": ["friday:monday"]}]}, "mute.0.weekdays.0: must be weekdays"),
        ({"log": "true", "mute": [{"weekdays": ["1"]}]}, "mute.0.weekdays.0: must be weekdays"),
        ({"log": "true", "mute": [{"months": ["13"]}]}, "mute.0.months.0: must be months"),
        ({"log": "true", "mute": [{"years": ["x"]}]}, "mute.0.years.0: must be years"),
        ({"log": "true", "mute": [{"days_of_month": ["0"]}]}, "mute.0.days_of_month.0: must be days"),
        ({"log": "true", "mute": [{"days_of_month": ["32"]}]}, "mute.0.days_of_month.0: must be days"),
        ({"log": "true", "mute": [{"days_of_month": ["5:1"]}]}, "mute.0.days_of_month.0: must be days"),
        ({"log": "true", "mute": [{"days_of_month": ["-1:5"]}]}, "mute.0.days_of_month.0: must be days"),
        ({"log": "true", "mute": [{"days_of_month": ["1:2:3"]}]}, "mute.0.days_of_month.0: must be days"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(keys: Mapping[str, Any], expected: str) -> None:
    (found, *_) = problems(**keys)
    assert found.startswith(expected)


def test_receivers_have_different_names() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Receivers)
    twice = [{"name": "a", "log": "true"}, {"name": "a", "log": "true"}]
    with pytest.raises(ValidationError, match="must have different names; a is there twice"):
        adapter.validate_python(twice)
