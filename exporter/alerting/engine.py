"""Evaluates the rules of a ledger, in one of the processes that share it.

`tick` is where to begin. One process leads: it holds a lease in the ledger, has all series in memory, and
keeps each change of an alert, with what is to be sent because of it, in one transaction. The others look now
and then whether the lease is free. A thread of its own does all this: calls and spans never wait for it.
"""

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from spanbudget.exporter.alerting.lead import Lead, Rulebook
from spanbudget.exporter.alerting.seams import Books, Outside, PausedStore, Store
from spanbudget.exporter.instruments import Point
from spanbudget.processors import names_out as names
from spanbudget.processors.errors import SpanBudgetError
from spanbudget.rules.durations import NS_PER_MS

LEASE_SECONDS: Final = 15.0
"""How long a process leads without renewing: as long as the others wait for one that was killed."""
LOOK_SECONDS: Final = 1.0
"""How often the leader looks for spend of other processes."""
GATHER_SECONDS: Final = 0.25
"""How long new spend waits for more of it before rules are evaluated."""
REST_FACTOR: Final = 4.0
"""An evaluation is followed by a rest of so many times its length: it takes a fifth of a core at most."""
SEE_OFF_SECONDS: Final = 2.0
"""How long the end of a process waits for notifications on their way."""
SEE_OFF_LOOK_SECONDS: Final = 0.02
CLOCK_BACK_SECONDS: Final = 60.0
"""A clock that was set back by more makes the leader begin anew; by less, time stands still."""
_SECOND_NS: Final = 1_000_000_000
_LEASE_NS: Final = int(LEASE_SECONDS * _SECOND_NS)

_logger = logging.getLogger(__name__)


class AlertEngine:
    """Evaluates groups of rules while this process leads.

    Args:
        books: The pipeline.
        rulebook: What is evaluated, and who is told.
        outside: What it needs of the world.
    """

    def __init__(self, books: Books, rulebook: Rulebook, outside: Outside) -> None:
        self._books = books
        self._rulebook = rulebook
        self._outside = outside
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._owner = secrets.token_bytes(16)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._ticking = threading.Lock()
        self._store: PausedStore | None = None
        self._paused: PausedStore | None = None
        self._lead: Lead | None = None
        self._news = False
        self._took_ns = 0
        self._errors: Counter[str] = Counter()
        self._failed = False

    def start(self) -> None:
        """Begins, on a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spanbudget-rules", daemon=True)
            self._thread.start()

    def spend_came(self) -> None:
        """Has the rules evaluated soon; any thread may call it, and never waits."""
        self._news = True
        self._wake.put(None)

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Evaluates a last time, ends, and lets another process lead."""
        if self._stopping:
            return
        self._stopping = True
        self._wake.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        if self._ticking.acquire(timeout=timeout_seconds):
            try:
                self._last_words(timeout_seconds)
            finally:
                self._ticking.release()

    def pause(self, timeout_seconds: float) -> bool:
        """Lets the evaluation end, and keeps rules and couriers from the ledger until `resume` is called.

        For a fork, as `Pipeline.pause` is, and called before it: an evaluation waits for the pipeline.

        Returns:
            False when time ran out: nothing is paused.
        """
        give_up_at = time.monotonic() + timeout_seconds
        if not self._ticking.acquire(timeout=timeout_seconds):
            return False
        store = self._store
        if store is not None and not store.pause(max(0.0, give_up_at - time.monotonic())):
            self._ticking.release()
            return False
        self._paused = store
        return True

    def resume(self) -> None:
        """Ends a `pause` of this thread."""
        store, self._paused = self._paused, None
        if store is not None:
            store.resume()
        self._ticking.release()

    def after_fork(self) -> None:
        """Begins anew in a forked child; what the parent has open is only kept from being closed here."""
        started = self._thread is not None and not self._stopping
        self._inherited += [self._store, self._lead]
        self._begin()
        if started:
            self.start()

    # The thread.

    def _run(self) -> None:
        while not self._stopping:
            rest_seconds = self._tick_safely()
            began = time.monotonic()
            self._wait(rest_seconds)
            pause_seconds = max(GATHER_SECONDS, REST_FACTOR * self._took_ns / _SECOND_NS)
            while (left := began + pause_seconds - time.monotonic()) > 0 and not self._is_stopping():
                self._wait(left)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _wait(self, timeout_seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=timeout_seconds)
            while True:
                self._wake.get_nowait()

    def _tick_safely(self) -> float:
        with self._ticking:
            try:
                rest_seconds = self.tick(self._outside.clock_ns())
            except SpanBudgetError as error:
                self._fail(error)
                return LOOK_SECONDS
            except Exception as fault:
                if not self._failed:
                    _logger.exception("SpanBudget failed on its rules; it begins anew")
                    self._failed = True
                self._fail(fault)
                return LOOK_SECONDS
        self._failed = False
        return rest_seconds

    def _fail(self, error: Exception) -> None:
        """Lets all go, so that the next tick begins anew; tells of it once."""
        self._errors[type(error).__name__] += 1
        if not self._failed:
            self._failed = True
            _logger.warning("Rules are not evaluated for now: %s", error)
        self._retire()

    def tick(self, now_ns: int) -> float:
        """Does what is due.

        Args:
            now_ns: Nanoseconds since the epoch.

        Returns:
            How long there is nothing to do, seconds.

        Raises:
            SpanBudgetError: The store or the ledger cannot be used; the next tick begins anew.
        """
        store = self._store = self._store or self._outside.store()
        lead = self._leading(store, now_ns)
        if lead is None:
            return LEASE_SECONDS / 3
        now_ms = max(now_ns // NS_PER_MS, lead.at_ms + 1)
        news = self._news or lead.reader.max_seq() != lead.seq
        due = lead.is_due(now_ms, news=news)
        if due or now_ms >= lead.planner.next_due_ms:
            self._news = False
            started_ns = time.perf_counter_ns()
            lead.evaluate(self._books, store, now_ms, news=news, due=due)
            self._took_ns = time.perf_counter_ns() - started_ns
        return min(LOOK_SECONDS, max(0.0, (lead.next_due_ms - now_ms) / 1_000))

    # Who leads.

    def _leading(self, store: Store, now_ns: int) -> Lead | None:
        lead = self._lead
        if lead is not None and now_ns < lead.at_ms * NS_PER_MS - CLOCK_BACK_SECONDS * _SECOND_NS:
            _logger.warning("The clock was set back; the rules begin anew")
            self._retire()
        elif lead is not None and self._books.budgets.budgets != lead.budgets:
            self._retire()  # budgets were added, changed or deleted
        elif lead is not None and lead.until_ns - now_ns > _LEASE_NS * 2 // 3:
            return lead
        fence = store.lead(self._owner, now_ns, now_ns + _LEASE_NS)
        if self._lead is not None and self._lead.fence != fence:
            self._retire()
        if fence is None:
            return None
        if self._lead is None:
            self._lead = self._rulebook.take_over(
                store, fence, now_ns, self._books, self._outside, self._leads
            )
            self._lead.delivery.start()
        self._lead.until_ns = now_ns + _LEASE_NS
        return self._lead

    def _leads(self) -> bool:
        return self._lead is not None

    def _retire(self) -> None:
        lead, self._lead = self._lead, None
        if lead is not None:
            lead.close(1.0)

    def _last_words(self, timeout_seconds: float) -> None:
        lead, store = self._lead, self._store
        now_ns = self._outside.clock_ns()
        try:
            if lead is not None and store is not None:
                now_ms = max(now_ns // NS_PER_MS, lead.at_ms + 1)
                lead.evaluate(self._books, store, now_ms, news=True, due=True, ends=True)
                self._see_off(lead, store, min(timeout_seconds, SEE_OFF_SECONDS))
                store.lead(self._owner, now_ns, now_ns)
        except SpanBudgetError as error:
            _logger.warning("Rules were not evaluated at the end: %s", error)
        self._retire()
        self._store = None
        if store is not None:
            store.close()

    def _see_off(self, lead: Lead, store: Store, timeout_seconds: float) -> None:
        """Waits a little for what is on its way; the rest is sent by who leads next."""
        give_up_at = time.monotonic() + timeout_seconds
        lead.delivery.wake()
        while any(store.waiting().values()) and time.monotonic() < give_up_at:
            time.sleep(SEE_OFF_LOOK_SECONDS)

    # What instruments show.

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → value in the metric's unit times its divisor."""
        health: Counter[tuple[str, str]] = Counter()
        for kind, count in dict(self._errors).items():
            health[names.RULES_ERRORS.name, kind] = count
        lead = self._lead
        health[names.RULES_LEADING.name, ""] = int(lead is not None)
        if lead is None:
            return health
        health[names.RULES_SECONDS.name, ""] = self._took_ns
        health[names.RULES_SERIES.name, ""] = len(lead.stage.store)
        health[names.RULES_EVALUATED.name, ""] = lead.evaluator.evaluations
        for group, count in dict(lead.evaluator.failures).items():
            health[names.RULES_FAILED.name, group] = count
        health.update(lead.delivery.health())
        if lead.watcher is not None:
            health.update(lead.watcher.health())
        return health

    def derived(self) -> Sequence[Point]:
        """What is worked out about budgets, for the instruments; nothing where another process leads."""
        lead = self._lead
        return lead.derived if lead is not None else ()
