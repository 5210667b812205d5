"""Receivers with an HTTP interface: webhooks in Alertmanager's form, and Alertmanager itself."""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spanbudget.exporter.notify.addresses import Target, target_of
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.exchange import DEFAULT_REACH, Answer, Reach, check, post
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.signing import signed_headers, signing_key
from spanbudget.rules.notifications.alertmanager_push import RESEND_MS, alertmanager_alerts
from spanbudget.rules.notifications.notification import Notification
from spanbudget.rules.notifications.webhook_payload import webhook_body, webhook_payload

AGENT: Final = "spanbudget"
_JSON: Final[Mapping[str, str]] = {
    "Content-Type": "application/json", "User-Agent": AGENT, "Connection": "close",
}  # fmt: skip
_SAID_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Sends Alertmanager's webhook, version 4, with the headers of Standard Webhooks.

    Attributes:
        url: Where to.
        reach: How it may be reached.
        secrets: What it is signed with, one signature for each; a file may hold several, one a line.
        headers: More of them.
        external_url: Where people find out more; "" for nowhere.
        alerts_max: Most alerts in a body; 0 for all.
        clock: Seconds since the epoch.
    """

    url: Secret
    reach: Reach = DEFAULT_REACH
    secrets: Sequence[Secret] = ()
    headers: Mapping[str, Secret] = field(default_factory=dict)
    external_url: str = ""
    alerts_max: int = 0
    clock: Callable[[], float] = time.time

    def send(self, notification: Notification) -> None:
        """Sends a notification.

        Raises:
            DeliveryError: The receiver did not take it.
        """
        target = _target(self.url)
        payload = webhook_payload(
            notification, notification.receiver, self.external_url, alerts_max=self.alerts_max
        )
        body = webhook_body(payload)
        headers = {
            **_JSON,
            **{name: _header_value(name, value) for name, value in self.headers.items()},
            **signed_headers(notification.id, int(self.clock()), body, self._keys()),
        }
        check(post(target, body, headers, self.reach), target)

    def _keys(self) -> list[bytes]:
        texts = [text.strip() for secret in self.secrets for text in secret.read().splitlines()]
        try:
            return [signing_key(text) for text in texts if text]
        except ValueError as error:
            raise DeliveryError(f"webhook: `secret`: {error}", retry=False) from None


@dataclass(frozen=True, slots=True)
class Credentials:
    """How one proves to an Alertmanager who one is; without anything, one does not.

    Attributes:
        bearer: A token.
        username: For basic authentication.
        password: Goes with `username`.
    """

    bearer: Secret | None = None
    username: str = ""
    password: Secret | None = None

    def headers(self) -> dict[str, str]:
        """The header `Authorization`, where there is one."""
        if self.bearer is not None:
            return {"Authorization": f"Bearer {_header_value('Authorization', self.bearer)}"}
        if self.username:
            password = self.password.read() if self.password else ""
            pair = base64.b64encode(f"{self.username}:{password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}


@dataclass(frozen=True, slots=True)
class AlertmanagerSender:
    """Pushes alerts to the interface v2 of an Alertmanager.

    Attributes:
        url: Where to, `path_prefix` included.
        reach: How it may be reached.
        credentials: For servers that ask for some.
        external_url: Where people find out more; "" for nowhere.
        interval_ms: The longer one of the resend and the evaluation interval.
        clock: Seconds since the epoch.
    """

    url: Secret
    reach: Reach = DEFAULT_REACH
    credentials: Credentials = field(default_factory=Credentials)
    external_url: str = ""
    interval_ms: int = RESEND_MS
    clock: Callable[[], float] = time.time

    def send(self, notification: Notification) -> None:
        """Pushes the alerts; those of a push that is too old are left out.

        Raises:
            DeliveryError: The Alertmanager did not take them.
        """
        base = _target(self.url)
        target = base._replace(path=f"{base.path.rstrip('/')}/api/v2/alerts")
        alerts = alertmanager_alerts(
            notification, int(self.clock() * 1000), self.external_url, interval_ms=self.interval_ms
        )
        if not alerts:
            return
        body = json.dumps(alerts, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        answer = post(target, body, {**_JSON, **self.credentials.headers()}, self.reach)
        check(answer, target, _reason(answer))


def _target(url: Secret) -> Target:
    try:
        return target_of(url.read())
    except ValueError as error:
        where = str(url.file) if url.file else "the URL"
        raise DeliveryError(f"{where}: {error}", retry=False) from None


def _header_value(name: str, value: Secret) -> str:
    text = value.read()
    if not text.isascii() or not text.isprintable():
        raise DeliveryError(f"header {name}: must be one line of printable ASCII characters", retry=False)
    return text


def _reason(answer: Answer) -> str:
    """Why an Alertmanager refused: it says which alert is wrong."""
    text = " ".join(answer.body.decode(errors="replace").split())[:_SAID_CHARACTERS_MAX]
    return f": {text}" if text and text.isprintable() else ""
