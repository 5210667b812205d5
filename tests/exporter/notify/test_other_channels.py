import logging
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from local_servers import AT, alert, http_server, notification
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from pydantic import SecretStr

from spanbudget.exporter.notify import apprise_services
from spanbudget.exporter.notify.apprise_services import AppriseSender
from spanbudget.exporter.notify.callback import CallbackSender, imported_callback
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.event_log import LogSender
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.short_text import short_text
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.notifications.fingerprints import fingerprint


def urls(*texts: str) -> list[Secret]:
    return [Secret(SecretStr(text)) for text in texts]


def test_a_text_arrives_through_apprise() -> None:
    with http_server() as heard:
        AppriseSender(urls(f"json://127.0.0.1:{heard.port}/s3cret")).send(notification())
    (request,) = heard.requests
    assert b"[FIRING:1] LLMBudget80" in request.body
    assert b"LLMBudget80 of prod" in request.body


def test_a_service_that_took_it_does_not_get_it_again(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    with http_server() as good, http_server(answers=[500]) as bad:
        services = urls(f"json://127.0.0.1:{bad.port}/s3cret", f"json://127.0.0.1:{good.port}/s3cret")
        sender = AppriseSender(services)
        with pytest.raises(DeliveryError) as caught:
            sender.send(notification())
        sender.send(notification())
        sender.send(notification(id_="msg_2"))
    assert str(caught.value) == "apprise: service 1 of 2 did not take it"
    assert caught.value.retry
    assert (len(bad.requests), len(good.requests)) == (3, 2)
    assert "s3cret" not in caplog.text
    logging.getLogger("apprise").warning("said by someone else")
    assert "said by someone else" in caplog.text


@pytest.mark.parametrize("url", ["nosuch://s3cret", "slack://s3cret", "s3cret"])
def test_a_url_that_apprise_does_not_know_is_not_shown(url: str, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeliveryError, match="service 1 of 1 has a URL that apprise does not know") as caught:
        AppriseSender(urls(url)).send(notification())
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_urls_of_a_file_are_one_a_line(tmp_path: Path) -> None:
    with http_server() as heard:
        file = tmp_path / "urls"
        file.write_text(f"json://127.0.0.1:{heard.port}/a\njson://127.0.0.1:{heard.port}/b\n")
        AppriseSender([Secret(file=file)]).send(notification())
    assert [request.path for request in heard.requests] == ["/a", "/b"]


def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(apprise_services, "REMEMBERED_MAX", 3)
    sender = AppriseSender(urls("nosuch://s3cret"))
    for number in range(5):
        with pytest.raises(DeliveryError):
            sender.send(notification(id_=f"msg_{number}"))
    assert list(sender._taken) == ["msg_2", "msg_3", "msg_4"]


def test_without_apprise_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'spanbudget\[notify\]'"):
        AppriseSender(urls("json://a"))


@pytest.fixture
def module(monkeypatch) -> Any:
    made = ModuleType("made_callbacks")
    monkeypatch.setitem(sys.modules, "made_callbacks", made)
    return made


def test_a_callback_gets_what_a_webhook_holds(module: Any) -> None:
    got: list[dict[str, Any]] = []
    module.tell = got.append
    CallbackSender("made_callbacks:tell", imported_callback("made_callbacks:tell")).send(notification())
    (payload,) = got
    assert payload["id"] == "msg_1"
    assert payload["status"] == "firing"
    assert payload["alerts"][0]["labels"]["llm_budget_name"] == "prod"


def test_what_a_callback_raises_is_tried_again_and_not_shown(module: Any) -> None:
    def tell(payload) -> None:
        raise RuntimeError("s3cret")

    module.tell = tell
    with pytest.raises(DeliveryError) as caught:
        CallbackSender("made_callbacks:tell", imported_callback("made_callbacks:tell")).send(notification())
    assert str(caught.value) == "callback made_callbacks:tell: raised RuntimeError"
    assert caught.value.retry


async def tell_later(payload) -> None: ...


@pytest.mark.parametrize(
    "name", ["no_such_module:f", "made_callbacks:none", "made_callbacks:word", "made_callbacks:later"]
)
def test_a_callback_that_cannot_be_called_is_refused_at_the_start(name: str, module: Any) -> None:
    module.word, module.later = "word", tell_later
    with pytest.raises(ConfigurationError, match=f"callback {name}: "):
        imported_callback(name)


def test_each_alert_is_a_log_event(caplog) -> None:
    caplog.set_level(logging.INFO)
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    alerts = (
        alert(),
        alert("Gone", ended=True),
        alert("Odd", severity="purple"),
        alert("Page", severity="page"),
    )
    LogSender(provider.get_logger("test")).send(notification(*alerts))
    records = [data.log_record for data in exporter.get_finished_logs()]
    provider.shutdown()
    first = records[0]
    assert (first.event_name, first.severity_number, first.severity_text, first.body, first.timestamp) == (
        "spanbudget.alert",
        SeverityNumber.WARN,
        "warning",
        "LLMBudget80 of prod",
        AT * 1_000_000,
    )
    assert dict(first.attributes or {}) == {
        "spanbudget.alert.name": "LLMBudget80",
        "spanbudget.alert.state": "firing",
        "spanbudget.alert.value": 0.81,
        "spanbudget.alert.fingerprint": fingerprint(alerts[0].labels),
        "spanbudget.notification.id": "msg_1",
        "spanbudget.alert.label.severity": "warning",
        "spanbudget.alert.label.llm_budget_name": "prod",
    }
    assert [record.severity_number for record in records[1:]] == [
        SeverityNumber.INFO,
        SeverityNumber.WARN,
        SeverityNumber.ERROR2,
    ]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "alert LLMBudget80 of prod"),
        ("INFO", "alert resolved: Gone of prod"),
        ("WARNING", "alert Odd of prod"),
        ("WARNING", "alert Page of prod"),
    ]


def test_without_logs_of_opentelemetry_there_is_still_a_line(caplog) -> None:
    LogSender().send(notification())
    assert "alert LLMBudget80 of prod" in caplog.text


def test_a_short_text_is_bounded() -> None:
    alerts = [alert(f"Name{number}") for number in range(30)]
    text = short_text(notification(*alerts))
    assert text.title == "[FIRING:30] Name0, Name1, Name2, …"
    assert text.body.splitlines()[-1] == "… and 10 more"
    assert len(text.body.splitlines()) == 21


def test_a_short_text_without_a_summary_shows_the_labels() -> None:
    bare = replace(alert(ended=True), annotations=(("summary", ""), ("description", "")))
    text = short_text(notification(bare))
    assert text == ("[RESOLVED] LLMBudget80", "resolved: LLMBudget80 llm_budget_name=prod severity=warning")
    long = replace(alert(), annotations=(("summary", "a\n" + "b" * 1_000),))
    assert short_text(notification(long)).body == "a " + "b" * 497 + "…"
