import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from forked import succeeds_in_child
from kept_alerts import ME, NOW_NS, ODD, RULE, a_row, an_alert, leading, putting
from sqlalchemy import create_engine

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import Change, NotLeadingError
from spanbudget.exporter.alert_store.store import SqlAlertStore
from spanbudget.exporter.ledger import migrate, open_ledger
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, VERSION_TABLE
from spanbudget.processors.errors import AlertStoreError

COMMITTING = """
import sys
from kept_alerts import *
from spanbudget.exporter.alert_store import open_alert_store
store = open_alert_store(sys.argv[1])
fence = store.lead(ME, NOW_NS, NOW_NS + 1)
for batch in range(1, 10_000):
    alerts = [(RULE, an_alert(f"{batch}-{n}")) for n in range(10)]
    rows = [a_row(10 * batch + n) for n in range(10)]
    store.commit(fence, Change(alerts=alerts, outbox=rows, notes={"batches": str(batch)}))
    print(batch, flush=True)
"""
RACING = """
import os, sys, time
from kept_alerts import *
from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import NotLeadingError
store, owner = open_alert_store(sys.argv[1], busy_timeout_seconds=20), os.urandom(16)
kept = 0
for turn in range(60):
    now_ns = time.time_ns()
    fence = store.lead(owner, now_ns, now_ns + 200_000)
    if fence is None:
        continue
    count = int(store.load().notes.get("count", "0")) + 1
    try:
        store.commit(fence, Change(outbox=[a_row(f"{count}")], notes={"count": str(count)}))
        kept += 1
    except NotLeadingError:
        pass
print(kept)
"""


def started(code: str, url: str) -> "subprocess.Popen[str]":
    folder = str(Path(__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": folder}
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True, env=env)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger.db"


def test_four_processes_that_fight_for_the_lease_never_keep_the_same_turn_twice(store_url, store):
    """Each adds 1 to what it has read; a commit by one that was overtaken would lose one."""
    racers = [started(RACING, store_url) for _ in range(4)]
    kept = [int(racer.communicate()[0]) for racer in racers]
    assert store.load().notes == {"count": str(sum(kept))}
    assert len(store.letters()) == sum(kept) > 0


def test_of_two_threads_that_commit_under_two_numbers_the_later_number_wins(store, other):
    first = leading(store, seconds=0)
    second = leading(other, b"o" * 16)
    outcomes = []

    def commit(opened: SqlAlertStore, fence: int) -> None:
        for number in range(20):
            try:
                opened.commit(fence, Change(notes={f"{fence}-{number}": "kept"}))
                outcomes.append(fence)
            except NotLeadingError:
                pass

    threads = [threading.Thread(target=commit, args=one) for one in ((store, first), (other, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [second] * 20
    assert {name.partition("-")[0] for name in store.load().notes} == {str(second)}


@pytest.mark.parametrize("batches", [1, 3, 20])
def test_a_process_that_is_killed_leaves_whole_commits(store_url, batches):
    """Each commit has 10 alerts, 10 rows and a note of how many commits there are."""
    child = started(COMMITTING, store_url)
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(batches)]
    child.send_signal(signal.SIGKILL)
    child.communicate()
    store = open_alert_store(store_url)
    store.lead(ME, NOW_NS, NOW_NS + 1)  # waits for a commit that a server still has in hand
    kept = store.load()
    found = int(kept.notes["batches"])
    assert found >= int(told[-1])
    assert len(kept.alerts[RULE]) == 10 * found
    assert len(store.letters(limit=10**6)) == 10 * found
    store.close()


def test_a_forked_child_uses_a_connection_of_its_own(store):
    fence = leading(store)
    assert succeeds_in_child(lambda: store.commit(fence, putting(a_row(1))))
    store.commit(fence, putting(a_row(2)))
    assert len(store.letters()) == 2


def test_a_ledger_of_the_second_schema_gets_the_new_tables_and_keeps_its_own(path):
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql("INSERT INTO meta VALUES ('old', 'kept')")
    engine.dispose()
    store = open_alert_store(f"sqlite:///{path}")
    store.commit(leading(store), putting(a_row(1)))
    store.close()
    ledger = open_ledger(f"sqlite:///{path}")
    assert ledger.noted(["old"]) == {"old": "kept"}
    ledger.close()


def test_a_new_file_is_for_its_owner_only_and_is_a_ledger(path):
    store = open_alert_store(f"sqlite:///{path}")
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    open_ledger(f"sqlite:///{path}").close()
    store.close()


def test_a_database_of_another_program_is_refused_and_not_touched(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(AlertStoreError, match=r"ledger\.db.*another program.*name another file"):
        open_alert_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path):
    open_alert_store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0099'")
        database.commit()
    with pytest.raises(AlertStoreError, match=rf"schema 99.*up to {SCHEMA_VERSION}.*upgrade SpanBudget"):
        open_alert_store(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://user:secret@host/db", "cannot use this URL"),
        ("sqlite://relative.db", "three slashes"),
        ("sqlite:////no/such/folder/ledger.db", "does not exist"),
    ],
)
def test_a_url_that_names_no_ledger_is_explained(url, told):
    with pytest.raises(AlertStoreError, match=told) as caught:
        open_alert_store(url)
    assert "secret" not in str(caught.value)


def test_a_missing_ledger_is_not_made_where_it_is_only_looked_at(path):
    with pytest.raises(AlertStoreError, match="no such file"):
        open_alert_store(f"sqlite:///{path}", create=False)
    assert not path.exists()


def test_a_locked_store_says_so_and_can_be_tried_again(path):
    store = open_alert_store(f"sqlite:///{path}", busy_timeout_seconds=0.01)
    fence = leading(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(AlertStoreError, match=r"ledger\.db.*locked.*try again"):
            store.commit(fence, putting(a_row(1)))
        assert store.due(NOW_NS, 9) == []
        database.execute("ROLLBACK")
    store.commit(fence, putting(a_row(1)))
    assert len(store.due(NOW_NS, 9)) == 1
    store.close()


def test_a_full_disk_says_so_and_loses_nothing(small_disk):
    store = open_alert_store(f"sqlite:///{small_disk / 'ledger.db'}")
    fence = leading(store)
    kept = 0

    def commit_for_ever() -> None:
        nonlocal kept
        while True:
            rows = [a_row(10 * kept + n, payload={"text": "x" * 500}) for n in range(10)]
            store.commit(fence, Change(outbox=rows, notes={"kept": str(kept + 1)}))
            kept += 1

    with pytest.raises(AlertStoreError, match=r"no space left|disk failed"):
        commit_for_ever()
    assert kept > 0
    assert store.load().notes == {"kept": str(kept)}
    assert len(store.letters(limit=10**6)) == 10 * kept
    store.close()


def test_an_error_does_not_show_what_was_to_be_kept(path):
    store = open_alert_store(f"sqlite:///{path}")
    fence = leading(store)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE alert_states")
    with pytest.raises(AlertStoreError) as caught:
        store.commit(fence, Change(alerts=[(RULE, an_alert("confidential"))]))
    chain: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__
    assert "confidential" not in "".join(chain)
    assert "no such table: alert_states" in chain[0]
    store.close()


def test_sqlalchemy_is_loaded_only_where_a_store_is_opened():
    code = (
        "import sys, spanbudget.exporter.alert_store, spanbudget.exporter.alert_store.records;"
        "import spanbudget.exporter.outbox.dispatcher; sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.postgres
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_was_restarted_fails_one_call_and_loses_nothing(postgres, postgres_url, how):
    store = open_alert_store(postgres_url)
    fence = leading(store)
    store.commit(fence, Change(outbox=[a_row(1)], notes={ODD: "1"}))
    postgres.restart(how)
    with pytest.raises(AlertStoreError, match=r"the server|connection is lost") as caught:
        store.commit(fence, putting(a_row(2)))
    assert "p%25ss" not in str(caught.value)
    store.commit(fence, putting(a_row(2)))
    assert [row.id for row in store.letters()] == ["msg_2", "msg_1"]
    store.close()


@pytest.mark.postgres
def test_a_commit_that_waits_for_the_lease_keeps_nothing_once_it_is_taken(postgres, postgres_url):
    """The lease is being taken in a transaction that is still open when the old leader commits."""
    store = open_alert_store(postgres_url)
    fence = leading(store, seconds=0)
    refused = []

    def commit() -> None:
        try:
            store.commit(fence, putting(a_row(1)))
        except NotLeadingError as error:
            refused.append(error)

    with postgres.connect(postgres_url.rpartition("/")[2]) as taking:
        taking.execute("BEGIN")
        taking.execute("UPDATE alert_lease SET fence = fence + 1, owner = 'other'")
        committing = threading.Thread(target=commit)
        committing.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with postgres.connect() as watching:
            while watching.execute(waiting).fetchone() == (0,):
                time.sleep(0.005)
        taking.execute("COMMIT")
        committing.join()
    assert len(refused) == 1
    assert store.letters() == []
    store.close()
