"""The whole road with a ledger on a server, and with that server away for a while."""

import time

import pytest
from test_pipeline import COST, call, spent, tracer_of

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.wiring import open_pipeline

pytestmark = pytest.mark.postgres

BUDGETS = """
budgets:
  - {name: all, max_cost: 1, period: total}
  - {name: each, per: [user], max_requests: 30, period: total}
"""


@pytest.fixture
def config(postgres_url, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return parse_config(f"ledger: {{url: '{postgres_url}'}}\n{BUDGETS}", "test.yaml")


def test_what_was_called_while_the_server_was_away_is_in_the_ledger_afterwards(config, postgres):
    """Calls 0 and 1 before, 2 and 3 while it is away, 4 after: five times the cost of one."""
    pipeline = open_pipeline(config)
    tracer = tracer_of(pipeline)
    for number in (0, 1):
        call(tracer, number)
    assert pipeline.flush()
    postgres.stop()
    for number in (2, 3):
        call(tracer, number)
    assert not pipeline.flush()
    postgres.start()
    call(tracer, 4)
    give_up_at = time.monotonic() + 30
    while not pipeline.flush():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert spent(pipeline).cost == 5 * COST
    assert spent(pipeline, "each", "user=user-0").requests == 3
    pipeline.shutdown()


def test_two_processes_share_the_totals_of_a_server(config):
    """A second pipeline on the same ledger: what both have counted, and nothing twice."""
    first, second = open_pipeline(config), open_pipeline(config)
    call(tracer_of(first), 0)
    assert first.flush()
    call(tracer_of(second), 1)
    assert second.flush()
    assert spent(first).cost == spent(second).cost == 2 * COST
    second.shutdown()
    first.shutdown()
