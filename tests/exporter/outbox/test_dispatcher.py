"""Real threads and a real store; what has to wait, waits for an event."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forked import succeeds_in_child
from kept_alerts import DAY, a_row

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.outbox.dispatcher import Dispatcher
from spanbudget.processors.names_out import (
    NOTIFICATIONS_DEAD,
    NOTIFICATIONS_FAILED,
    NOTIFICATIONS_SENT,
    NOTIFICATIONS_WAITING,
)

DELIVERING = """
import os, signal, sys
from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.outbox.dispatcher import Dispatcher
store, dies = open_alert_store(sys.argv[1]), sys.argv[2] == "dies"
def send(row):
    print(row.id, flush=True)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
dispatcher = Dispatcher(store, {"team": send})
dispatcher.start()
while store.waiting():
    dispatcher.wake()
assert dispatcher.stop(20)
store.close()
"""
SOON_SECONDS = 20.0


@pytest.fixture
def dispatch(store) -> Iterator[Callable[..., Dispatcher]]:
    made: list[Dispatcher] = []

    def start(senders, **more) -> Dispatcher:
        made.append(Dispatcher(store, senders, **more))
        made[-1].start()
        return made[-1]

    yield start
    assert all(one.stop(SOON_SECONDS) for one in made)


class Inbox:
    """A receiver that says when it was told what."""

    def __init__(self, *awaited: str) -> None:
        self.told: list[str] = []
        self.complete = threading.Event()
        self._awaited = set(awaited)

    def __call__(self, row: OutboxRow) -> None:
        self.told.append(row.id)
        if self._awaited <= set(self.told):
            self.complete.set()


def fresh(number: int, **changes) -> OutboxRow:
    now_ns = time.time_ns()
    return a_row(number, created_ns=now_ns, due_ns=now_ns, **changes)


def test_new_rows_are_delivered_and_counted(store, put, dispatch):
    inbox = Inbox("msg_1", "msg_2")
    dispatcher = dispatch({"team": inbox})
    put(fresh(1), fresh(2))
    dispatcher.wake()
    assert inbox.complete.wait(SOON_SECONDS)
    assert dispatcher.stop(SOON_SECONDS)
    dispatcher.tidy()
    assert inbox.told == ["msg_1", "msg_2"]
    assert dispatcher.health() == {
        (NOTIFICATIONS_SENT.name, "team"): 2,
        (NOTIFICATIONS_FAILED.name, "team"): 0,
        (NOTIFICATIONS_DEAD.name, "team"): 0,
        (NOTIFICATIONS_WAITING.name, "team"): 0,
    }


def test_a_receiver_that_hangs_or_is_down_delays_no_other_one(put, dispatch):
    hanging, released = threading.Event(), threading.Event()

    def hangs(row: OutboxRow) -> None:
        hanging.set()
        released.wait(SOON_SECONDS)

    def is_down(row: OutboxRow) -> None:
        raise DeliveryError("down", retry=True)

    inbox = Inbox(*(f"msg_{number}" for number in range(20, 30)))
    put(*(fresh(number, receiver="slow", group=f"g{number}") for number in range(10)))
    put(*(fresh(number, receiver="down", group=f"g{number}") for number in range(10, 20)))
    put(*(fresh(number, receiver="team", group=f"g{number}") for number in range(20, 30)))
    dispatch({"slow": hangs, "down": is_down, "team": inbox})
    assert hanging.wait(SOON_SECONDS)
    assert inbox.complete.wait(SOON_SECONDS)
    released.set()


def test_a_process_that_does_not_lead_sends_and_tidies_nothing(store, put, dispatch):
    asked = threading.Event()

    def leads() -> bool:
        asked.set()
        return False

    inbox = Inbox()
    put(fresh(1), fresh(2, receiver="gone", group="g"))
    dispatcher = dispatch({"team": inbox}, leads=leads)
    assert asked.wait(SOON_SECONDS)
    assert dispatcher.stop(SOON_SECONDS)
    assert inbox.told == []
    assert len(store.letters("waiting")) == 2


def test_rows_of_a_receiver_that_is_gone_are_dead_letters_after_a_day(store, put):
    put(a_row(1, receiver="gone", created_ns=0), fresh(2, receiver="gone"))
    dispatcher = Dispatcher(store, {"team": Inbox()})
    dispatcher.tidy()
    assert [row.id for row in store.letters("dead")] == ["msg_1"]
    health = dispatcher.health()
    assert health[NOTIFICATIONS_DEAD.name, "gone"] == health[NOTIFICATIONS_WAITING.name, "gone"] == 1


def test_what_ended_long_ago_is_purged(store, put):
    put(a_row(1))
    store.sent("msg_1", time.time_ns() - 8 * DAY)
    Dispatcher(store, {}).tidy()
    assert store.letters() == []


def test_a_store_that_fails_is_told_of_once_and_used_again(tmp_path, put, dispatch, caplog, store):
    """The table is gone for a while."""
    inbox = Inbox("msg_1")
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE alert_outbox RENAME TO away")
    failed = threading.Event()

    def clock_ns() -> int:
        failed.set()
        return time.time_ns()

    dispatcher = dispatch({"team": inbox}, clock_ns=clock_ns)
    assert failed.wait(SOON_SECONDS)
    while not caplog.records:
        dispatcher.wake()
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO alert_outbox")
    put(fresh(1))
    dispatcher.wake()
    assert inbox.complete.wait(SOON_SECONDS)
    assert len([record for record in caplog.records if "no such table" in record.message]) <= 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that is what is tested
def test_a_forked_child_sends_nothing_and_stops_at_once(put, dispatch):
    dispatcher = dispatch({"team": Inbox()})

    def stop() -> None:
        dispatcher.wake()
        assert dispatcher.stop(SOON_SECONDS)

    assert succeeds_in_child(stop)


def test_stopping_does_not_wait_for_ever_for_a_sender_that_hangs(put, store):
    hanging, released = threading.Event(), threading.Event()

    def hangs(row: OutboxRow) -> None:
        hanging.set()
        released.wait(SOON_SECONDS)

    put(fresh(1))
    dispatcher = Dispatcher(store, {"team": hangs})
    dispatcher.start()
    assert hanging.wait(SOON_SECONDS)
    assert not dispatcher.stop(0.01)
    released.set()
    assert dispatcher.stop(SOON_SECONDS)
    assert [row.state for row in store.letters()] == ["sent"]


def test_what_was_on_its_way_when_the_process_was_killed_is_sent_again_and_nothing_twice_after(
    outbox_url, put, store
):
    """`kill -9` after the receiver took msg_1 and before that was marked: the same id again, then no more."""
    put(fresh(1), fresh(2))
    store.close()

    def delivered(how: str) -> tuple[list[str], int]:
        command = [sys.executable, "-c", DELIVERING, outbox_url, how]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
        return done.stdout.split(), done.returncode

    assert delivered("dies") == (["msg_1"], -signal.SIGKILL)
    assert delivered("lives") == (["msg_1", "msg_2"], 0)
    assert delivered("lives") == ([], 0)
    again = open_alert_store(outbox_url)
    assert {row.state for row in again.letters()} == {"sent"}
    again.close()
