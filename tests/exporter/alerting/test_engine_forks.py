"""The engine stands still while a thread forks: what its threads hold in SQLite, no child could release."""

import os
import threading
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from forked import in_child

THRESHOLDS = "budgets: [{name: prod, max_cost: 1, period: daily, alerts: {thresholds: [50]}}]"


def working(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@contextmanager
def another_thread_holding(lock):
    """Another thread holds a lock until the end."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            over.wait()

    thread = working(hold)
    held.wait()
    yield
    over.set()
    thread.join()


def test_an_engine_that_is_paused_lets_neither_rules_nor_couriers_to_the_ledger(start):
    one = start(THRESHOLDS)
    one.step()
    assert one.engine.pause(5)
    threads = [working(one.engine._tick_safely), working(one.engine._store.waiting)]
    for thread in threads:
        thread.join(0.05)
        assert thread.is_alive()
    one.engine.resume()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_an_engine_that_cannot_be_paused_in_time_goes_on(start):
    one = start(THRESHOLDS)
    one.step()
    for lock in (one.engine._ticking, one.engine._store.database._lock):
        with another_thread_holding(lock):
            assert not one.engine.pause(0.01)
    one.spend(60)
    one.step()
    assert one.engine.pause(5)
    one.engine.resume()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_paused_engine_can_lead(start):
    one = start(THRESHOLDS)
    one.step()
    assert one.engine.pause(5)

    def lead() -> None:
        one.pipeline.after_fork()
        one.engine.after_fork()
        one.clock.now_ns += 20 * 10**9  # the parent's lease has run out
        one.engine.tick(one.clock.now_ns)
        assert one.engine._lead is not None

    child = in_child(lead)
    one.engine.resume()
    assert os.waitpid(child, 0)[1] == 0
    one.step()
