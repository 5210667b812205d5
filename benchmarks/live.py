"""A pipeline as an application has it: a SQLite file, the price table, three budgets for every call."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.pipeline import BATCH_MAX, Pipeline
from spanbudget.exporter.wiring import open_pipeline

THREE_BUDGETS = """\
ledger: {{url: "sqlite:///{ledger}"}}
metrics: {{exporter: none}}
budgets:
  - {{name: everything, max_cost: 100000, period: monthly}}
  - {{name: production, max_cost: 5000, period: daily, match: {{deployment.environment.name: production}}}}
  - {{name: per-user, per: [user], max_cost: 500, period: daily}}
"""


def open_live(folder: Path) -> Pipeline:
    """A running pipeline with its ledger in a folder."""
    return open_pipeline(parse_config(THREE_BUDGETS.format(ledger=folder / "ledger.db"), "benchmark"))


@contextmanager
def worker_paused(pipeline: Pipeline) -> Iterator[None]:
    """Keeps the worker from working: it waits for the lock that this thread holds, and may tick under.

    No span may be waiting. Give it one first: a worker that is not yet awake would be woken by each span.
    """
    with pipeline._work:  # noqa: SLF001 - the lock that the worker works under; there is no other way to pause it
        yield


def book_all(pipeline: Pipeline, spans: list[ReadableSpan]) -> None:
    """Hands spans over and books them, batch by batch, on this thread."""
    for start in range(0, len(spans), BATCH_MAX):
        for span in spans[start : start + BATCH_MAX]:
            pipeline.observe(span)
        pipeline.tick(time.time_ns())


def await_worker(pipeline: Pipeline, span: ReadableSpan) -> None:
    """Hands a span over and waits until the worker has woken up for it, and waits for its lock."""
    pipeline.observe(span)
    while pipeline._idle:  # noqa: SLF001 - a worker that is idle is woken by every span
        time.sleep(0.001)
