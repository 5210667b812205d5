"""What tests of more than one folder need."""

import gc
import os
from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer, binaries

from spanbudget.exporter.ledger import open_ledger


def pytest_collection_finish() -> None:
    """Garbage collection looks no more through what stays until the end, and less often at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def running_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests; its database `ledger` has the tables of a ledger, and is copied."""
    found = binaries()
    if found is None:
        missing = "there is no PostgreSQL server here; install Debian's package `postgresql`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    server = PostgresServer(found)
    try:
        server.start()
        with server.connect() as connection:
            connection.execute("CREATE DATABASE ledger")
        open_ledger(server.url("ledger")).close()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(running_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, which runs again after a test that stopped it."""
    running_server.start()
    yield running_server
    running_server.start()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a new database with the tables of a ledger."""
    with postgres.database("ledger") as name:
        yield postgres.url(name)
