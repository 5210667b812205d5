"""From spans made beforehand through three matching budgets into SQLite, spans a second in one process.

One thread hands the spans over and books them; every span is a new call that is priced and appended. The
spans lie ready in memory, so the garbage collector is told to leave them alone (`gc.freeze`): they are the
benchmark's own, an application's are gone by then. The ledger is a file on the disk of the temporary folder.
The figure by CPU time stands beside the one by the clock: they are the same where nobody else works.
"""

import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from live import await_worker, book_all, open_live, worker_paused
from measure import Figure, chosen, tell
from spans import AHEAD_NS, made_spans

from spanbudget.exporter.pipeline import Pipeline

CHUNK = chosen(2_000, 100_000)
CHUNKS = chosen(3, 11)
EARLY = 5  # chunks of the second figure


class Taken(NamedTuple):
    """What booking one chunk took, in seconds by the clock and of the process's CPU time."""

    clock: float
    cpu: float


def booked_in(pipeline: Pipeline, number: int) -> Taken:
    """Books one chunk that lies ready."""
    made = list(made_spans(number * CHUNK, CHUNK, time.time_ns() + AHEAD_NS))
    await_worker(pipeline, made[0])
    gc.collect()
    gc.freeze()
    before = Taken(time.perf_counter(), time.process_time())
    book_all(pipeline, made[1:])
    taken = Taken(time.perf_counter() - before.clock, time.process_time() - before.cpu)
    gc.unfreeze()
    return taken


def figures(what: str, chunks: list[Taken]) -> list[Figure]:
    clock, cpu = (CHUNK / statistics.mean(times) for times in zip(*chunks, strict=True))
    return [
        Figure(f"{what} into SQLite", "≥ 50,000", clock, "spans/s"),
        Figure(f"{what}, by CPU time", "", cpu, "spans/CPU s"),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = open_live(Path(folder))
        with worker_paused(pipeline):
            chunks = [booked_in(pipeline, number) for number in range(CHUNKS)]
        pipeline.flush()
        booked = sum(total.requests for _, total in pipeline.series())
        pipeline.shutdown()
    assert booked == CHUNK * CHUNKS, booked  # noqa: S101 - a benchmark that loses spans measures nothing
    tell(figures(f"first {CHUNK:,} spans", chunks[:1]))
    tell(figures(f"first {CHUNK * len(chunks[:EARLY]):,} spans", chunks[:EARLY]))
    tell(figures(f"spans after {CHUNK * (CHUNKS - 1):,} rows", chunks[-1:]))


if __name__ == "__main__":
    main()
