"""What people ask a ledger, of each kind that they may have."""

from collections.abc import Iterator

import pytest
from ledger_calls import booked, random_entries, reversed_entry

from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.inspection import ModelUse, model_uses
from spanbudget.exporter.ledger.touched import touched_calls


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request, tmp_path) -> Iterator:
    is_file = request.param == "sqlite"
    opened = open_ledger(
        f"sqlite:///{tmp_path}/ledger.db" if is_file else request.getfixturevalue("postgres_url")
    )
    yield opened
    opened.close()


def test_touched_calls_come_standing_and_by_end_time(ledger):
    made = [booked(number) for number in (5, 3, 4, 1, 2)]
    ledger.append(made)
    touched = touched_calls(ledger)
    touched.touch([made[0], made[1], made[3], made[3], booked(9)])
    touched.touch([made[3]])
    touched.touch([])
    assert [entry.priced for entry in touched.standing()] == [made[n].priced for n in (3, 1, 0)]
    ledger.append([reversed_entry(made[1])])
    assert [entry.priced for entry in touched.standing()] == [made[n].priced for n in (3, 0)]


def test_touched_calls_come_in_pieces(ledger):
    made = random_entries(1, 1_700)
    ledger.append(made)
    touched = touched_calls(ledger)
    touched.touch(made)
    assert sum(1 for _ in touched.standing()) == 1_700


def test_models_are_listed_with_their_calls_without_a_cost(ledger):
    """Calls 1 and 2 of one model with 150 tokens each; call 3 is reversed; call 4 is too early."""
    unknown = [booked(n, None, model="new", provider=None) for n in (1, 2)]
    gone, early = booked(3, None, model="gone"), booked(4, None, model="early", end_ns=5)
    ledger.append([*unknown, gone, early])
    ledger.append([reversed_entry(gone)])
    last = unknown[1].priced.call.end_ns
    assert model_uses(ledger, 6) == [ModelUse("new", None, 2, 2, 300, last)]
    assert [one.model for one in model_uses(ledger)] == ["new", "early"]
