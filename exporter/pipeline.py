"""The main road: spans in, entries in the ledger, totals for the instruments. `tick` is where to begin."""

import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from spanbudget.exporter.admission.holdings import Settled
from spanbudget.exporter.budget_series import BudgetSeriesBook
from spanbudget.exporter.budget_states import budget_states
from spanbudget.exporter.entry_store import EntryStore, SharedLedger
from spanbudget.exporter.ledger.records import call_to_record, record_to_call, record_to_entry
from spanbudget.exporter.ledger.spool import Spool
from spanbudget.exporter.series import SeriesBook, SeriesKey, SeriesTotal
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Booker, Link, Observed
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import BudgetBook
from spanbudget.processors.call import PricedCall
from spanbudget.processors.counting import CallCounter
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.interactive import InteractiveSpans
from spanbudget.processors.ledger import Entry
from spanbudget.processors.reading import SpanReader
from spanbudget.processors.spans import record_of

if TYPE_CHECKING:
    from spanbudget.exporter.admission.admitting import Admitting

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

SETTLE_SECONDS: Final = 1.0
"""How long a call that is about to be refused waits for what its own process has settled."""
BATCH_MAX: Final = 1024
"""Spans that are booked in one transaction, at most."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline of one process is made of; a forked child makes itself new ones.

    Attributes:
        reader: Reads spans.
        counter: Decides which span is counted.
        booker: Books spans.
        budgets: All budgets.
        series: This process's own totals.
        further: Further (metric name, reason) → count, of parts that keep their own.
    """

    reader: SpanReader
    counter: CallCounter
    booker: Booker
    budgets: BudgetBook
    series: SeriesBook
    further: Callable[[], Mapping[tuple[str, str], int]]


class Pipeline:
    """Takes finished spans and turns them into settled money.

    `observe` may be called by any thread; one worker thread does everything else, so no lock is ever held on
    the application's threads.

    Args:
        make_parts: Makes the parts, now and after a fork.
        store: Where entries go.
        spool: The file beside the ledger, for spans that the queue has no room for; also the store's.
        queue_max_spans: Spans that wait in memory, at most; further ones go to the spool file.
        max_unflushed_ms: How old spend may get before it is in the ledger, milliseconds.
        make_admission: Makes what admits calls, now and after a fork; None where no call is ever asked for.
        clock_ns: Nanoseconds since the epoch.

    Attributes:
        resource: What the resource says about this process.
        clock_ns: Nanoseconds since the epoch.
        on_booked: Called by the worker after each batch that had calls; it must not wait for anything.
        budget_series: What this process's own calls cost each budget.
        interactive: The live spans for which it is known whether somebody waits.
    """

    def __init__(
        self,
        *,
        make_parts: Callable[[], Parts],
        store: EntryStore,
        spool: Spool,
        queue_max_spans: int = 10_000,
        max_unflushed_ms: int = 50,
        make_admission: "Callable[[Pipeline], Admitting] | None" = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.resource: Mapping[str, object] = {}
        self.on_booked: Callable[[], None] = _nothing
        self.budget_series = BudgetSeriesBook()
        self.interactive = InteractiveSpans()
        self._make_admission = make_admission
        self._make_parts = make_parts
        self._store = store
        self._spool = spool
        self._queue_max = queue_max_spans
        self._gather_seconds = max_unflushed_ms / 1000 * 0.4
        self.clock_ns = clock_ns
        self._begin()
        store.open()

    def _begin(self) -> None:
        """The state that a process starts with, and a forked child starts with again."""
        self._parts = self._make_parts()
        self.budget_series.begin_anew()
        self._queue: deque[ReadableSpan | Settled] = deque()
        self._settled: list[Settled] = []  # of the batch that is being booked
        self._hurry = False
        self.admission = self._make_admission(self) if self._make_admission else None
        self._work = threading.RLock()
        self._overflow = threading.RLock()
        # A span may end inside the garbage collector, on a thread that is anywhere in this module. A
        # SimpleQueue can be put to at any point; an Event would wait for a lock that its own thread holds.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._putting_aside = False
        self._idle = False
        self._stopping = False
        self._accepts = self._queue_max  # 0 after the shutdown: what comes then goes to the spool file
        self._worker: threading.Thread | None = None
        self._seen = 0
        self._taken = 0  # those of `_seen` that came through the queue
        self._unflushed_since_ns: int | None = None
        self._lost: Counter[tuple[str, str]] = Counter()

    # The application's threads.

    def observe(self, span: ReadableSpan) -> None:
        """Takes a finished span over in O(1); with a full queue, writes what it tells to the spool file."""
        waiting = self._queue
        if len(waiting) >= self._accepts:
            self._put_aside(span)
            return
        waiting.append(span)
        if self._idle:
            self._wake.put(None)
        elif self._worker is None:
            self._start()

    def observe_settled(self, settled: Settled, *, hurry: bool) -> None:
        """Takes a settlement over, which the journal has; `hurry` where calls wait for what it gives back."""
        self._queue.append(settled)
        if hurry:
            self._hurry = True
            self._wake.put(None)
        elif self._idle:
            self._wake.put(None)
        if self._worker is None:
            self._start()

    def wake(self) -> None:
        """Lets the worker look at once whether there is something to do; it is started where it is not."""
        self._wake.put(None)
        if self._worker is None:
            self._start()

    def _put_aside(self, span: ReadableSpan) -> None:
        """Writes what a span tells to the spool file: slower than the queue, and nothing is lost."""
        with self._overflow:
            if self._putting_aside:  # the garbage collector ended this span in the middle of another one
                self._queue.append(span)
                return
            self._putting_aside = True
            try:
                self._write_aside(span)
            finally:
                self._putting_aside = False
        if self._worker is None:
            self._start()

    def _write_aside(self, span: ReadableSpan) -> None:
        what, sampled, _ = self._parts.booker.read(record_of(span, self.interactive.ended))
        record: dict[str, Any] = {"sampled": sampled}
        if isinstance(what, Link):
            record["link"] = [what.trace_id, what.span_id, what.parent_id, what.end_ns]
        else:
            record["call"] = call_to_record(what)
        try:
            kept = self._spool.append(record)
        except LedgerError:
            kept = False
        metric = names.SPANS_SPOOLED if kept else names.SPANS_LOST
        self._lost[metric.name, "queue_full"] += 1

    def _start(self) -> None:
        with self._overflow:
            if self._worker is None and not self._stopping:
                self._worker = threading.Thread(target=self._run, name="spanbudget", daemon=True)
                self._worker.start()

    # The worker.

    def _run(self) -> None:
        while not self._stopping:
            rest_seconds = self._keep()
            if not self._waiting():
                self._idle = True
                if not self._waiting() and not self._stopping:
                    self._wait(rest_seconds)
                self._idle = False
                continue
            if len(self._queue) < BATCH_MAX and not self._hurry:
                self._wait(self._gather_seconds)
            self._tick_safely()

    def _keep(self) -> float | None:
        """Does what is due for the holds of this process; how long the worker may sleep, None for ever."""
        rest_seconds = 1.0 if self._store.failing else None
        if self.admission is None:
            return rest_seconds
        due_seconds: float | None = 1.0
        try:
            with self._work:
                due_seconds = self.admission.keep(self.clock_ns())
        except Exception as fault:  # noqa: BLE001 - whatever it is, spans must be booked
            self._tell_of_fault("the holds", fault)
        times = [seconds for seconds in (rest_seconds, due_seconds) if seconds is not None]
        return min(times, default=None)

    def _wait(self, timeout_seconds: float | None) -> None:
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=timeout_seconds)
            while True:
                self._wake.get_nowait()

    def _waiting(self) -> bool:
        return bool(self._queue) or (not self._spool.empty and self._store.ready)

    def _tick_safely(self) -> None:
        """The worker must outlive a fault of ours: it is counted and logged."""
        try:
            self.tick(self.clock_ns())
        except Exception as fault:  # noqa: BLE001 - whatever it is, the next batch must be booked
            self._tell_of_fault("a batch of spans", fault)

    def tick(self, now_ns: int) -> int:
        """Books one batch of spans.

        Args:
            now_ns: Nanoseconds since the epoch.

        Returns:
            How many spans were taken from the queue and the spool file.
        """
        with self._work:
            taken, self._hurry = self._taken, False
            batch = self._take()
            if batch or self._settled:
                self.book(batch, now_ns)
            taken = self._taken - taken
            if len(self._queue) <= self._queue_max // 2 and not self._spool.empty and self._store.ready:
                taken += self._take_spooled(now_ns)
            return taken

    def book(self, batch: Sequence[Observed], now_ns: int) -> None:
        """Counts, prices and appends a batch; the ledger is asked for what memory does not know."""
        with self._work:
            booker = self._parts.booker
            for since_ns, until_ns in booker.unloaded(batch, now_ns):
                booker.remember(self._store.standing(since_ns, until_ns))
            entries, sampled = self._booked(batch, now_ns)
            settled, self._settled = self._settled, []
            writer = self.admission.writer(settled) if self.admission is not None else None
            duplicates = self._store.append(entries, writer) if entries or settled else frozenset()
            self._unflushed_since_ns = None
            add, add_to_budgets = self._parts.series.add, self.budget_series.add
            for entry, was_sampled in zip(entries, sampled, strict=True):
                if entry.id not in duplicates:
                    add(entry, sampled=was_sampled)
                    add_to_budgets(entry)
        if entries:
            self.on_booked()

    def _booked(self, batch: Sequence[Observed], now_ns: int) -> tuple[list[Entry], list[bool]]:
        """The entries of a batch, and whether the span behind each is exported; keeps nothing else alive."""
        book = self._parts.booker.book
        entries: list[Entry] = []
        sampled: list[bool] = []

        def keep(observed: Observed) -> None:
            booking = book(observed, now_ns)
            entries.extend(booking.entries)
            sampled.extend([booking.sampled] * len(booking.entries))

        self._each(keep, batch)
        return entries, sampled

    def _take(self) -> list[Observed]:
        waiting, booker, settled = self._queue, self._parts.booker, self._settled
        # What is known of a span was known before it ended, and so before it came here.
        ended = self.interactive.ended if self.interactive else None

        def take(_: int) -> Observed | None:
            what = waiting.popleft()
            if type(what) is Settled:
                settled.append(what)
                return self.admission.conclude(what) if self.admission is not None else None
            return booker.read(record_of(what, ended))  # type: ignore[arg-type]

        if waiting:
            self._unflushed_since_ns = getattr(waiting[0], "end_time", None) or self.clock_ns()
        count = min(len(waiting), BATCH_MAX)
        taken = self._each(take, range(count))
        self._taken += count
        self._seen += count - len(settled)
        return taken if not settled else [one for one in taken if one is not None]  # type: ignore[return-value]

    def _each(self, work: Callable[[_Given], _Made], given: Sequence[_Given]) -> list[_Made]:
        """Does something for each; one that meets a fault of ours is lost alone, counted and logged."""
        made: list[_Made] = []
        for one in given:
            try:
                made.append(work(one))
            except Exception as fault:  # noqa: BLE001 - whatever it is, the batch must go on
                self._tell_of_fault("a span", fault)
        return made

    def _tell_of_fault(self, what: str, fault: Exception) -> None:
        self._lost[names.SPANS_LOST.name, "fault"] += 1
        if self._lost[names.SPANS_LOST.name, "fault"] == 1:
            told = "SpanBudget failed on %s; further ones are counted in %s"
            _logger.error(told, what, names.SPANS_LOST.name, exc_info=fault)

    def _take_spooled(self, now_ns: int) -> int:
        """Brings a part of the spool in; it is deleted there once the ledger, or the spool again, has it."""
        records = self._spool.drain()
        kept = [record["entry"] for record in records if "entry" in record]
        entries = self._each(record_to_entry, kept)
        if entries and not self._store.append_spooled(entries):
            return 0
        observed = self._each(_observed, [record for record in records if "entry" not in record])
        self._seen += len(observed)
        if observed:
            self.book(observed, now_ns)
        self._spool.confirm()
        return len(records)

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Books everything observed so far.

        Returns:
            True when the ledger has it all; False when time ran out or the ledger fails (the spool has it).
        """
        deadline = time.monotonic() + timeout_seconds
        wanted: int | None = None
        while self._work.acquire(timeout=max(0.001, deadline - time.monotonic())):
            try:  # what the worker had taken is booked now
                if wanted is None:
                    wanted = self._taken + len(self._queue)
                if self._taken >= wanted and (self._spool.empty or not self._store.ready):
                    return not self._store.failing
                self.tick(self.clock_ns())
            finally:
                self._work.release()
            if time.monotonic() > deadline:
                break
        return False

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Flushes, stops the worker and closes the ledger; spans that end later go to the spool file."""
        if self._stopping:
            return
        self.flush(timeout_seconds)
        self._stopping = True
        self._accepts = 0
        self._wake.put(None)
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join(timeout_seconds)
        with self._work:
            while self._queue:
                self.tick(self.clock_ns())
            if self.admission is not None:
                self.admission.close()
            self._store.close()
            self._spool.close()

    def give_back(self) -> None:
        """Gives back what is leased at the end of the process; later calls are asked for anew."""
        if self.admission is not None:
            with self._work:
                self.admission.leave()

    def pause(self, timeout_seconds: float) -> bool:
        """Lets the worker end its batch and keeps it from the next one until this thread calls `resume`.

        A lock inside SQLite that another thread holds at a fork stays locked in the child for ever.

        Returns:
            False when time ran out: nothing is paused.
        """
        return self._work.acquire(timeout=timeout_seconds)

    def resume(self) -> None:
        """Ends a `pause` of this thread."""
        self._work.release()

    def after_fork(self) -> None:
        """In a forked child: leaves the parent's spans and holds to the parent and begins with nothing."""
        if self.admission is not None:
            self.admission.after_fork()
        self._begin()
        self._store.after_fork()

    def know(self, resource: Mapping[str, object]) -> None:
        """Takes note of the attributes of the process's resource, which label the calls that it asks for."""
        self.resource = {**self.resource, **resource}
        if self.admission is not None:
            self.admission.know(self.resource)

    @property
    def budgets(self) -> BudgetBook:
        """The budgets that this process puts calls against."""
        return self._parts.budgets

    @property
    def ledger(self) -> SharedLedger:
        """The pipeline's own ledger.

        Raises:
            LedgerError: It cannot be opened.
        """
        return self._store.opened()

    # What the keeper of holds does with the ledger, on the worker.

    def use_ledger(self, work: Callable[[SharedLedger], None]) -> bool:
        """Does something with the ledger between two batches; False where that fails."""
        with self._work:
            return self._store.use(work)

    def write_back(self) -> None:
        """Writes what is to be released, without entries."""
        with self._work:
            writer = self.admission.writer(()) if self.admission is not None else None
            if writer is not None and self._store.ready:
                self._store.try_append((), writer)

    def settle_now(self) -> None:
        """Brings everything that was settled into the ledger, and gives back what is leased and free."""
        self.flush(SETTLE_SECONDS)
        if self.admission is not None:
            self.admission.retire()
            self.write_back()

    # What instruments and exporters read.

    def series(self) -> Iterable[tuple[SeriesKey, SeriesTotal]]:
        """The totals of this process's own calls."""
        return self._parts.series.totals()

    def budget_totals(self) -> Iterable[tuple[names.Metric, Mapping[str, str], float]]:
        """What this process's own calls cost each budget: (metric, attributes, value)."""
        return self.budget_series.totals()

    def admits(self) -> bool:
        """False while spend cannot be kept and `on_store_error` is not `allow`: ask before a costly call."""
        return not self._store.refusing

    def budget_states(self) -> list[BudgetState]:
        """How full every budget is now, with the spend of all processes that share the ledger."""
        with self._work:
            return budget_states(self._parts.budgets, self._store, self.clock_ns(), self.admission)

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → count, in the metric's unit times its divisor."""
        with self._work:
            health: Counter[tuple[str, str]] = Counter(self._parts.booker.tallies)
            health.update(self._store.tallies)
            for name, count in self._parts.further().items():
                health[name] += count
            forgotten = self._parts.counter.forgotten
        health.update(self._lost)
        if self.admission is not None:
            health.update(self.admission.health())
        health[names.SPANS_SEEN.name, ""] = self._seen + len(self._queue)
        health[names.QUEUE_DEPTH.name, ""] = len(self._queue)
        health[names.CALLS_FORGOTTEN.name, ""] = forgotten
        since = self._unflushed_since_ns
        health[names.UNFLUSHED_USD.name, ""] = self._store.waiting_cost
        health[names.UNFLUSHED_SECONDS.name, ""] = max(0, self.clock_ns() - since) if since else 0
        for dimension, count in self._parts.series.overflowed().items():
            health[names.SERIES_OVERFLOWED.name, dimension] = count
        health[names.COUNTERS_HELD_USD.name, ""] = self._parts.series.held()
        return health

    def charge(self, trace_id: int, span_id: int, wait_seconds: float = 0.0) -> PricedCall | None:
        """The price of the call that a span was the first to describe.

        Args:
            trace_id: 128-bit trace id.
            span_id: 64-bit span id.
            wait_seconds: How long to book waiting spans first, at most.

        Returns:
            The call; None where the span was merged into another one, is no call, or is forgotten.
        """
        if wait_seconds > 0 and self._waiting():
            self.flush(wait_seconds)
        with self._work:
            entry: Entry | None = self._parts.counter.first_described(trace_id, span_id)
            return entry.priced if entry is not None else None


def _nothing() -> None:
    """Nobody waits for what is booked."""


def _observed(record: Mapping[str, Any]) -> Observed:
    """A span that the spool kept."""
    link = record.get("link")
    what = Link(*link) if link is not None else record_to_call(record["call"])
    return Observed(what, bool(record.get("sampled")))
