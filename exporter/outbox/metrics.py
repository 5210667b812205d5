"""What deliveries are counted in."""

from typing import Final

from spanbudget.processors.names_out import Kind, Metric

NOTIFICATIONS_SENT: Final = Metric(
    "spanbudget.notifications.sent", "{notification}", "Notifications delivered, by receiver", Kind.COUNTER
)
NOTIFICATIONS_FAILED: Final = Metric(
    "spanbudget.notifications.failures",
    "{failure}",
    "Attempts to deliver that failed, by receiver; most are tried again",
    Kind.COUNTER,
)
NOTIFICATIONS_DEAD: Final = Metric(
    "spanbudget.notifications.dead",
    "{notification}",
    "Notifications that were given up, by receiver",
    Kind.COUNTER,
)
NOTIFICATIONS_WAITING: Final = Metric(
    "spanbudget.notifications.waiting",
    "{notification}",
    "Notifications that wait to be delivered, by receiver",
    Kind.GAUGE,
)
