from collections.abc import Iterator
from pathlib import Path

import pytest

from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.guard.install import uninstall


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SPANBUDGET_RERAISE", "1")
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(__file__).parent))  # no client here needs certificates
    yield
    uninstall()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider
