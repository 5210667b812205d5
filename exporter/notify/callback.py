"""Receivers that are functions of the program."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.notifications.notification import Notification
from spanbudget.rules.notifications.webhook_payload import webhook_payload

Callback: TypeAlias = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class CallbackSender:
    """Calls a function with each notification.

    Attributes:
        name: `package.module:function`, for messages.
        function: Takes what a webhook holds, and `id`; what it returns is not looked at.
        external_url: Where people find out more; "" for nowhere.
    """

    name: str
    function: Callback
    external_url: str = ""

    def send(self, notification: Notification) -> None:
        """Calls the function.

        Raises:
            DeliveryError: It raised something; it is called again.
        """
        payload = webhook_payload(notification, notification.receiver, self.external_url)
        try:
            self.function({"id": notification.id, **payload})
        except Exception as error:
            # Its text is not ours to show; the traceback holds it.
            said = f"callback {self.name}: raised {type(error).__name__}"
            raise DeliveryError(said, retry=True) from error


def imported_callback(name: str) -> Callback:
    """Imports `package.module:function`.

    Raises:
        ConfigurationError: There is no such function, or it is a coroutine function.
    """
    module_name, _, path = name.partition(":")
    try:
        found: Any = import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigurationError([f"callback {name}: cannot be imported: {said}"]) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ConfigurationError([f"callback {name}: must be a function that is not async"])
    function: Callback = found
    return function
