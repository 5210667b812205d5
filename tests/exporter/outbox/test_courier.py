"""One receiver, step by step, with a clock that only the test moves."""

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from kept_alerts import DAY, NOW_NS, SECOND, a_row

from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.outbox.courier import POLL_SECONDS, Courier
from spanbudget.exporter.outbox.retrying import RetryPolicy
from spanbudget.processors.errors import AlertStoreError

if TYPE_CHECKING:
    from collections.abc import Callable


class Receiver:
    """Notes what it is told; fails as it is asked to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: Callable[[OutboxRow], Exception | None] = lambda row: None

    def __call__(self, row: OutboxRow) -> None:
        self.told.append(row.id)
        error = self.fails(row)
        if error is not None:
            raise error


class Clock:
    now_ns = NOW_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def courier(store, receiver, clock) -> Courier:
    return Courier(
        "team",
        receiver,
        store,
        policy=RetryPolicy(),
        clock_ns=clock,
        jitter=lambda: 1.0,
        may_send=lambda: True,
    )


def down(row: OutboxRow) -> Exception:
    return DeliveryError("team: connection refused", retry=True)


def all_there_is(courier: Courier) -> float:
    while (pause_seconds := courier.deliver()) == 0:
        pass
    return pause_seconds


def test_rows_are_sent_in_order_and_once(courier, receiver, put, store):
    put(*(a_row(number) for number in range(5)), a_row(9, receiver="else"))
    assert all_there_is(courier) == POLL_SECONDS
    assert receiver.told == [f"msg_{number}" for number in range(5)]
    assert all_there_is(courier) == POLL_SECONDS
    assert courier.counts == {"sent": 5, "failed": 0, "dead": 0}
    assert store.waiting() == {"else": 1}


def test_a_failed_row_is_tried_again_when_its_time_has_come(courier, receiver, clock, put, store):
    """After 1 and then 2 seconds."""
    receiver.fails = down
    put(a_row(1))
    all_there_is(courier)
    clock.now_ns += SECOND - 1
    all_there_is(courier)
    assert len(receiver.told) == 1
    clock.now_ns += 1
    all_there_is(courier)
    clock.now_ns += 2 * SECOND
    receiver.fails = lambda row: None
    all_there_is(courier)
    assert receiver.told == ["msg_1"] * 3
    assert courier.counts == {"sent": 1, "failed": 2, "dead": 0}
    (row,) = store.letters("sent")
    assert (row.attempts, row.last_error) == (2, "team: connection refused")


def test_a_resolve_waits_for_its_firing_and_other_groups_do_not(courier, receiver, clock, put):
    receiver.fails = lambda row: down(row) if row.id == "msg_1" else None
    put(a_row(1), a_row(2), a_row(3, group="h"), a_row(4, group="h"))
    all_there_is(courier)
    assert receiver.told == ["msg_1", "msg_3", "msg_4"]
    receiver.fails = lambda row: None
    clock.now_ns += SECOND
    all_there_is(courier)
    assert receiver.told[3:] == ["msg_1", "msg_2"]


def test_what_the_receiver_will_never_take_is_a_dead_letter_at_once_and_the_next_one_goes(
    courier, receiver, put, store
):
    receiver.fails = lambda row: DeliveryError("HTTP 400", retry=False) if row.id == "msg_1" else None
    put(a_row(1), a_row(2))
    all_there_is(courier)
    assert receiver.told == ["msg_1", "msg_2"]
    assert [(row.id, row.last_error) for row in store.letters("dead")] == [("msg_1", "HTTP 400")]
    assert courier.counts == {"sent": 1, "failed": 1, "dead": 1}


def test_a_row_that_fails_for_a_day_is_a_dead_letter(courier, receiver, clock, put, store):
    receiver.fails = down
    put(a_row(1))
    while not store.letters("dead"):
        all_there_is(courier)
        clock.now_ns += 150 * SECOND
    assert DAY <= clock.now_ns - NOW_NS < DAY + 600 * SECOND
    assert 280 < len(receiver.told) < 300


def test_a_row_that_is_older_than_a_day_is_tried_once(courier, receiver, clock, put, store):
    receiver.fails = down
    put(a_row(1), a_row(2))
    clock.now_ns += 3 * DAY
    all_there_is(courier)
    assert receiver.told == ["msg_1", "msg_2"]
    assert len(store.letters("dead")) == 2


def test_a_receiver_that_asks_for_time_gets_it_for_all_groups(courier, receiver, clock, put):
    receiver.fails = lambda row: DeliveryError("HTTP 429", retry=True, retry_after_seconds=60.0)
    put(*(a_row(number, group=f"g{number}") for number in range(5)))
    all_there_is(courier)
    clock.now_ns += 60 * SECOND - 1
    assert courier.deliver() <= POLL_SECONDS
    assert receiver.told == ["msg_0"]
    receiver.fails = lambda row: None
    clock.now_ns += 1
    all_there_is(courier)
    assert len(receiver.told) == 6


def test_a_receiver_that_is_down_is_asked_less_and_less_however_many_groups_wait(
    courier, receiver, clock, put
):
    """200 groups wait for an hour: at first 3, then after 1, 2, 4, 8, 16 and from then on 30 seconds."""
    receiver.fails = down
    put(*(a_row(number, group=f"g{number}") for number in range(200)))
    for _ in range(3_600):
        all_there_is(courier)
        clock.now_ns += SECOND
    assert 100 < len(receiver.told) < 140
    receiver.fails = lambda row: None
    clock.now_ns += 300 * SECOND
    all_there_is(courier)
    assert courier.counts["sent"] == 200


@pytest.mark.parametrize("error", [ValueError("token=secret"), KeyError("secret")])
def test_a_sender_that_raises_anything_else_is_tried_again_and_its_text_is_not_kept(
    courier, receiver, put, store, error
):
    receiver.fails = lambda row: error
    put(a_row(1))
    all_there_is(courier)
    (row,) = store.letters("waiting")
    assert row.last_error == f"the sender raised {type(error).__name__}"


def test_a_row_whose_mark_the_store_did_not_take_is_not_sent_again(outbox_url, courier, receiver, put, store):
    """Another process locks the ledger while the row is on its way."""
    put(a_row(1), a_row(2))
    with closing(sqlite3.connect(outbox_url.removeprefix("sqlite:///"), isolation_level=None)) as database:

        def lock(row: OutboxRow) -> None:
            database.execute("BEGIN IMMEDIATE")

        receiver.fails = lock
        with pytest.raises(AlertStoreError, match="locked"):
            courier.deliver()
        receiver.fails = lambda row: None
        with pytest.raises(AlertStoreError, match="locked"):
            courier.deliver()
        database.execute("ROLLBACK")
    all_there_is(courier)
    assert receiver.told == ["msg_1", "msg_2"]
    assert store.waiting() == {}


def test_nothing_is_sent_once_this_process_is_to_stop(store, receiver, clock, put):
    put(a_row(1, group="a"), a_row(2, group="b"))
    allowed = iter([True, False, False])
    courier = Courier(
        "team",
        receiver,
        store,
        policy=RetryPolicy(),
        clock_ns=clock,
        jitter=lambda: 1.0,
        may_send=lambda: next(allowed),
    )
    assert courier.deliver() == POLL_SECONDS
    assert receiver.told == ["msg_1"]
