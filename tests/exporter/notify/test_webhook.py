import base64
import hmac
import json
import logging
import socket
import ssl
import subprocess
import threading
import traceback
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from local_servers import AT, Heard, alert, http_server, notification, raw_server
from pydantic import SecretStr

from spanbudget.exporter.notify import exchange
from spanbudget.exporter.notify.addresses import Target
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.exchange import ANSWER_BYTES_MAX, Answer, Reach, retry_after_seconds
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.webhook import AlertmanagerSender, Credentials, WebhookSender
from spanbudget.rules.notifications.alertmanager_push import push_notification
from spanbudget.rules.notifications.webhook_payload import webhook_body, webhook_payload

LOCAL = Reach(timeout_seconds=20, allow_private=True)
HASTY = Reach(timeout_seconds=0.3, allow_private=True)


def secret(text: str) -> Secret:
    return Secret(SecretStr(text))


def sender_to(heard: Heard, **options) -> WebhookSender:
    return WebhookSender(url=secret(heard.url), **{"reach": LOCAL, **options})


def refused(sender: WebhookSender | AlertmanagerSender, *alerts) -> DeliveryError:
    """The error of a delivery; it shows nothing that is secret, nor does its traceback."""
    with pytest.raises(DeliveryError) as caught:
        sender.send(notification(*alerts))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_notification_arrives() -> None:
    with http_server() as heard:
        sender_to(heard, headers={"X-Team": secret("blue")}, external_url="http://here").send(notification())
    (request,) = heard.requests
    assert request.path == "/hook?token=s3cret"
    assert request.body == webhook_body(webhook_payload(notification(), "team", "http://here"))
    assert request.headers["host"] == f"127.0.0.1:{heard.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-team"] == "blue"
    assert request.headers["webhook-id"] == "msg_1"
    assert "webhook-signature" not in request.headers


def test_a_retry_has_the_same_id_and_its_own_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("the old secret is this\n")
    with http_server(answers=[503]) as heard:
        sender = sender_to(heard, secrets=[Secret(file=file)], clock=lambda: 1_000.9)
        assert refused(sender).retry
        file.write_text("the new secret is this1\nthe_old_secret_is_this\n")
        replace(sender, clock=lambda: 1_060.0).send(notification())
    first, second = heard.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_1"
    assert (first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]) == ("1000", "1060")


def test_the_signature_of_what_arrives_is_right_for_the_old_and_the_new_secret(tmp_path: Path) -> None:
    keys = [b"k" * 24, b"a-plain-secret-of-mine"]
    file = tmp_path / "secret"
    file.write_text(f"whsec_{base64.b64encode(keys[0]).decode()}\n{keys[1].decode()}\n")
    with http_server() as heard:
        sender_to(heard, secrets=[Secret(file=file)]).send(notification())
    (request,) = heard.requests
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    assert headers["webhook-signature"] == " ".join(f"v1,{signature}" for signature in expected)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_success_is_one(status: int) -> None:
    with http_server(status=status) as heard:
        sender_to(heard).send(notification())


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, False), (401, False), (404, False), (408, True), (410, False), (422, False), (425, True),
     (429, True), (500, True), (502, True), (503, True), (599, True)],
)  # fmt: skip
def test_a_refusal_says_whether_to_try_again(status: int, *, retry: bool) -> None:
    with http_server(status=status, body=b"s3cret") as heard:
        error = refused(sender_to(heard))
    assert str(error).startswith(f"http://127.0.0.1:{heard.port}: answered {status}")
    assert error.retry is retry


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with http_server() as other, http_server(status=status, headers={"Location": other.url}) as heard:
        error = refused(sender_to(heard))
    assert "redirects are not followed" in str(error)
    assert not error.retry
    assert other.requests == []


def test_the_receiver_may_say_when_to_try_again() -> None:
    with http_server(status=429, headers={"Retry-After": "17"}) as heard:
        assert refused(sender_to(heard)).retry_after_seconds == 17


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("3600", 3600), ("999999999999", 3600), ("", None), ("-1", None), ("soon", None),
     ("1e9", None), ("²", None), (formatdate(0, usegmt=True), 0), (formatdate(4e9, usegmt=True), 3600),
     ("9" * 500, 3600)],
)  # fmt: skip
def test_what_a_receiver_asks_for_is_bounded(text: str, seconds: float | None) -> None:
    assert retry_after_seconds(Answer(429, text, b"")) == seconds


def test_a_receiver_that_is_down_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refused(WebhookSender(secret(f"http://127.0.0.1:{port}/s3cret"), LOCAL))
    assert str(error) == f"http://127.0.0.1:{port}: Connection refused"
    assert error.retry


def _nothing(connection: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def _drop_by_drop(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"X-A: b\r\n"[:1])


@pytest.mark.parametrize("speak", [_nothing, _drop_by_drop])
def test_a_receiver_that_is_slow_is_given_up_in_time(speak) -> None:
    with raw_server(speak) as heard:
        error = refused(sender_to(heard, reach=HASTY))
    assert "no complete answer within 0.3 seconds" in str(error)
    assert error.retry


def _body_without_end(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"x")


def _huge_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65_536)


@pytest.mark.parametrize("speak", [_body_without_end, _huge_body])
def test_a_success_is_one_whatever_its_body(speak) -> None:
    with raw_server(speak) as heard:
        sender_to(heard, reach=HASTY).send(notification())


def test_only_the_beginning_of_an_answer_is_read() -> None:
    with http_server(body=b"x" * (3 * ANSWER_BYTES_MAX)) as heard:
        target = Target("http", "127.0.0.1", heard.port, "/")
        assert len(exchange.post(target, b"", {}, LOCAL).body) == ANSWER_BYTES_MAX


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\0\1\2s3cret\r\n\r\n", b"SSH-2.0-s3cret\r\n", b"HTTP/1.1 s3cret OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"s3cret" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-S: s3cret\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 99999 s3cret\r\n\r\n",
    ],
)  # fmt: skip
def test_garbage_is_no_answer(said: bytes) -> None:
    with raw_server(lambda connection, over: connection.sendall(said)) as heard:
        error = refused(sender_to(heard))
    assert error.retry
    assert str(error).startswith(f"http://127.0.0.1:{heard.port}: ")


def test_private_addresses_are_refused_unless_allowed() -> None:
    with http_server() as heard:
        error = refused(sender_to(heard, reach=Reach()))
    assert "127.0.0.1, which is not a public address" in str(error)
    assert not error.retry
    assert heard.requests == []


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(monkeypatch) -> None:
    """The second look-up would lead elsewhere; there is none."""
    looked_up = []
    with http_server() as heard:

        def look_up(host, port, *args, **options):
            looked_up.append(host)
            if host != "receiver.example":
                assert host == "127.0.0.1", "the connection goes to the address, not to the name"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr("spanbudget.exporter.notify.addresses._system_look_up", look_up)
        WebhookSender(secret(f"http://receiver.example:{heard.port}/s3cret"), LOCAL).send(notification())
    assert looked_up == ["receiver.example"]
    assert heard.requests[0].headers["host"] == f"receiver.example:{heard.port}"


def test_proxies_of_the_environment_are_not_used(monkeypatch) -> None:
    with http_server() as proxy, http_server() as heard:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        sender_to(heard).send(notification())
        assert (len(heard.requests), proxy.requests) == (1, [])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate of `receiver.example`, its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    both, key = folder / "both.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=receiver.example", "-addext", "subjectAltName=DNS:receiver.example",
         "-keyout", str(key), "-out", str(both)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("there is no openssl that makes certificates")
    both.write_text(both.read_text() + key.read_text())
    return both


@pytest.fixture
def names(monkeypatch) -> None:
    def look_up(host, port, *args, **options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("spanbudget.exporter.notify.addresses._system_look_up", look_up)


def test_a_certificate_is_checked_by_the_name(certificate: Path, names) -> None:
    with http_server(certificate=certificate) as heard:
        reach = LOCAL._replace(ca_file=certificate)
        WebhookSender(secret(f"https://receiver.example:{heard.port}/s3cret"), reach).send(notification())
        error = refused(WebhookSender(secret(f"https://other.example:{heard.port}/s3cret"), reach))
        assert "its certificate is not accepted: Hostname mismatch" in str(error)
        error = refused(WebhookSender(secret(f"https://receiver.example:{heard.port}/s3cret"), LOCAL))
        assert "an authority is added by `ca_file`" in str(error)
        assert len(heard.requests) == 1


def test_a_server_that_does_not_speak_tls_is_an_error(names) -> None:
    with http_server() as heard:
        error = refused(WebhookSender(secret(f"https://receiver.example:{heard.port}/s3cret"), LOCAL))
    assert error.retry


def test_a_tls_handshake_that_hangs_ends_in_time(names) -> None:
    with raw_server(_nothing) as heard:
        error = refused(WebhookSender(secret(f"https://receiver.example:{heard.port}/s3cret"), HASTY))
    assert "within 0.3 seconds" in str(error)


def test_an_authority_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    reach = LOCAL._replace(ca_file=tmp_path / "none.pem")
    assert "`ca_file` cannot be read" in str(
        refused(WebhookSender(secret("https://a.example/s3cret"), reach))
    )


def test_a_wrong_url_or_secret_in_a_file_is_said_without_it(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("slack.example/s3cret")
    assert "must start with http" in str(refused(WebhookSender(Secret(file=file), LOCAL)))
    sender = WebhookSender(secret("http://127.0.0.1:9/"), LOCAL, secrets=[secret("s3cret")])
    assert "`secret`: must have at least 16 bytes" in str(refused(sender))
    sender = WebhookSender(secret("http://127.0.0.1:9/"), LOCAL, headers={"X-A": secret("s3cret\r\nX-B: c")})
    assert "header X-A: must be one line" in str(refused(sender))


def test_nothing_secret_is_logged(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    with http_server(status=500) as heard:
        refused(
            sender_to(heard, secrets=[secret("s3cret" * 10)], headers={"Authorization": secret("s3cret")})
        )
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(sender_to(heard, secrets=[secret("s3cret" * 10)]))


def test_a_large_body_arrives_whole() -> None:
    alerts = [alert(note="x" * 1_000, number=str(number)) for number in range(2_000)]
    with http_server() as heard:
        sender_to(heard, alerts_max=1_500).send(notification(*alerts))
    payload = json.loads(heard.requests[0].body)
    assert (len(payload["alerts"]), payload["truncatedAlerts"]) == (1_500, 500)


def push_to(heard: Heard, **options) -> AlertmanagerSender:
    url = secret(f"http://127.0.0.1:{heard.port}/prefix/")
    return AlertmanagerSender(url, LOCAL, clock=lambda: AT / 1000, **options)


def test_alerts_are_pushed_with_credentials(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    pushed = push_notification("team", [alert(), alert("Other", ended=True)], AT)
    with http_server() as heard:
        push_to(heard, credentials=Credentials(bearer=Secret(file=file))).send(pushed)
        push_to(heard, credentials=Credentials(username="me", password=secret("s3cret"))).send(pushed)
        push_to(heard).send(pushed)
    assert [request.headers.get("authorization") for request in heard.requests] == [
        "Bearer s3cret",
        "Basic " + base64.b64encode(b"me:s3cret").decode(),
        None,
    ]
    assert {request.path for request in heard.requests} == {"/prefix/api/v2/alerts"}
    first, second = json.loads(heard.requests[0].body)
    assert (first["labels"]["alertname"], second["labels"]["alertname"]) == ("LLMBudget80", "Other")
    assert (first["endsAt"], second["endsAt"]) == ("2025-06-15T15:10:40.000Z", "2025-06-15T15:07:40.000Z")


def test_a_push_that_is_too_old_is_not_sent() -> None:
    with http_server() as heard:
        sender = replace(push_to(heard), clock=lambda: AT / 1000 + 240)
        sender.send(push_notification("team", [alert()], AT))
    assert heard.requests == []


def test_an_alertmanager_says_why_it_refuses() -> None:
    with http_server(status=400, body=b'"invalid label set: \n empty"') as heard:
        error = refused(push_to(heard))
    assert str(error).endswith('answered 400 Bad Request: "invalid label set: empty"')
    assert not error.retry


def test_ssl_errors_are_os_errors() -> None:
    assert issubclass(ssl.SSLError, OSError)
