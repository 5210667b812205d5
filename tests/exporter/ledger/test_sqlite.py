import os
import random
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
from forked import in_child, succeeds_in_child
from ledger_calls import ALL, MONTH, booked, random_entries

from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.filesystem import filesystem_type, refuse_network_filesystem
from spanbudget.exporter.ledger.inspection import integrity
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.ledger import Spend

SOAK_ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    opened = SqliteLedger(path)
    yield opened
    opened.close()


def counted(ledger: SqliteLedger) -> int:
    return ledger.spend([ALL]).get(ALL, Spend()).requests


def test_entries_and_totals_are_there_after_opening_again(ledger, path):
    ledger.append([booked(1), booked(2)])
    ledger.close()
    again = SqliteLedger(path)
    assert counted(again) == 2
    assert [entry.priced for entry in again.entries()] == [booked(1).priced, booked(2).priced]
    again.close()


def test_a_new_file_and_its_companions_are_for_their_owner_only(ledger, path):
    ledger.append([booked(1)])
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("count", [1, 3, 16, 65, 256, 700])
def test_a_batch_of_any_size_keeps_its_order(ledger, count):
    made = random_entries(count, count)
    ledger.append(made)
    assert [entry.id for entry in ledger.entries()] == [entry.id for entry in made]
    assert ledger.append(made).duplicates == {entry.id for entry in made}


def test_ten_thousand_different_shapes_are_kept(ledger):
    """More shapes and labels than a writer remembers."""
    made = [booked(number, model=f"m{number}", labels=(("user", f"u{number}"),)) for number in range(10_000)]
    for start in range(0, 10_000, 1_500):
        ledger.append(made[start : start + 1_500])
    assert [entry.priced for entry in ledger.entries()] == [entry.priced for entry in made]


def test_entries_appended_while_reading_neither_disturb_nor_come(ledger):
    ledger.append(random_entries(1, 1_200))
    reading = ledger.entries()
    next(reading)
    ledger.append(random_entries(2, 10))
    assert sum(1 for _ in reading) == 1_199


def test_a_closed_ledger_says_so(ledger):
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append([booked(1)])


def test_a_total_that_no_ledger_can_hold_is_refused_and_leaves_no_trace(ledger):
    """2**63 tokens in one total; the same 2**62 twice."""
    absurd = [booked(n, usage=booked(1).priced.call.usage._replace(input=2**62)) for n in (1, 2)]
    with pytest.raises(LedgerError, match="absurd"):
        ledger.append(absurd)
    assert list(ledger.entries()) == []
    ledger.append([booked(3)])
    assert counted(ledger) == 1


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="it is a folder"):
        SqliteLedger(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="does not exist; create it"):
        SqliteLedger(tmp_path / "gone" / "ledger.db")


def test_a_file_that_is_no_database_is_refused_and_not_touched(path):
    path.write_bytes(b"these are my notes, not a ledger" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: it is not a SQLite file"):
        SqliteLedger(path)
    assert path.read_bytes() == b"these are my notes, not a ledger" * 100


def test_a_damaged_file_is_explained(ledger, path):
    for seed in range(4):
        ledger.append(random_entries(seed, 500))
    ledger.close()
    damaged = bytearray(path.read_bytes())
    schema = 40 * 4096  # the pages that were made with the tables; without them nothing opens
    damaged[schema:-4096] = b"\xa5" * (len(damaged) - schema - 4096)
    path.write_bytes(damaged)
    again = SqliteLedger(path)
    with pytest.raises(LedgerError, match=r"it is damaged.*recover"):
        list(again.entries())
    with pytest.raises(LedgerError, match="it is damaged"):
        again.append(random_entries(9, 500))
    assert integrity(again)
    again.close()


def test_a_read_only_disk_is_explained(small_disk):
    path = small_disk / "ledger.db"
    SqliteLedger(path).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LedgerError, match="read-only"):
        SqliteLedger(path)


def test_a_lock_that_lasts_too_long_is_explained_and_can_be_tried_again(path):
    ledger = SqliteLedger(path, busy_timeout_seconds=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked for longer"):
        ledger.append([booked(1)])
    other.execute("ROLLBACK")
    other.close()
    ledger.append([booked(1)])
    assert counted(ledger) == 1
    ledger.close()


def test_a_database_that_may_not_grow_leaves_no_trace_of_the_batch(ledger):
    ledger.append([booked(1)])
    with ledger.reading() as connection:
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        connection.execute(f"PRAGMA max_page_count = {pages + 20}").fetchall()
    with pytest.raises(LedgerError, match="no space left"):
        ledger.append(random_entries(1, 2_000))
    assert counted(ledger) == 1
    assert len(list(ledger.entries())) == 1
    ledger.append([booked(2, model="another shape")])
    with ledger.reading() as connection:
        connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    assert ledger.append(random_entries(1, 2_000)).spend[ALL].requests == 2_002


def test_a_full_disk_leaves_no_trace_of_the_batch(small_disk):
    ledger = SqliteLedger(small_disk / "ledger.db")
    kept = 0

    def fill() -> None:
        nonlocal kept
        for seed in range(100):
            ledger.append(random_entries(seed, 20))
            kept += 20

    with pytest.raises(LedgerError, match=r"no space left|disk failed"):
        fill()
    assert counted(ledger) == kept
    ledger.close()
    again = SqliteLedger(small_disk / "ledger.db")
    assert counted(again) == kept == len(list(again.entries()))
    assert integrity(again) == []
    again.close()


def test_the_threads_of_a_process_may_share_a_ledger(ledger):
    def append(seed: int) -> None:
        for entry in random_entries(seed, 50):
            ledger.append([entry])

    threads = [threading.Thread(target=append, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert sum(1 for _ in ledger.entries()) <= 200
    assert counted(ledger) == 200


def test_a_forked_child_opens_the_file_anew(ledger):
    ledger.append([booked(1)])

    def append() -> None:
        assert ledger.append([booked(2)]).spend[ALL].requests == 2

    assert succeeds_in_child(append)
    assert ledger.append([booked(3)]).spend[ALL].requests == 3


def kill_while_appending(path: Path, seed: int, batches: int) -> None:
    """A killed writer leaves what it committed, whole batches of 10; a replay adds the rest and no more."""
    made = random_entries(seed, 3000)
    told, tell = os.pipe()

    def append_all() -> None:
        ledger = SqliteLedger(path)
        for start in range(0, 3000, 10):
            ledger.append(made[start : start + 10])
            os.write(tell, b".")

    child = in_child(append_all)
    os.close(tell)
    committed = 0
    while committed < batches:
        committed += len(os.read(told, 1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(told)
    ledger = SqliteLedger(path)
    survived = len(list(ledger.entries()))
    assert survived % 10 == 0
    assert survived >= 10 * batches
    assert counted(ledger) == survived
    ledger.append(made)
    total = ledger.spend([ALL])[ALL]
    assert total.cost == sum(entry.priced.cost or 0 for entry in made)
    assert (total.requests, total.tokens) == (3000, sum(entry.priced.call.usage.total for entry in made))
    assert integrity(ledger) == []
    ledger.close()


@pytest.mark.parametrize("batches", [1, 2, 40, 150])
def test_settled_money_survives_kill_9(tmp_path, batches):
    kill_while_appending(tmp_path / "ledger.db", batches, batches)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SOAK_ROUNDS))
def test_settled_money_survives_kill_9_at_any_moment(tmp_path, seed):
    kill_while_appending(tmp_path / "ledger.db", seed, random.Random(seed).randrange(1, 301))


MOUNTS = r"""
/dev/vda / ext4 rw 0 0
server:/data /mnt/shared\040data nfs4 rw 0 0
//host/share /mnt/smb cifs rw 0 0
tmpfs /mnt/smb/local tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/ledger.db", "ext4"),
        ("/mnt/shared data/ledger.db", "nfs4"),
        ("/mnt/smb/ledger.db", "cifs"),
        ("/mnt/smb/local/ledger.db", "tmpfs"),
        ("/mnt/smbX/ledger.db", "ext4"),
    ],
)
def test_the_deepest_mount_decides_the_file_system(path, kind):
    assert filesystem_type(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused():
    with pytest.raises(LedgerError, match=r"network file system \(nfs4\).*local disk"):
        refuse_network_filesystem(Path("/mnt/shared data/ledger.db"), MOUNTS)
    refuse_network_filesystem(Path("/var/ledger.db"), MOUNTS)


def test_urls_choose_the_ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in (
        "sqlite:///relative.db",
        f"sqlite:///{tmp_path}/a%20b ?#.db",
        "sqlite://",
        "sqlite:///:memory:",
    ):
        ledger = open_ledger(url)
        assert ledger.append([booked(1)]).spend[MONTH].requests == 1
        ledger.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a%20b ?#.db", "relative.db"]


@pytest.mark.parametrize("url", ["mysql://host/db", "ledger.db", "", "sqlite://ledger.db"])
def test_other_urls_are_refused_with_the_supported_ones(url):
    with pytest.raises(LedgerError, match=r"sqlite:///relative\.db"):
        open_ledger(url)
