"""A process for the tests to kill and to crowd: loads a ledger, appends to it, or forks while it is busy."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from soak_spans import BUDGETS, GENAI, call_attributes, finished_span

from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.instrument import instrument, uninstrument
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.wiring import open_pipeline

SPANS_AT_ONCE = 37
FORKS = 12
CHILD_SPANS = 40
CHILD_SECONDS_MAX = 20
"""A child that hangs is ended by its alarm, and the parent sees it."""


def config_of(ledger: str) -> Config:
    return parse_config(
        f'ledger: {{url: "sqlite:///{ledger}"}}\nmetrics: {{exporter: none}}\n{BUDGETS}', "soak"
    )


def say(*numbers: int) -> None:
    """One line with numbers, out at once."""
    sys.stdout.write(" ".join(map(str, numbers)) + "\n")
    sys.stdout.flush()


def settled_by_flush(pipeline: Pipeline, numbers: list[int]) -> bool:
    """Whether `flush` answers that the ledger has everything."""
    return pipeline.flush()


def settled_by_worker(pipeline: Pipeline, numbers: list[int]) -> bool:
    """Waits for the worker alone, until the last span's price is told: then its batch is in the ledger."""
    last = numbers[-1] + 1
    while pipeline.charge(last, last) is None:
        time.sleep(0.001)
    return True


def load(ledger: str, settled: Callable[[Pipeline, list[int]], bool]) -> None:
    """Observes spans for ever, and prints the numbers of those that must survive a kill from now on."""
    pipeline = open_pipeline(config_of(ledger))
    numbers = count()
    while True:
        some = [next(numbers) for _ in range(SPANS_AT_ONCE)]
        for number in some:
            pipeline.observe(finished_span(number, time.time_ns()))
        if settled(pipeline, some):
            say(*some)


def append(ledger: str, first: int, spans: int) -> None:
    """Observes so many spans, and stops well."""
    pipeline = open_pipeline(config_of(ledger))
    for number in range(first, first + spans):
        pipeline.observe(finished_span(number, time.time_ns()))
    pipeline.shutdown()


def end_spans(provider: TracerProvider, first: int, spans: int) -> None:
    tracer = provider.get_tracer(GENAI, "1.3b0")
    for number in range(first, first + spans):
        tracer.start_span("chat gpt-5", attributes=call_attributes(number)).end()


def fork(ledger: str) -> int:
    """Forks again and again while threads end spans; prints how many spans were ended by all processes."""
    provider = TracerProvider(shutdown_on_exit=False)
    instrument(config_of(ledger), tracer_provider=provider)
    stop = threading.Event()
    ended = [0] * 4

    def keep_busy(which: int) -> None:
        while not stop.is_set():
            end_spans(provider, which * 1_000_000 + ended[which], 10)
            ended[which] += 10
            stop.wait(0.002)  # a service, not a flood: the children want the ledger too

    threads = [threading.Thread(target=keep_busy, args=(which,)) for which in range(len(ended))]
    for thread in threads:
        thread.start()
    firsts = (10_000_000 * (number + 1) for number in range(FORKS))
    code = next((code for first in firsts if (code := forked(provider, first))), 0)
    stop.set()
    for thread in threads:
        thread.join()
    uninstrument()
    say(sum(ended) + FORKS * CHILD_SPANS)
    return code


def forked(provider: TracerProvider, first: int) -> int:
    """A child that ends spans of its own; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.alarm(CHILD_SECONDS_MAX)
        end_spans(provider, first, CHILD_SPANS)
        uninstrument()
        code = 0
    finally:
        os._exit(code)


def main(what: str, ledger: str) -> int:
    Path(ledger).parent.mkdir(exist_ok=True)
    if what == "fork":
        return fork(ledger)
    load(ledger, settled_by_flush if what == "flush" else settled_by_worker)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
