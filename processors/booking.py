"""From spans to ledger entries: read, count once, price, put against budgets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from spanbudget.processors import names_out as names
from spanbudget.processors.budgets import BudgetBook
from spanbudget.processors.call import LLMCall, PricedCall
from spanbudget.processors.counting import CallCounter, Decision
from spanbudget.processors.evidence import OVERLAP_TOLERANCE_NS, seen_by
from spanbudget.processors.ledger import Entry, SpendKey, entry_id
from spanbudget.processors.reading import SpanReader
from spanbudget.processors.spans import SpanRecord
from spanbudget.processors.trace_memory import Counted

LATE_NS: Final = 5_000_000_000
"""A span that is handed over this long after its end (5 s) may belong to a window that has closed."""
LOOK_AHEAD_NS: Final = 60_000_000_000
"""How much later the other span of a call may end (60 s); it is asked for in the ledger."""
UNPRICED_MODELS_MAX: Final = 200
"""Models without a price that are counted by name; further ones are counted as `other`."""


_FOREVER_NS: Final = 1 << 63
_MERGED: Final = names.SPANS_MERGED.name
_SKIPPED: Final = names.SPANS_SKIPPED.name
_RESTATED: Final = names.SPANS_RESTATED.name
_NO_CALL: Final = (_SKIPPED, "no_call")
_COUNTED: Final = {word: (names.SPANS_COUNTED.name, word) for word in ("exact", "estimated", "unknown")}


class Prices(Protocol):
    """What prices a call; never raises."""

    def price(self, call: LLMCall) -> PricedCall:
        """The call with its cost."""
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """A span that is no call, but may stand between an agent and its calls.

    Attributes:
        trace_id: 128-bit trace id.
        span_id: 64-bit span id.
        parent_id: Span id of the parent, 0 where there is none.
        end_ns: End, nanoseconds since the epoch.
    """

    trace_id: int
    span_id: int
    parent_id: int
    end_ns: int


class Observed(NamedTuple):
    """A span, read.

    Attributes:
        what: The call, or the link where the span is no call.
        sampled: The span is exported.
        priced: The call with its price, where whoever made it has priced it already.
    """

    what: LLMCall | Link
    sampled: bool
    priced: PricedCall | None = None


class Booking(NamedTuple):
    """What one span changes.

    Attributes:
        decision: How it was counted.
        entries: What is to be appended, a reversal before the entry that replaces it.
        sampled: The span is exported.
    """

    decision: Decision
    entries: Sequence[Entry]
    sampled: bool = False


class Booker:
    """Books spans; safe for one thread.

    Args:
        reader: Reads spans.
        counter: Decides which span is counted.
        prices: Prices calls.
        budgets: Knows which running totals a call belongs to.
        retention_ns: Calls that ended longer ago are refused as `too_old`; None refuses none.
        own_from_ns: Since when this process counts; None where the spans are another's, as in a replay.
        look_back_ns: How long a call may have begun before its end, where the ledger is asked.

    Attributes:
        tallies: (metric name, reason) → count, of everything that happened to spans.
    """

    def __init__(
        self,
        *,
        reader: SpanReader,
        counter: CallCounter,
        prices: Prices,
        budgets: BudgetBook,
        retention_ns: int | None = None,
        own_from_ns: int | None = None,
        look_back_ns: int = 900_000_000_000,
    ) -> None:
        self._reader = reader
        self._counter = counter
        self._prices = prices
        self._budgets = budgets
        self._retention_ns = _FOREVER_NS if retention_ns is None else retention_ns
        self._own_from_ns = _FOREVER_NS if own_from_ns is None else own_from_ns
        self._look_back_ns = look_back_ns
        self._loaded = (0, 0)  # the times whose calls were taken from the ledger
        self.tallies: Counter[tuple[str, str]] = Counter()
        self._unpriced: set[str] = set()

    def read(self, span: SpanRecord) -> Observed:
        """Reads one span."""
        call = self._reader.read(span)
        if call is None:
            return Observed(Link(span.trace_id, span.span_id, span.parent_id, span.end_ns), span.sampled)
        return tuple.__new__(Observed, (call, span.sampled, None))  # without its slower __new__

    def unloaded(self, batch: Sequence[Observed], now_ns: int) -> list[tuple[int, int]]:
        """The times whose calls the ledger may know and memory does not; they count as loaded from now on.

        A span describes a call that memory has forgotten only if their times overlap. Calls that began in
        this process's own life are in memory, until they are too old for it.
        """
        since_ns, until_ns = 1 << 63, 0
        # Memory forgets before the batch, not in the middle of it, so that it is known what to ask for.
        newest_ns = max((what.end_ns for what, _, _ in batch if type(what) is not Link), default=0)
        horizon_ns, forgotten = self._counter.advance(newest_ns), False
        own_from, own_until = max(self._own_from_ns, horizon_ns), now_ns + LOOK_AHEAD_NS
        for what, _, _ in batch:
            if type(what) is not Link and not own_from <= what.start_ns <= own_until:  # type: ignore[union-attr]
                end_ns = what.end_ns
                since_ns = min(since_ns, max(what.start_ns, end_ns - self._look_back_ns))  # type: ignore[union-attr]
                until_ns = max(until_ns, end_ns)
                forgotten = forgotten or end_ns < horizon_ns
        if until_ns == 0:
            return []
        since_ns, until_ns = since_ns - OVERLAP_TOLERANCE_NS, until_ns + LOOK_AHEAD_NS
        loaded_from, loaded_until = self._loaded
        if loaded_until == 0:
            self._loaded = (since_ns, until_ns)
            return [(since_ns, until_ns)]
        self._loaded = (min(loaded_from, since_ns), max(loaded_until, until_ns))
        if forgotten:
            return [(since_ns, until_ns)]
        gaps = [(since_ns, loaded_from - 1), (loaded_until + 1, until_ns)]
        return [gap for gap in gaps if gap[0] <= gap[1]]

    def remember(self, standing: Sequence[Entry]) -> None:
        """Takes calls of the ledger into the counter's memory."""
        for entry in standing:
            self._counter.remember(entry)

    def book(self, observed: Observed, now_ns: int) -> Booking:
        """Decides, prices and books one span.

        Args:
            observed: The span.
            now_ns: Nanoseconds since the epoch.
        """
        what, sampled, given = observed
        if type(what) is Link:
            return self._book_link(what)
        call: LLMCall = what  # type: ignore[assignment]
        decision = self._counter.decide(call)
        action, reason, counted, replaced, taken_back = decision
        entries: list[Entry] = self._reversals(taken_back) if taken_back else []
        if action == "count":
            self.tallies[_COUNTED[call.usage_confidence]] += 1
        else:
            self.tallies[(_SKIPPED if action == "skip" else _MERGED), reason] += 1
            if given is not None and counted is not None and _lacks_price(decision, given):
                action, replaced = "restate", counted.booked
                counted.become(seen_by(counted.call, call))
            if action != "restate":
                return Booking(decision, entries, sampled)
            self.tallies[_RESTATED, reason] += 1
            if replaced is not None:
                entries.append(self._reverse(replaced))
        if counted is not None:
            price = given if counted.call is call else self._together(counted.call, given, replaced)
            counted.booked = entry = self._entry(counted.call, now_ns, price)
            if entry is not None:
                entries.append(entry)
        return tuple.__new__(Booking, (decision, entries, sampled))  # without its slower __new__

    def _together(self, call: LLMCall, given: PricedCall | None, replaced: Entry | None) -> PricedCall:
        """What a call costs of which two descriptions know something.

        What the application has told goes before everything; what was held for the call counts only where
        nothing else says what it cost.
        """
        known = [given, replaced.priced if replaced is not None else None]
        told = {priced.price_id: priced for priced in known if priced is not None}
        priced = told.get(names.TOLD_PRICE)
        if priced is None:
            priced = self._prices.price(call)
            if priced.cost is None:
                priced = told.get(names.HELD_PRICE, priced)
        return priced._replace(call=call)

    def _book_link(self, link: Link) -> Booking:
        decision = self._counter.decide_other(link.trace_id, link.span_id, link.parent_id, link.end_ns)
        self.tallies[_NO_CALL] += 1
        return Booking(decision, self._reversals(decision.taken_back) if decision.taken_back else ())

    def _reversals(self, taken_back: Sequence[Counted]) -> list[Entry]:
        """Takes counted aggregates back whose children turned up."""
        entries = []
        for counted in taken_back:
            if counted.booked is not None:
                entries.append(self._reverse(counted.booked))
                counted.booked = None
                self.tallies[_RESTATED, "aggregate"] += 1
        return entries

    def _entry(self, call: LLMCall, now_ns: int, given: PricedCall | None = None) -> Entry | None:
        age_ns = now_ns - call.end_ns
        if age_ns > self._retention_ns:
            self.tallies[names.SPANS_REJECTED.name, "too_old"] += 1
            return None
        priced = given or self._prices.price(call)
        if priced.cost is None:
            self._tally_unpriced(call)
        windows = self._budgets.windows_of(call)
        if age_ns > LATE_NS and windows and self._is_late(call, windows, now_ns):
            self.tallies[names.SPANS_LATE.name, "closed_window"] += 1
        return tuple.__new__(Entry, (entry_id(call), "call", priced, windows))  # without its slower __new__

    def _is_late(self, call: LLMCall, windows: tuple[SpendKey, ...], now_ns: int) -> bool:
        current = {key.budget: key.start_ns for key in windows}
        for budget, start_ns in current.items():
            window = self._budgets.budget(budget).period.window(now_ns)
            if window.start_ns != start_ns and call.end_ns < window.start_ns:
                return True
        return False

    def _tally_unpriced(self, call: LLMCall) -> None:
        model = call.model or "unknown"
        if model not in self._unpriced:
            if len(self._unpriced) >= UNPRICED_MODELS_MAX:
                model = "other"
            else:
                self._unpriced.add(model)
        self.tallies[names.CALLS_UNPRICED.name, model] += 1

    def _reverse(self, entry: Entry) -> Entry:
        windows = entry.windows or self._budgets.windows_of(entry.priced.call)
        return Entry(entry_id(entry.priced.call, "reversal"), "reversal", entry.priced, windows)


def _lacks_price(decision: Decision, given: PricedCall) -> bool:
    """Whether a span adds nothing to a counted call but what was held for it, and nothing else is known."""
    counted = decision.counted
    return (
        decision.action == "merge"
        and given.price_id == names.HELD_PRICE
        and counted is not None
        and counted.stands
        and counted.booked is not None
        and counted.booked.priced.cost is None
    )
