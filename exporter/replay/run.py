"""Replays spans into a ledger: the same reading, counting and pricing as live, without threads."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from spanbudget.exporter.budget_states import budget_states
from spanbudget.exporter.config import Config
from spanbudget.exporter.entry_store import STANDING_MAX
from spanbudget.exporter.ledger import DurableLedger
from spanbudget.exporter.ledger.touched import touched_calls
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.exporter.replay.ancestors import with_ancestors
from spanbudget.exporter.wiring import make_parts
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Booking
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.ledger import Entry
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.spans import SpanRecord

BATCH: Final = 512
"""Spans that are booked in one transaction."""


class Replay:
    """One replay: spans in, entries in the ledger, and what this run has touched.

    Args:
        ledger: Where entries go; replaying the same spans again changes nothing.
        config: Budgets, prices and rules.
        retention: True refuses calls that are older than the configured retention.

    Raises:
        LedgerError: The ledger cannot be used.
    """

    def __init__(self, ledger: DurableLedger, config: Config, *, retention: bool) -> None:
        self._ledger = ledger
        self._parts = make_parts(
            config, PriceBook(GenaiPriceTable(), config.prices), live=False, retention=retention
        )
        self._touched = touched_calls(ledger)
        self.spans = 0
        self.newest_ns = 0

    def run(
        self,
        spans: Iterable[SpanRecord],
        now_ns: int,
        explain: Callable[[SpanRecord, Booking], None] | None = None,
    ) -> None:
        """Books spans in their order.

        Args:
            spans: The spans.
            now_ns: Nanoseconds since the epoch, for the retention.
            explain: Told of each span and its booking.

        Raises:
            LedgerError: The ledger cannot be written; what was booked before stays.
        """
        waiting = with_ancestors(spans)
        while batch := list(islice(waiting, BATCH)):
            bookings = self._book(batch, now_ns)
            self.spans += len(batch)
            self.newest_ns = max(self.newest_ns, *(span.end_ns for span in batch))
            if explain is not None:
                for span, booking in zip(batch, bookings, strict=True):
                    explain(span, booking)

    def _book(self, batch: list[SpanRecord], now_ns: int) -> list[Booking]:
        booker = self._parts.booker
        observed = [booker.read(span) for span in batch]
        for since_ns, until_ns in booker.unloaded(observed, now_ns):
            booker.remember(self._ledger.standing(since_ns, until_ns, limit=STANDING_MAX))
        bookings = [booker.book(one, now_ns) for one in observed]
        self._ledger.append([entry for booking in bookings for entry in booking.entries])
        counted = (booking.decision.counted for booking in bookings)
        self._touched.touch([one.booked for one in counted if one is not None and one.booked is not None])
        return bookings

    def calls(self) -> Iterator[Entry]:
        """The calls of the replayed spans as they stand in the ledger, by end time."""
        return self._touched.standing()

    def decisions(self) -> dict[str, int]:
        """How many spans were counted, merged, skipped and rejected, by reason: `merged: response_id`."""
        tallies = Counter(self._parts.booker.tallies)
        tallies.update(self._parts.further())
        prefix = "spanbudget.spans."
        return {
            f"{name.removeprefix(prefix)}: {reason}": count
            for (name, reason), count in sorted(tallies.items())
            if name.startswith(prefix) and name != names.SPANS_LATE.name and count
        }

    def budget_states(self, at_ns: int) -> list[BudgetState]:
        """Every budget in the window of a moment, with all that the ledger has."""
        return budget_states(self._parts.budgets, self._ledger, at_ns)

    def close(self) -> None:
        """Closes the ledger."""
        self._ledger.close()
