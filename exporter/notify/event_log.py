"""Alerts as log events of OpenTelemetry, and as lines of the Python log."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from opentelemetry._logs import Logger, SeverityNumber, get_logger

from spanbudget.exporter.notify.short_text import alert_line
from spanbudget.processors.names_out import METER
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import label_value
from spanbudget.rules.notifications.fingerprints import fingerprint
from spanbudget.rules.notifications.notification import Notification

EVENT: Final = "spanbudget.alert"
ALERT_NAME: Final = "spanbudget.alert.name"
ALERT_STATE: Final = "spanbudget.alert.state"
ALERT_VALUE: Final = "spanbudget.alert.value"
ALERT_FINGERPRINT: Final = "spanbudget.alert.fingerprint"
ALERT_LABEL: Final = "spanbudget.alert.label."
"""Each label of the alert follows: `spanbudget.alert.label.severity`."""
NOTIFICATION: Final = "spanbudget.notification.id"

_SEVERITIES: Final[Mapping[str, SeverityNumber]] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "none": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "ticket": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.ERROR2,
    "page": SeverityNumber.ERROR2,
    "emergency": SeverityNumber.FATAL,
}
"""By the label `severity`; any other one is a warning."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogSender:
    """Writes one event for each alert of a notification.

    Attributes:
        events: Where the events go; where nobody has set up logs of OpenTelemetry, nowhere.
    """

    events: Logger = field(default_factory=lambda: get_logger(METER))

    def send(self, notification: Notification) -> None:
        """Writes the events."""
        for alert in notification.alerts:
            self._write(alert, notification)

    def _write(self, alert: Alert, notification: Notification) -> None:
        severity = _severity(alert)
        line = alert_line(alert)
        at_ms = alert.fired_at_ms if alert.state == "firing" else alert.resolved_at_ms
        self.events.emit(
            timestamp=(notification.at_ms if at_ms is None else at_ms) * 1_000_000,
            event_name=EVENT,
            severity_number=severity,
            severity_text=label_value(alert.labels, "severity") or None,
            body=line,
            attributes={
                ALERT_NAME: label_value(alert.labels, "alertname"),
                ALERT_STATE: "firing" if alert.state == "firing" else "resolved",
                ALERT_VALUE: alert.value,
                ALERT_FINGERPRINT: fingerprint(alert.labels),
                NOTIFICATION: notification.id,
                **{ALERT_LABEL + name: value for name, value in alert.labels if name != "alertname"},
            },
        )
        level = logging.WARNING if severity.value >= SeverityNumber.WARN.value else logging.INFO
        _logger.log(level, "alert %s", line)


def _severity(alert: Alert) -> SeverityNumber:
    if alert.state != "firing":
        return SeverityNumber.INFO
    return _SEVERITIES.get(label_value(alert.labels, "severity").lower(), SeverityNumber.WARN)
