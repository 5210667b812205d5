"""The senders that a configuration asks for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from spanbudget.exporter.notify.apprise_services import AppriseSender
from spanbudget.exporter.notify.callback import CallbackSender, imported_callback
from spanbudget.exporter.notify.config import AlertmanagerConfig, ReceiverConfig, WebhookConfig
from spanbudget.exporter.notify.event_log import LogSender
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.webhook import AlertmanagerSender, Credentials, WebhookSender
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.notifications.alertmanager_push import RESEND_MS
from spanbudget.rules.notifications.notification import Notification


class Sender(Protocol):
    """One channel to a receiver; may be called from any thread, by one at a time."""

    def send(self, notification: Notification) -> None:
        """Sends, and returns when the other side has taken it.

        Raises:
            DeliveryError: It has not.
        """
        ...


def senders_of(
    receivers: Iterable[ReceiverConfig], *, external_url: str = "", interval_ms: int = RESEND_MS
) -> Mapping[str, Sender]:
    """The senders by channel, `team/webhook`; see `ReceiverConfig.channels` and `push_channel`.

    Args:
        receivers: What the configuration says.
        external_url: Where people find out more; "" for nowhere.
        interval_ms: The longest interval at which rules are evaluated.

    Raises:
        ConfigurationError: A callback cannot be imported, or apprise is missing; it holds every problem.
    """
    senders: dict[str, Sender] = {}
    problems: list[str] = []
    for receiver in receivers:
        try:
            for kind, sender in _channels(receiver, external_url, interval_ms):
                senders[f"{receiver.name}/{kind}"] = sender
        except ConfigurationError as error:
            problems += [f"receiver {receiver.name}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigurationError(problems)
    return senders


def _channels(receiver: ReceiverConfig, external_url: str, interval_ms: int) -> Iterator[tuple[str, Sender]]:
    if receiver.webhook:
        yield "webhook", _webhook(receiver.webhook, external_url)
    if receiver.alertmanager:
        yield "alertmanager", _alertmanager(receiver.alertmanager, external_url, interval_ms)
    if receiver.apprise:
        yield "apprise", AppriseSender(receiver.apprise.secrets)
    if receiver.callback:
        function = imported_callback(receiver.callback)
        yield "callback", CallbackSender(receiver.callback, function, external_url)
    if receiver.log:
        yield "log", LogSender()


def _webhook(config: WebhookConfig, external_url: str) -> WebhookSender:
    return WebhookSender(
        url=Secret(config.url, config.url_file),
        reach=config.reach,
        secrets=config.signing_secrets,
        headers={name: Secret(value) for name, value in config.headers.items()},
        external_url=external_url,
        alerts_max=config.max_alerts,
    )


def _alertmanager(config: AlertmanagerConfig, external_url: str, interval_ms: int) -> AlertmanagerSender:
    bearer = None
    if config.bearer_token or config.bearer_token_file:
        bearer = Secret(config.bearer_token, config.bearer_token_file)
    return AlertmanagerSender(
        url=config.base_url,
        reach=config.reach,
        credentials=Credentials(bearer, config.username or "", Secret(config.password, config.password_file)),
        external_url=external_url,
        interval_ms=interval_ms,
    )
