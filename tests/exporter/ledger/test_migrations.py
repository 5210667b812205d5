import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from forked import in_child
from ledger_calls import random_entries
from sqlalchemy import create_engine

from spanbudget.exporter.ledger import migrate, open_ledger
from spanbudget.exporter.ledger.inspection import integrity
from spanbudget.exporter.ledger.rows import ENTRY_COLUMNS
from spanbudget.exporter.ledger.schema import entries, metadata
from spanbudget.exporter.ledger.schema import spend as spend_table
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.ledger.statements import SPEND_KEY, SPEND_TOTALS
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, VERSION_TABLE
from spanbudget.processors.errors import LedgerError, LedgerSchemaError


def open_and_append(path: Path, seed: int) -> None:
    ledger = SqliteLedger(path, busy_timeout_seconds=20)
    made = random_entries(seed, 60)
    for start in range(0, 60, 7):
        ledger.append(made[start : start + 7])
    ledger.append(random_entries(99, 20))
    ledger.close()


def test_the_newest_migration_is_the_version_of_the_program():
    scripts = Config()
    scripts.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(scripts).get_heads() == [f"{SCHEMA_VERSION:04d}"]


def test_the_migrations_make_the_tables_that_the_program_knows(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteLedger(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_statements_and_the_tables_name_the_same_columns():
    assert sorted(entries.c.keys()) == sorted(("seq", *ENTRY_COLUMNS))
    assert list(spend_table.c.keys()) == [*SPEND_KEY, *SPEND_TOTALS]


def test_a_newer_schema_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteLedger(path).close()
    database = sqlite3.connect(path)
    database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0099'")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(
        LedgerSchemaError, match=rf"ledger\.db.*schema 99.*up to {SCHEMA_VERSION}.*upgrade SpanBudget"
    ):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE songs (name TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_ledger(tmp_path):
    path = tmp_path / "ledger.db"
    path.touch(0o640)
    ledger = SqliteLedger(path)
    assert integrity(ledger) == []
    ledger.close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_migration_that_finds_no_space_can_be_tried_again(small_disk):
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        file.write(bytes(512 * 1024))
    with pytest.raises(LedgerError, match=r"no space left|disk failed"):
        SqliteLedger(small_disk / "ledger.db")
    filler.unlink()
    SqliteLedger(small_disk / "ledger.db").close()


def test_a_ledger_that_lost_its_version_is_refused(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteLedger(path).close()
    database = sqlite3.connect(path)
    database.execute(f"DELETE FROM {VERSION_TABLE}")
    database.commit()
    database.close()
    with pytest.raises(LedgerError, match=r"ledger\.db.*already exists"):
        SqliteLedger(path)


def test_an_up_to_date_ledger_opens_without_sqlalchemy(tmp_path):
    path = tmp_path / "ledger.db"
    open_ledger(f"sqlite:///{path}").close()
    code = (
        "import sys; from spanbudget.exporter.ledger import open_ledger;"
        f"open_ledger('sqlite:///{path}').close();"
        "sys.exit(bool({'sqlalchemy', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_eight_processes_open_a_new_file_at_once_and_append(tmp_path):
    """8 times 60 entries of their own and the same 20 from all: 500 requests, each once."""
    path = tmp_path / "ledger.db"
    gate, opener = os.pipe()
    children = []
    for seed in range(8):
        # A name for each turn of the loop: the child starts when the pipe's last writer has closed it.
        def child(seed: int = seed) -> None:
            os.close(opener)
            os.read(gate, 1)
            open_and_append(path, seed)

        children.append(in_child(child))
    os.close(opener)
    os.close(gate)
    assert [os.waitpid(one, 0)[1] for one in children] == [0] * 8
    every = [entry for seed in range(8) for entry in random_entries(seed, 60)] + random_entries(99, 20)
    ledger = SqliteLedger(path)
    (total,) = ledger.spend([every[0].windows[2]]).values()
    assert total.requests == 500
    assert total.cost == sum(entry.priced.cost or 0 for entry in every)
    assert integrity(ledger) == []
    ledger.close()
