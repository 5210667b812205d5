"""What a hard limit costs: reserve and settle, leased and not, and calls a second of eight processes."""

import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the server that tests start, too

from live import worker_paused
from measure import Figure, Yardstick, chosen, median_ratio, tell
from postgres_server import PostgresServer, binaries

from spanbudget import BudgetExceeded
from spanbudget.exporter.admission.engine import Admission
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors.call import Usage

ROUNDS = chosen(3, 15)
PAIRS = chosen(200, 2_000)
SECONDS = chosen(1, 5)
PROCESSES = 8
THREADS = 32
AFFORDABLE = 100
TOKENS = 1_000  # of an answer; the request allows for eight times as many
LATENCY_SECONDS = 0.05
CALL = CallRequest(model="gpt-4o", provider="openai", input_tokens=1_000, max_tokens=500)
USAGE = Usage(input=1_000, cache_read=0, output=100)  # of 500 that were allowed


def config_of(url: str, budget: str) -> Config:
    prices = "prices: [{provider: openai, model: m, input: 1, output: 10}]"
    budgets = f"budgets: [{{name: a, period: total, hard_limit: true, {budget}}}]"
    return parse_config(f"ledger: {{url: '{url}'}}\n{prices}\n{budgets}", "benchmark")


@contextmanager
def opened(config: Config) -> Iterator[tuple[Pipeline, Admission]]:
    pipeline = open_pipeline(config)
    yield pipeline, pipeline.admission.engine  # type: ignore[union-attr]
    pipeline.shutdown()


def pair_us(engine: Admission, count: int) -> float:
    """The median of reserve and settle together, microseconds of the clock."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        engine.reserve(CALL).settle(usage=USAGE)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1_000


def pair_figures(url: str, name: str, bound: str) -> list[Figure]:
    """Reserve and settle beside an OTel span; unleased, every call asks the store for what it needs."""
    yardstick = Yardstick()
    yardstick.make(2_000)
    leased, paused, unleased = [], [], []
    with opened(config_of(url, "max_cost: 1000000")) as (pipeline, engine):
        pair_us(engine, PAIRS)
        for _ in range(ROUNDS):
            pipeline.flush()
            span_us = yardstick.us(PAIRS)
            leased.append((pair_us(engine, PAIRS), span_us))
            with worker_paused(pipeline):
                paused.append((pair_us(engine, PAIRS), span_us))
            pipeline.flush()
            unleased.append((unleased_us(pipeline, engine, PAIRS // 10), yardstick.us(PAIRS)))
    return [
        Figure(f"reserve and settle, leased, {name}", "≤ 0.6", median_ratio(leased), "spans", 2),
        Figure(f"the same, worker paused, {name}", "", median_ratio(paused), "spans", 2),
        Figure(f"reserve and settle, not leased, {name}", bound, median_ratio(unleased), "spans", 2),
    ]


def unleased_us(pipeline: Pipeline, engine: Admission, count: int) -> float:
    """As `pair_us`, with nothing leased before each call."""
    times = []
    for _ in range(count):
        pipeline.settle_now()
        began = time.perf_counter_ns()
        engine.reserve(CALL).settle(usage=USAGE)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1_000


def spend_all(url: str, start: object, out: object) -> None:
    """A process that makes leased calls for some seconds, and then waits until the ledger has them."""
    with opened(config_of(url, "max_cost: 1000000")) as (pipeline, engine):
        engine.reserve(CALL).settle(usage=USAGE)
        start.wait()  # type: ignore[attr-defined]
        count, until = 0, time.monotonic() + SECONDS
        while time.monotonic() < until:
            for _ in range(100):
                engine.reserve(CALL).settle(usage=USAGE)
            count += 100
        pipeline.flush(300)
        out.put(count)  # type: ignore[attr-defined]


def throughput(url: str) -> tuple[float, float]:
    """Calls a second that eight processes were admitted, and that were in the ledger, by the clock."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Event(), context.Queue()
    processes = [context.Process(target=spend_all, args=(url, start, out)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    time.sleep(5)
    began = time.monotonic()
    start.set()
    count = sum(out.get() for _ in processes)
    elapsed = time.monotonic() - began
    for process in processes:
        process.join()
    return count / SECONDS, count / elapsed


def crowd(url: str, start: object, out: object) -> None:
    """A process of 32 threads that call until they are refused."""
    budget = "max_cost: 1, on_exceed: clamp, wait_ms: 60000"
    counts, waits, lock = {"admitted": 0, "refused": 0}, [], threading.Lock()
    with opened(config_of(url, budget)) as (_, engine):
        request = CallRequest(model="m", provider="openai", input_tokens=0, max_tokens=8 * TOKENS)

        def work() -> None:
            while True:
                began = time.monotonic()
                try:
                    reservation = engine.reserve(request)
                except BudgetExceeded:
                    return
                with lock:
                    waits.append(time.monotonic() - began)
                time.sleep(LATENCY_SECONDS)
                tokens = min(TOKENS, reservation.max_tokens or TOKENS)
                reservation.settle(usage=Usage(input=0, cache_read=0, output=tokens))
                with lock:
                    counts["admitted"] += tokens == TOKENS

        start.wait()  # type: ignore[attr-defined]
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    out.put((counts["admitted"], waits))  # type: ignore[attr-defined]


def crowd_figures(url: str, name: str) -> list[Figure]:
    """Eight processes of 32 threads on a budget of 100 calls; each asks for eight times what it takes."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Event(), context.Queue()
    processes = [context.Process(target=crowd, args=(url, start, out)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    time.sleep(5)
    start.set()
    told = [out.get() for _ in processes]
    for process in processes:
        process.join()
    with opened(config_of(url, "max_cost: 1")) as (pipeline, _):
        state = pipeline.budget_states()[0]
    waits = sorted(wait for _, more in told for wait in more)
    over = max(0, state.spent.cost - 10**12)
    admitted = sum(one for one, _ in told)
    return [
        Figure(f"8 × 32 threads, max_tokens 8×: overspend, {name}", "0", over, "pico-USD", 0),
        Figure(f"the same: admitted of {AFFORDABLE} affordable, {name}", "≥ 98", admitted, "calls", 0),
        Figure(f"the same: median wait for money, {name}", "", waits[len(waits) // 2] * 1_000, "ms", 0),
        Figure(f"the same: longest wait for money, {name}", "", waits[-1] * 1_000, "ms", 0),
    ]


def figures(url: str, name: str, bound: str, more: str) -> list[Figure]:
    """All figures of one store; `more` makes a second URL for another ledger of it."""
    admitted, booked = throughput(url)
    return [
        *pair_figures(url, name, "≤ 5" if name == "SQLite" else ""),
        Figure(f"leased calls of 8 processes, admitted, {name}", bound, admitted, "calls/s", 0),
        Figure(f"the same, until all are in the ledger, {name}", "", booked, "calls/s", 0),
        *crowd_figures(more, name),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = (f"sqlite:///{Path(folder) / name}.db" for name in ("one", "other"))
        tell(figures(one, "SQLite", "≥ 100,000", other))
    found = binaries()
    if found is None:
        print("PostgreSQL is not measured: install Debian's package `postgresql`", file=sys.stderr)
        return
    server = PostgresServer(found)
    try:
        server.start()
        with server.connect() as connection:
            for name in ("one", "other"):
                connection.execute(f"CREATE DATABASE {name}")
        tell(figures(server.url("one"), "PostgreSQL", "≥ 30,000", server.url("other")))
    finally:
        server.remove()


if __name__ == "__main__":
    main()
