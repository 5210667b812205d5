"""Delivers the rows of one receiver, one after the other."""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.outbox.retrying import RetryPolicy, asked_seconds, due_again_ns, rest_seconds
from spanbudget.processors.names_out import NANO

BATCH_ROWS: Final = 20
"""Rows of one receiver that are in memory."""
POLL_SECONDS: Final = 1.0
"""How often a receiver's rows are looked for when nobody says that there are new ones."""
_GROUPS_REMEMBERED: Final = 16

_logger = logging.getLogger(__name__)

Send = Callable[[OutboxRow], None]
"""Delivers one row, or raises `DeliveryError`; it has a time limit of its own."""


class Outbox(Protocol):
    """Where rows come from; every method raises `AlertStoreError` where it cannot be used."""

    def due(self, now_ns: int, limit: int, receiver: str | None = None) -> list[OutboxRow]:
        """Rows to be sent now; of each group the first one that waits."""
        ...

    def sent(self, id_: str, now_ns: int) -> None:
        """Marks a row as delivered."""
        ...

    def failed(self, id_: str, error: str, due_ns: int | None, now_ns: int) -> None:
        """Notes a failed attempt, and when the next one is due; None for never."""
        ...


class Courier:
    """Delivers to one receiver; for one thread.

    At least once: what was sent is marked afterwards, and a process that dies in between sends the same id
    again. A mark that the store does not take is tried again before anything else is sent, so a store that
    is locked for a while repeats nothing.

    Of one group a row is sent only when the one before it was sent or given up, so a resolve never overtakes
    its firing, and a group whose row fails waits alone. See `retrying.rest_seconds` for a receiver that is
    down. A receiver that asks for time (`Retry-After`) gets it for all its groups.

    Args:
        receiver: Name of the receiver.
        send: Delivers one row.
        outbox: Where rows come from.
        policy: How persistent deliveries are.
        clock_ns: Nanoseconds since the epoch.
        jitter: From 0 up to 1, at random.
        may_send: Asked before each row: False once this process should stop.

    Attributes:
        receiver: Name of the receiver.
        counts: Rows by what became of them: `sent`, `failed` (attempts, also those that are tried again) and
            `dead`.
    """

    def __init__(
        self,
        receiver: str,
        send: Send,
        outbox: Outbox,
        *,
        policy: RetryPolicy,
        clock_ns: Callable[[], int],
        jitter: Callable[[], float],
        may_send: Callable[[], bool],
    ) -> None:
        self.receiver = receiver
        self.counts = {"sent": 0, "failed": 0, "dead": 0}
        self._send = send
        self._outbox = outbox
        self._policy = policy
        self._clock_ns = clock_ns
        self._jitter = jitter
        self._may_send = may_send
        self._unmarked: Callable[[], None] | None = None
        self._failing: set[str] = set()
        self._rest_until_ns = 0

    def deliver(self) -> float:
        """Sends what is due.

        Returns:
            How long to wait before looking again, seconds; somebody who knows of new rows may look sooner.

        Raises:
            AlertStoreError: The store cannot be used; nothing is lost, try again later.
        """
        self._mark(self._unmarked)
        now_ns = self._clock_ns()
        if now_ns < self._rest_until_ns:
            return min(POLL_SECONDS, (self._rest_until_ns - now_ns) / NANO)
        rows = self._outbox.due(now_ns, BATCH_ROWS, self.receiver)
        for row in rows:
            if not self._may_send():
                return POLL_SECONDS
            self._mark(self._attempt(row))
            if self._clock_ns() < self._rest_until_ns:
                break
        return 0.0 if rows else POLL_SECONDS

    def _mark(self, mark: Callable[[], None] | None) -> None:
        self._unmarked = mark
        if mark is not None:
            mark()
            self._unmarked = None

    def _attempt(self, row: OutboxRow) -> Callable[[], None]:
        """Sends a row; answers with what is to be marked."""
        try:
            self._send(row)
        except DeliveryError as error:
            return self._failed(row, str(error), error)
        except Exception as error:  # noqa: BLE001 - a callback of the application may raise anything
            # Its text may quote what it was given; its kind does not.
            return self._failed(row, f"the sender raised {type(error).__name__}", None)
        self.counts["sent"] += 1
        self._failing.clear()
        now_ns = self._clock_ns()
        return lambda: self._outbox.sent(row.id, now_ns)

    def _failed(self, row: OutboxRow, told: str, error: DeliveryError | None) -> Callable[[], None]:
        now_ns = self._clock_ns()
        retry, after_seconds = (True, None) if error is None else (error.retry, error.retry_after_seconds)
        due_ns = (
            due_again_ns(self._policy, row, now_ns, after_seconds, jitter=self._jitter()) if retry else None
        )
        self.counts["failed"] += 1
        if due_ns is None:
            self.counts["dead"] += 1
            _logger.error("notification %s for %s is given up: %s", row.id, self.receiver, told)
        if retry:
            self._rest(row, now_ns, after_seconds)
        return lambda: self._outbox.failed(row.id, told, due_ns, now_ns)

    def _rest(self, row: OutboxRow, now_ns: int, after_seconds: float | None) -> None:
        """Leaves the receiver alone for a while where it is down, or asked for it."""
        if len(self._failing) < _GROUPS_REMEMBERED:
            self._failing.add(row.group_key)
        seconds = max(rest_seconds(len(self._failing)), asked_seconds(after_seconds))
        self._rest_until_ns = now_ns + round(seconds * NANO)
