"""What `on_end` costs the application: thread time of the caller, in OTel spans with 15 attributes."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from live import await_worker, open_live, worker_paused
from measure import Figure, Yardstick, chosen, median_ratio, tell, thread_us
from opentelemetry.sdk.trace import ReadableSpan
from spans import AHEAD_NS, made_spans

from spanbudget.exporter.pipeline import Pipeline
from spanbudget.processors.span_processor import BudgetSpanProcessor

ROUNDS = chosen(3, 31)
SPANS = chosen(200, 2_000)  # of one round, below the bound of the queue


def end_all(processor: BudgetSpanProcessor, spans: Sequence[ReadableSpan]) -> None:
    on_end = processor.on_end
    for span in spans:
        on_end(span)


def paused_us(pipeline: Pipeline, processor: BudgetSpanProcessor, spans: Sequence[ReadableSpan]) -> float:
    with worker_paused(pipeline):
        await_worker(pipeline, spans[0])
        return thread_us(lambda: end_all(processor, spans[1:]), len(spans) - 1)


def live_us(processor: BudgetSpanProcessor, spans: Sequence[ReadableSpan]) -> float:
    return thread_us(lambda: end_all(processor, spans), len(spans))


def main() -> None:
    yardstick = Yardstick()
    yardstick.make(2_000)
    paused, live, spans_us = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        pipeline = open_live(Path(folder))
        processor = BudgetSpanProcessor(pipeline, reraise=True)
        for number in range(ROUNDS):
            made = list(made_spans(number * 2 * SPANS, 2 * SPANS, time.time_ns() + AHEAD_NS))
            span_us = yardstick.us(SPANS)
            spans_us.append(span_us)
            paused.append((paused_us(pipeline, processor, made[:SPANS]), span_us))
            pipeline.flush()
            live.append((live_us(processor, made[SPANS:]), span_us))
            pipeline.flush()
        booked = sum(total.requests for _, total in pipeline.series())
        pipeline.shutdown()
    assert booked == ROUNDS * 2 * SPANS, booked  # noqa: S101 - a benchmark that loses spans measures nothing
    tell(
        [
            Figure("one OTel span with 15 attributes", "", statistics.median(spans_us), "µs", 1),
            Figure("`on_end`, worker paused", "≤ 0.15", median_ratio(paused), "spans", 3),
            Figure("`on_end`, worker live", "", median_ratio(live), "spans", 3),
        ]
    )


if __name__ == "__main__":
    main()
