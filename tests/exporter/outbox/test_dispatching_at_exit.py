"""From Python 3.12 on a process that ends starts no thread any more."""

import threading

import pytest

from spanbudget.exporter.notify.addresses import addresses_of, target_of
from spanbudget.exporter.outbox.dispatcher import Dispatcher


@pytest.fixture(autouse=True)
def _no_new_thread(monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_a_dispatcher_that_begins_then_leaves_letters_to_the_next_process(store):
    dispatcher = Dispatcher(store, {"team": lambda row: pytest.fail("was sent")})
    dispatcher.start()
    dispatcher.wake()
    assert dispatcher.stop(5)
    assert dispatcher.health()


def test_a_courier_that_is_at_work_then_still_finds_its_receiver():
    target = target_of("http://127.0.0.1:9/hook")
    assert addresses_of(target, allow_private=True, timeout_seconds=5) == ["127.0.0.1"]
