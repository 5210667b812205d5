from collections.abc import Iterator

import pytest

from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.guard.install import uninstall


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SPANBUDGET_RERAISE", "1")
    yield
    uninstall()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider
