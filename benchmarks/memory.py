"""Resident memory over millions of spans, each made, booked and dropped.

    python benchmarks/memory.py [--spans N]

Each span is a new call of a new trace with a new response id. The ledger's file lies on the disk of the
temporary folder and takes about 350 bytes a span.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from live import await_worker, book_all, open_live, worker_paused
from measure import JSON, Figure, chosen, tell
from spans import made_spans

from spanbudget.exporter.pipeline import BATCH_MAX

SPANS = chosen(20_000, 5_000_000)
SAMPLES = 20
WARM = 2  # samples until caches and memories have filled to their bounds


def resident_mb() -> float:
    """Resident memory of this process now, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def samples_of(spans: int, users: int) -> list[float]:
    """Resident memory after each twentieth of the spans, MB."""
    every = max(1, spans // SAMPLES // BATCH_MAX)
    measured: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        pipeline = open_live(Path(folder))
        with worker_paused(pipeline):
            await_worker(pipeline, next(made_spans(spans, 1, time.time_ns())))
            for batch in range(spans // BATCH_MAX):
                made = made_spans(batch * BATCH_MAX, BATCH_MAX, time.time_ns(), users=users)
                book_all(pipeline, list(made))
                if (batch + 1) % every == 0:
                    measured.append(resident_mb())
                    if not JSON:
                        print(f"{(batch + 1) * BATCH_MAX:>12,} spans {measured[-1]:8.1f} MB", flush=True)
        pipeline.shutdown()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=SPANS)
    parser.add_argument("--users", type=int, default=50, help="how many users make the calls")
    given = parser.parse_args()
    measured = samples_of(given.spans, given.users)
    after = given.spans * WARM // SAMPLES
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 1e6
    tell(
        [
            Figure(f"resident after {after:,} spans", "", measured[WARM - 1], "MB"),
            Figure(f"resident after {given.spans:,} spans", "flat", measured[-1], "MB"),
            Figure("most ever resident", "", peak_mb, "MB"),
        ]
    )


if __name__ == "__main__":
    main()
