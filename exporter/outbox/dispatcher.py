"""Runs the couriers: one thread for each receiver, and one that tidies up."""

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from spanbudget.exporter.outbox.courier import POLL_SECONDS, Courier, Outbox, Send
from spanbudget.exporter.outbox.retrying import RetryPolicy
from spanbudget.processors.errors import AlertStoreError
from spanbudget.processors.names_out import (
    NANO,
    NOTIFICATIONS_DEAD,
    NOTIFICATIONS_FAILED,
    NOTIFICATIONS_SENT,
    NOTIFICATIONS_WAITING,
)

TIDY_SECONDS: Final = 5.0
"""How often it is counted what waits."""
_PURGE_EVERY: Final = 12
"""Countings between two purges."""
_COUNTED: Final = {
    "sent": NOTIFICATIONS_SENT.name,
    "failed": NOTIFICATIONS_FAILED.name,
    "dead": NOTIFICATIONS_DEAD.name,
}

_logger = logging.getLogger(__name__)


class TidiedOutbox(Outbox, Protocol):
    """An outbox that can be tidied up."""

    def waiting(self) -> dict[str, int]:
        """How many rows wait, by receiver."""
        ...

    def abandon(self, receivers: Collection[str], created_before_ns: int, now_ns: int) -> dict[str, int]:
        """Gives up old rows of receivers that nobody sends to; answers with how many, by receiver."""
        ...

    def purge(self, now_ns: int) -> int:
        """Deletes some of what ended long ago; answers with how many rows."""
        ...


class Dispatcher:
    """Delivers what is in the outbox, in the process that evaluates the rules.

    A receiver that is slow or down delays no other one: each has a thread, and at most `BATCH_ROWS` rows in
    memory. A receiver that is not configured any more keeps its rows for as long as one that is down; then
    they are dead letters.

    While another process takes over, both may send the same row for a moment: `leads` is asked before each
    row, but a row may be on its way. Receivers know the repetition by its id.

    In a forked child there are no threads, and nothing is sent.

    Args:
        outbox: Where rows come from; used by several threads.
        senders: What delivers a row, by receiver. Each has a time limit of its own.
        policy: How persistent deliveries are.
        leads: Whether this process evaluates the rules; asked before each row, so it must be quick.
        clock_ns: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        outbox: TidiedOutbox,
        senders: Mapping[str, Send],
        *,
        policy: RetryPolicy | None = None,
        leads: Callable[[], bool] = lambda: True,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._outbox = outbox
        self._policy = policy or RetryPolicy()
        self._leads = leads
        self._clock_ns = clock_ns
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._couriers = [self._courier(receiver, send) for receiver, send in senders.items()]
        self._bells = {courier.receiver: threading.Event() for courier in self._couriers}
        self._threads: list[threading.Thread] = []
        self._abandoned: Counter[str] = Counter()
        self._waiting: Mapping[str, int] = {}
        self._tidied = 0

    def start(self) -> None:
        """Starts to deliver; once. In a process that ends nothing is sent: the next one does it."""
        works = [(f"spanbudget-notify-{one.receiver}", self._run_courier, one) for one in self._couriers]
        threads = [
            threading.Thread(target=work, args=(courier,), name=name, daemon=True)
            for name, work, courier in works
        ]
        threads.append(threading.Thread(target=self._run_tidying, name="spanbudget-outbox", daemon=True))
        for thread in threads:
            try:
                thread.start()
            except RuntimeError:  # Python 3.12 starts no thread when the process ends
                return
            self._threads.append(thread)

    def wake(self) -> None:
        """Says that there are new rows; returns at once."""
        if self._pid == os.getpid():  # a lock that another thread held at a fork is never free in the child
            for bell in self._bells.values():
                bell.set()

    def stop(self, timeout_seconds: float) -> bool:
        """Stops after what is just being sent; what waits is sent by the next process.

        Args:
            timeout_seconds: How long to wait for it. A row that is on its way after that may be sent again.

        Returns:
            Whether all threads have ended.
        """
        if self._pid != os.getpid():
            return True
        self._stopping.set()
        self.wake()
        give_up_at = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, receiver) → count; asks no database."""
        counts = {
            (metric, courier.receiver): courier.counts[kind]
            for courier in self._couriers
            for kind, metric in _COUNTED.items()
        }
        for receiver, count in dict(self._abandoned).items():
            dead = (NOTIFICATIONS_DEAD.name, receiver)
            counts[dead] = counts.get(dead, 0) + count
        waiting = dict.fromkeys(self._bells, 0) | dict(self._waiting)
        return counts | {(NOTIFICATIONS_WAITING.name, receiver): count for receiver, count in waiting.items()}

    def tidy(self) -> None:
        """Counts what waits; every minute also deletes what is old and gives up what nobody sends.

        Raises:
            AlertStoreError: The store cannot be used.
        """
        now_ns = self._clock_ns()
        if self._tidied % _PURGE_EVERY == 0 and self._leads():
            self._outbox.purge(now_ns)
            before_ns = now_ns - round(self._policy.max_age_seconds * NANO)
            self._abandoned.update(self._outbox.abandon(self._bells.keys(), before_ns, now_ns))
        self._waiting = self._outbox.waiting()
        self._tidied += 1

    def _courier(self, receiver: str, send: Send) -> Courier:
        return Courier(
            receiver,
            send,
            self._outbox,
            policy=self._policy,
            clock_ns=self._clock_ns,
            jitter=random.random,
            may_send=self._may_send,
        )

    def _may_send(self) -> bool:
        return self._leads() and not self._stopping.is_set()

    def _run_courier(self, courier: Courier) -> None:
        bell = self._bells[courier.receiver]

        def work() -> float:
            bell.clear()
            return courier.deliver() if self._may_send() else POLL_SECONDS

        self._repeat(work, bell)

    def _run_tidying(self) -> None:
        def work() -> float:
            self.tidy()
            return TIDY_SECONDS

        self._repeat(work, self._stopping)

    def _repeat(self, work: Callable[[], float], bell: threading.Event) -> None:
        """Works until it is told to stop; a store that cannot be used is told of once, and tried again."""
        told = False
        while not self._stopping.is_set():
            try:
                pause_seconds = work()
                told = False
            except AlertStoreError as error:
                pause_seconds = POLL_SECONDS
                if not told:
                    _logger.warning("notifications wait: %s", error)
                told = True
            except Exception:
                # The border of a thread: a fault of ours must not end all deliveries without a word.
                pause_seconds = TIDY_SECONDS
                if not told:
                    _logger.exception("notifications wait: a fault of SpanBudget")
                told = True
            if not self._stopping.is_set():  # it is set before the bell is rung, which may be cleared by now
                bell.wait(pause_seconds)
