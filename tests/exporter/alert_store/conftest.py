"""What rules keep, on every database."""

from collections.abc import Iterator

import pytest
from ready_ledger import put_ledger

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.store import SqlAlertStore


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request, tmp_path) -> str:
    """The URL of a ledger that several can open."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{put_ledger(tmp_path / 'ledger.db')}"


@pytest.fixture
def store(store_url) -> Iterator[SqlAlertStore]:
    opened = open_alert_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def other(store_url) -> Iterator[SqlAlertStore]:
    """The same store, as another process has it."""
    opened = open_alert_store(store_url)
    yield opened
    opened.close()
