"""What advice reads of a call goes into each ledger and comes back, from old files and over the spool too."""

import itertools

import pytest
from alembic import command
from alembic.config import Config
from ledger_calls import START_NS, a_call, booked, random_entries, reversed_entry
from sqlalchemy import create_engine

from spanbudget.exporter.ledger import migrate, open_ledger
from spanbudget.exporter.ledger.call_pages import NUMBERS, PAGE_COLUMNS, call_pages
from spanbudget.exporter.ledger.inspection import integrity
from spanbudget.exporter.ledger.records import (
    call_to_record,
    entry_to_record,
    record_to_call,
    record_to_entry,
)
from spanbudget.exporter.ledger.rows import ENTRY_COLUMNS
from spanbudget.exporter.ledger.segment import line_of, record_of
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.call import Usage

EVIDENCE = {
    "prompt_hash": -(2**63) + 1,
    "prefix_hash": 2**63 - 1,
    "finish_reason": "length",
    "error_type": "openai.APITimeoutError",
    "interactive": False,
    "deterministic": True,
}
NEW_COLUMNS = tuple(EVIDENCE)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request, tmp_path):
    url = (
        request.getfixturevalue("postgres_url")
        if request.param == "postgres"
        else f"sqlite:///{tmp_path}/a.db"
    )
    opened = open_ledger(url)
    yield opened
    opened.close()


def mixed_entries():
    """Entries with each of the fields alone, all of them, and none."""
    alone = [booked(number, **{name: EVIDENCE[name]}) for number, name in enumerate(EVIDENCE)]
    flags = itertools.product((None, True, False), repeat=2)
    both = [booked(20 + n, interactive=one, deterministic=two) for n, (one, two) in enumerate(flags)]
    odd = booked(60, finish_reason="\ud800", error_type="a\0b", prompt_hash=0)
    return [*alone, *both, booked(50, **EVIDENCE), booked(51), odd]


def test_each_field_comes_back(ledger):
    entries = mixed_entries()
    ledger.append(entries)
    assert list(ledger.entries()) == [entry._replace(windows=()) for entry in entries]
    assert ledger.standing(0, START_NS * 2, limit=100)[0].priced.call == entries[0].priced.call


def test_the_spool_keeps_each_field():
    for entry in mixed_entries()[:-1]:
        assert record_to_entry(record_of(line_of(entry_to_record(entry)).rstrip(b"\n"))) == entry


def test_a_spool_file_of_an_older_program_is_read():
    call = a_call(1, **EVIDENCE)
    record = {name: value for name, value in call_to_record(call).items() if name not in NEW_COLUMNS}
    assert record_to_call(record) == a_call(1)


def test_a_ledger_of_schema_3_gets_the_columns_and_keeps_its_calls(tmp_path):
    path = tmp_path / "old.db"
    old = [name for name in ENTRY_COLUMNS if name not in NEW_COLUMNS]
    engine = create_engine(f"sqlite:///{path}")
    scripts = Config()
    scripts.set_main_option("script_location", str(migrate._SCRIPTS))
    fresh = SqliteLedger(tmp_path / "new.db")
    fresh.append(random_entries(1, 5))
    with fresh.reading() as connection:
        rows = connection.execute(f"SELECT {', '.join(old)} FROM entries").fetchall()
    with engine.begin() as connection:
        scripts.attributes["connection"] = connection
        command.upgrade(scripts, "0003")
        marks = ", ".join("?" * len(old))
        for row in rows:
            connection.exec_driver_sql(f"INSERT INTO entries ({', '.join(old)}) VALUES ({marks})", row)
    engine.dispose()
    ledger = SqliteLedger(path)
    assert integrity(ledger) == []
    ledger.append([booked(50, **EVIDENCE)])
    calls = [entry.priced.call for entry in ledger.entries()]
    assert calls[:5] == [entry.priced.call for entry in fresh.entries()]
    assert [getattr(calls[0], name) for name in NEW_COLUMNS] == [None] * 6
    assert calls[5] == a_call(50, **EVIDENCE)
    ledger.close()
    fresh.close()


def test_pages_have_what_stands_the_newest_first(ledger):
    """300 calls of which each third is reversed: 200 stand, in pages of 64."""
    entries = random_entries(3, 300)
    ledger.append(entries)
    ledger.append([reversed_entry(entry) for entry in entries[::3]])
    pages = list(call_pages(ledger, 0, START_NS * 2, page_rows=64))
    assert [len(page) for page in pages] == [64, 64, 64, 8]
    rows = [dict(zip(PAGE_COLUMNS, row, strict=True)) for page in pages for row in page]
    ends = [row["end_ns"] for row in rows]
    assert ends == sorted(ends, reverse=True)
    gone = {entry.id for entry in entries[::3]}
    standing = {entry.id: entry.priced for entry in entries if entry.id not in gone}
    assert {bytes(row["id"]) for row in rows} == standing.keys()
    for row in rows:
        priced = standing[bytes(row["id"])]
        assert (row["input_tokens"], row["cost_pico"]) == (priced.call.usage.input, priced.cost)
        assert (row["model"], row["interactive"]) == ("gpt-5-mini", None)


def test_pages_are_of_a_half_open_time(ledger):
    entries = [booked(number) for number in range(5)]
    ledger.append(entries)
    ends = [entry.priced.call.end_ns for entry in entries]
    found = [row[1] for page in call_pages(ledger, ends[1], ends[3]) for row in page]
    assert found == [ends[2], ends[1]]
    assert list(call_pages(ledger, ends[3], ends[1])) == []


def test_calls_that_end_at_one_moment_come_once_each(ledger):
    entries = [booked(number, start_ns=START_NS, end_ns=START_NS + 5) for number in range(20)]
    ledger.append(entries)
    found = [bytes(row[0]) for page in call_pages(ledger, 0, START_NS * 2, page_rows=7) for row in page]
    assert sorted(found) == sorted(entry.id for entry in entries)


def test_numbers_that_nobody_believes_are_unknown(ledger):
    absurd = booked(1, 10**30, (), usage=Usage(input=10**25, output=None), finish_reason="\ud800")
    ledger.append([absurd, booked(2)])
    rows = {
        bytes(row[0]): dict(zip(PAGE_COLUMNS, row, strict=True))
        for page in call_pages(ledger, 0, START_NS * 2)
        for row in page
    }
    row = rows[absurd.id]
    assert row["output_tokens"] == -1
    assert all(row[name] == -1 or row[name] > 10**18 for name in ("input_tokens", "cost_pico"))
    assert row["finish_reason"] == "\ud800"
    assert rows[booked(2).id]["cost_pico"] == 4_500_000
    assert all(isinstance(row[name], int) for name in NUMBERS)
