"""A live pipeline that is killed, locked out, out of room or crowded loses nothing that it took over."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from forked import in_child
from ledger_totals import Totals, totals_of
from soak_child import append
from soak_spans import BUDGETS, finished_span

from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.entry_store import EntryStore
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.spool import Spool
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.exporter.wiring import make_parts
from spanbudget.processors import names_out as names
from spanbudget.processors.overrides import PriceBook

CHILD = Path(__file__).with_name("soak_child.py")
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))
SECONDS_MAX = 120
END_NS = time.time_ns()


def config() -> Config:
    return parse_config("metrics: {exporter: none}\n" + BUDGETS, "soak")


def limit_pages(ledger: Any, pages: int) -> None:
    with ledger.reading() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages}")


@contextmanager
def pipeline_on(
    path: Path, *, queue_max_spans: int = 10_000, busy_seconds: float = 0.05
) -> Iterator[Pipeline]:
    """A pipeline that gives up on a locked ledger at once."""
    settings, table, spool = config(), GenaiPriceTable(), Spool(path)
    pipeline = Pipeline(
        make_parts=lambda: make_parts(settings, PriceBook(table, ())),
        store=EntryStore(partial(open_ledger, f"sqlite:///{path}", busy_timeout_seconds=busy_seconds), spool),
        spool=spool,
        queue_max_spans=queue_max_spans,
    )
    try:
        yield pipeline
    finally:
        pipeline.shutdown()


def observe(pipeline: Pipeline, first: int, count: int) -> None:
    for number in range(first, first + count):
        pipeline.observe(finished_span(number, END_NS + number))


def expected(folder: Path, count: int) -> Totals:
    """What a ledger comes to when nothing happens to it."""
    path = folder / "expected.db"
    with pipeline_on(path) as pipeline:
        observe(pipeline, 0, count)
    return totals_of(path)


def until(settled: Callable[[], bool]) -> None:
    """Tries again until it is so; fails at the bound, which is far away."""
    deadline = time.monotonic() + SECONDS_MAX
    while not settled():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def health(pipeline: Pipeline, metric: names.Metric) -> int:
    return sum(count for (name, _), count in pipeline.health().items() if name == metric.name)


def recover(path: Path) -> None:
    """What the next process does: it opens the ledger, and takes what the dead one's spool holds."""
    with pipeline_on(path, busy_seconds=5.0) as pipeline:
        until(pipeline.flush)


def killed_under_load(ledger: Path, how: str, lines: int) -> set[int]:
    """Kills a process in the middle of its work; answers the span ids that it had called safe."""
    safe: set[int] = set()
    command = [sys.executable, str(CHILD), how, str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            safe.update(int(number) + 1 for number in process.stdout.readline().split())
        process.kill()
        for line in process.stdout:  # said before the kill; the last line may be torn
            if line.endswith("\n"):
                safe.update(int(number) + 1 for number in line.split())
    return safe


@pytest.mark.parametrize("how", ["flush", "worker"])
def test_what_was_settled_survives_a_kill_under_load(tmp_path, how):
    ledger = tmp_path / "ledger.db"
    safe = killed_under_load(ledger, how, lines=5)
    assert len(safe) > 100
    recover(ledger)
    assert safe <= totals_of(ledger).span_ids


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("how", ["flush", "worker"])
def test_what_was_settled_survives_many_kills_under_load(tmp_path, how):
    chance = random.Random()
    for number in range(ROUNDS):
        ledger = tmp_path / f"{number}.db"
        safe = killed_under_load(ledger, how, chance.randint(1, 40))
        recover(ledger)
        assert safe <= totals_of(ledger).span_ids


def test_a_ledger_that_is_locked_for_a_while_gets_everything_later(tmp_path):
    ledger = tmp_path / "ledger.db"
    with pipeline_on(ledger) as pipeline:
        observe(pipeline, 0, 100)
        assert pipeline.flush()
        with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            observe(pipeline, 100, 300)
            assert not pipeline.flush()
            assert health(pipeline, names.ENTRIES_SPOOLED) == 300
            other.execute("ROLLBACK")
        observe(pipeline, 400, 100)
        until(pipeline.flush)
        assert health(pipeline, names.ENTRIES_LOST) == 0
    assert totals_of(ledger) == expected(tmp_path, 500)


def test_a_ledger_without_room_gets_everything_later(tmp_path):
    """`max_page_count` makes SQLite say that the disk is full; the spool beside it has room."""
    ledger = tmp_path / "ledger.db"
    with pipeline_on(ledger) as pipeline:
        observe(pipeline, 0, 100)
        assert pipeline.flush()
        limit_pages(pipeline._store.opened(), 1)  # the least that it takes: what the file has now
        observe(pipeline, 100, 5_000)
        assert not pipeline.flush()
        assert health(pipeline, names.ENTRIES_SPOOLED) > 0
        limit_pages(pipeline._store.opened(), 1_073_741_823)
        until(pipeline.flush)
        assert health(pipeline, names.ENTRIES_LOST) == 0
    assert totals_of(ledger) == expected(tmp_path, 5_100)


def test_a_locked_ledger_and_a_stop_leave_the_rest_to_the_next_process(tmp_path):
    ledger = tmp_path / "ledger.db"
    with pipeline_on(ledger) as pipeline:
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        observe(pipeline, 0, 500)
    other.execute("ROLLBACK")
    other.close()
    assert totals_of(ledger).calls == []
    recover(ledger)
    assert totals_of(ledger) == expected(tmp_path, 500)


def test_a_full_queue_with_many_threads_loses_nothing(tmp_path):
    ledger = tmp_path / "ledger.db"
    with pipeline_on(ledger, queue_max_spans=10) as pipeline:
        threads = [threading.Thread(target=observe, args=(pipeline, first * 300, 300)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(pipeline.flush)
        assert health(pipeline, names.SPANS_SPOOLED) > 0
        assert health(pipeline, names.SPANS_LOST) == 0
        assert health(pipeline, names.SPANS_SEEN) == 2_400
    assert totals_of(ledger) == expected(tmp_path, 2_400)


def test_eight_processes_share_one_ledger(tmp_path):
    ledger = tmp_path / "ledger.db"
    spans = 400
    children = [in_child(partial(append, str(ledger), one * spans, spans)) for one in range(8)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    recover(ledger)  # what a process could not append while the others did is in its spool
    totals, whole = totals_of(ledger), expected(tmp_path, 8 * spans)
    assert totals.calls == whole.calls
    assert totals.requests("everything") == 8 * spans


def test_forks_while_busy_lose_nothing_and_count_nothing_twice(tmp_path):
    ledger = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, str(CHILD), "fork", str(ledger)],
        check=True, capture_output=True, text=True, timeout=SECONDS_MAX,
    )  # fmt: skip
    recover(ledger)
    assert totals_of(ledger).requests("everything") == int(done.stdout)
