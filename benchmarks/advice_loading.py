"""How fast calls come from a SQLite ledger into the table that advice reads, and what a row takes in memory.

The ledger is made here, of priced calls of 50 users; no file is needed. The figure by CPU time stands beside
the one by the clock: they are the same where nobody else works.
"""

import statistics
import tempfile
import time
from pathlib import Path

from measure import Figure, chosen, tell
from spans import made_spans

from spanbudget.exporter.advice.loading import load_calls
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger import DurableLedger, open_ledger
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.exporter.wiring import make_parts
from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.spans import record_of

CALLS = chosen(5_000, 300_000)
CHUNK = 5_000
ROUNDS = chosen(1, 5)
HOUR_NS = 3_600_000_000_000


def filled(path: Path, now_ns: int) -> DurableLedger:
    """A ledger with calls of the last hour."""
    ledger = open_ledger(f"sqlite:///{path}")
    booker = make_parts(Config(), PriceBook(GenaiPriceTable(), ())).booker
    for first in range(0, CALLS, CHUNK):
        spans = made_spans(first, CHUNK, now_ns - HOUR_NS + first * 10_000)
        bookings = [booker.book(booker.read(record_of(span)), now_ns) for span in spans]
        ledger.append([entry for booking in bookings for entry in booking.entries])
    return ledger


def main() -> None:
    clock, cpu = [], []
    now_ns = time.time_ns()
    with tempfile.TemporaryDirectory() as folder:
        ledger = filled(Path(folder) / "ledger.db", now_ns)
        for _ in range(ROUNDS):
            before, before_cpu = time.perf_counter(), time.process_time()
            loaded = load_calls(ledger, 0, now_ns)
            clock.append(CALLS / (time.perf_counter() - before))
            cpu.append(CALLS / (time.process_time() - before_cpu))
            assert len(loaded.frame) == CALLS  # noqa: S101 - a benchmark that loses calls measures nothing
        ledger.close()
    bytes_each = int(loaded.frame.memory_usage(deep=True).sum()) / CALLS
    tell(
        [
            Figure("calls of a SQLite ledger into the table of advice", "≥ 100,000", max(clock), "calls/s"),
            Figure("the same by CPU time, median", "", statistics.median(cpu), "calls/CPU s"),
            Figure("memory of a call in that table", "≤ 1,000", bytes_each, "B"),
        ]
    )


if __name__ == "__main__":
    main()
