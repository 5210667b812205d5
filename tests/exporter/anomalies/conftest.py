from collections.abc import Iterator
from pathlib import Path

import pytest
from slot_ledger import SlotLedger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SlotLedger]:
    """An empty ledger."""
    made = SlotLedger(f"sqlite:///{tmp_path}/ledger.db")
    yield made
    made.close()


@pytest.fixture
def on_server(postgres_url: str) -> Iterator[SlotLedger]:
    """An empty ledger on PostgreSQL."""
    made = SlotLedger(postgres_url)
    yield made
    made.close()
