"""When a failed delivery is tried again, and when it is given up: decisions only."""

from dataclasses import dataclass
from typing import Final

from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.processors.names_out import NANO

RETRY_AFTER_MAX_SECONDS: Final = 3_600.0
"""What a receiver may ask for; a longer wait would be garbage, or as good as a loss."""
_REST_FROM: Final = 3
"""Groups that must have failed one after the other before a receiver counts as down."""
_REST_MAX_SECONDS: Final = 30.0
"""How long a receiver that is down is left alone between two attempts."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent deliveries are.

    Attributes:
        first_seconds: Before the second attempt.
        most_seconds: Between any two attempts; the time doubles until then.
        max_age_seconds: From the first attempt that fails at this age, a notification is a dead letter. One
            attempt is always made, also where the process was down for longer.
    """

    first_seconds: float = 1.0
    most_seconds: float = 300.0
    max_age_seconds: float = 86_400.0


def due_again_ns(
    policy: RetryPolicy,
    row: OutboxRow,
    now_ns: int,
    retry_after_seconds: float | None = None,
    *,
    jitter: float,
) -> int | None:
    """When a row is tried again after an attempt has failed for now.

    Args:
        policy: How persistent deliveries are.
        row: The row, before the attempt is counted.
        now_ns: When the attempt failed, nanoseconds since the epoch.
        retry_after_seconds: What the receiver asked for; no attempt is made before.
        jitter: From 0 up to 1, at random: of the wait, half is sure and half of it is multiplied by this.

    Returns:
        Nanoseconds since the epoch; None where the row is too old and is given up.
    """
    if now_ns - row.created_ns >= policy.max_age_seconds * NANO:
        return None
    whole = min(policy.most_seconds, policy.first_seconds * 2.0 ** min(row.attempts, 40))
    wait = max(whole / 2 * (1 + jitter), asked_seconds(retry_after_seconds))
    return now_ns + round(wait * NANO)


def asked_seconds(retry_after_seconds: float | None) -> float:
    """What a receiver asked for, within reason; 0 where it did not."""
    return min(max(retry_after_seconds or 0.0, 0.0), RETRY_AFTER_MAX_SECONDS)


def rest_seconds(groups_failed: int) -> float:
    """How long a receiver is left alone, by how many groups have failed one after the other.

    One group that fails again and again, such as one whose payload the receiver does not like, stops no other
    group. A receiver that is down is asked less and less often, however many groups wait for it.
    """
    if groups_failed < _REST_FROM:
        return 0.0
    return min(_REST_MAX_SECONDS, 2.0 ** (groups_failed - _REST_FROM))
