"""Outboxes in a file, with a lease that is taken."""

from collections.abc import Callable, Iterator

import pytest
from kept_alerts import ME, NOW_NS, SECOND, putting
from ready_ledger import put_ledger

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.exporter.alert_store.store import SqlAlertStore


@pytest.fixture
def outbox_url(tmp_path) -> str:
    return f"sqlite:///{put_ledger(tmp_path / 'ledger.db')}"


@pytest.fixture
def store(outbox_url) -> Iterator[SqlAlertStore]:
    opened = open_alert_store(outbox_url, busy_timeout_seconds=0.05)
    yield opened
    opened.close()


@pytest.fixture
def put(store) -> Callable[..., None]:
    fence = store.lead(ME, NOW_NS, NOW_NS + SECOND)

    def put_rows(*rows: OutboxRow) -> None:
        store.commit(fence, putting(*rows))

    return put_rows
