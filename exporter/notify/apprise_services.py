"""Slack, Microsoft Teams, PagerDuty, e-mail and the rest, through apprise.

Its URLs hold secrets, so neither its messages nor those of its HTTP library get into a log while it sends.
Where they lead is not checked: they name services, mostly, and apprise makes the connections.
"""

import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.secret_files import Secret
from spanbudget.exporter.notify.short_text import short_text
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.notifications.notification import Notification

REMEMBERED_MAX: Final = 1_000
"""Notifications of which it is known which services took them."""
_silent: Final = ContextVar("spanbudget_silent", default=False)
_TELLING_LOGGERS: Final = ("apprise", "urllib3.connectionpool", "requests")


class AppriseSender:
    """Sends a short text to services of apprise.

    A service that took a notification does not get it again when another one failed.

    Args:
        urls: One service each; one that is read from a file may hold several, one a line.

    Raises:
        ConfigurationError: apprise is not installed.
    """

    def __init__(self, urls: Sequence[Secret]) -> None:
        self._apprise = _imported()
        self._urls = tuple(urls)
        self._taken: OrderedDict[str, set[str]] = OrderedDict()

    def send(self, notification: Notification) -> None:
        """Sends to every service that has not taken it yet.

        Raises:
            DeliveryError: At least one did not take it.
        """
        urls = [url for secret in self._urls for url in secret.read().split()]
        taken = self._taken.pop(notification.id, set())
        failed: list[str] = []
        with _silence():
            for number, url in enumerate(urls, start=1):
                if url not in taken:
                    said = self._fault(url, notification)
                    if said is None:
                        taken.add(url)
                    else:
                        failed.append(f"service {number} of {len(urls)} {said}")
        if failed:
            self._taken[notification.id] = taken
            while len(self._taken) > REMEMBERED_MAX:
                self._taken.popitem(last=False)
            raise DeliveryError(f"apprise: {'; '.join(failed)}", retry=True)

    def _fault(self, url: str, notification: Notification) -> str | None:
        """Sends to one service; None where it took it."""
        text = short_text(notification)
        kind = "warning" if notification.status == "firing" else "success"
        try:
            # One after the other: which one failed is to be known.
            services = self._apprise.Apprise(asset=self._apprise.AppriseAsset(async_mode=False))
            if not services.add(url):
                return "has a URL that apprise does not know; see `apprise --details`"
            sent = services.notify(title=text.title, body=text.body, notify_type=kind, body_format="text")
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises may hold its URL
            return f"failed ({type(error).__name__})"
        return None if sent else "did not take it"


def _imported() -> Any:
    try:
        # Optional, and a tenth of a second.
        import apprise  # noqa: PLC0415
    except ImportError:
        said = "`apprise` needs the extra `notify`: pip install 'spanbudget[notify]'"
        raise ConfigurationError([said]) from None
    with warnings.catch_warnings():
        # The first URL loads all services, and with them libraries that are deprecated somewhere.
        warnings.simplefilter("ignore")
        apprise.Apprise.instantiate("json://localhost")
    return apprise


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what is logged about URLs here, and in threads that are started from here, out of every log."""
    token = _silent.set(True)
    loggers = [logging.getLogger(name) for name in _TELLING_LOGGERS]
    for logger in loggers:
        logger.addFilter(_others)  # stays, once; it lets everything else pass
    try:
        yield
    finally:
        _silent.reset(token)


def _others(record: logging.LogRecord) -> bool:  # noqa: ARG001 - a filter of logging
    return not _silent.get()
