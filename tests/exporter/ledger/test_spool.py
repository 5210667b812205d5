import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from forked import succeeds_in_child
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.exporter.ledger.records import (
    call_to_record,
    entry_to_record,
    record_to_call,
    record_to_entry,
)
from spanbudget.exporter.ledger.segment import line_of, record_of
from spanbudget.exporter.ledger.spool import Spool
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.ledger import Entry, SpendKey, entry_id

CALL = LLMCall(
    *(2**128 - 1, 7, 2**64 - 1, "scope", "openai", "gpt-5", None, "gpt-5-2025", "chat", True, None),
    *(Usage(input=100, audio_input=3), "estimated", ("stream",), 5, 9, False, "é\ud800", (("team", "a|b"),)),
    *(2**70, None, 3),
)
PRICED = PricedCall(CALL, 10**19, 1, 2, 3, 4, None, "estimated", ("no tier", ""))
WINDOWS = (SpendKey("b", "user=\u2028", "daily", -1), SpendKey("b", "", "total", 0))

WRITER = """
import sys
from spanbudget.exporter.ledger.spool import Spool
spool = Spool(sys.argv[1])
for number in range(int(sys.argv[2])):
    spool.append({"n": number})
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger [1].db"


def numbers(count: int, start: int = 0) -> list[dict[str, str | int | None]]:
    return [{"n": number} for number in range(start, start + count)]


def start_writer(path: Path, count: int) -> subprocess.Popen[bytes]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    return writer


def end(writer: subprocess.Popen[bytes]) -> None:
    writer.kill()
    writer.communicate()


def test_a_call_and_an_entry_come_back_exactly():
    assert record_to_call(call_to_record(CALL)) == CALL
    entry = Entry(entry_id(CALL, "reversal"), "reversal", PRICED, WINDOWS)
    again = record_to_entry(record_of(line_of(entry_to_record(entry)).rstrip(b"\n")))
    assert again == entry
    assert isinstance(again.windows[0], SpendKey)
    assert all(isinstance(value, str | int | None) for value in entry_to_record(entry).values())


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(st.characters(codec=None)), max_size=4))
def test_any_record_survives_its_line(record):
    line = line_of(record)
    assert line.count(b"\n") == 1
    assert record_of(line[:-1]) == record


@given(st.integers(0, 40), st.integers(1, 255))
def test_a_line_with_a_wrong_byte_is_torn(position, flip):
    line = bytearray(line_of({"a": 1, "b": "text that is long enough to be hit"})[:-1])
    line[position] ^= flip
    assert record_of(bytes(line)) is None


def test_records_come_in_order_and_go_when_confirmed(path):
    spool = Spool(path)
    assert spool.empty
    assert spool.extend(numbers(10))
    assert spool.drain(4) == numbers(4)
    assert spool.drain(4) == numbers(4)
    spool.confirm()
    assert spool.append({"n": 10})
    assert spool.drain(100) == numbers(6, 4)
    spool.confirm()
    assert spool.drain() == numbers(1, 10)
    spool.confirm()
    spool.confirm()
    assert spool.drain() == []
    assert spool.empty
    assert spool.size_bytes == 0
    assert list(path.parent.iterdir()) == []
    spool.close()


def test_records_longer_than_one_read_come_whole(path):
    spool = Spool(path)
    records = [{"n": number, "text": "x" * 50_000} for number in range(7)]
    assert spool.extend(records)
    assert spool.drain(3) == records[:3]
    spool.confirm()
    assert spool.drain(100) == records[3:]
    spool.close()


def test_at_its_limit_it_refuses_and_counts(path):
    """A line is 9 + 7 + 1 = 17 bytes; 50 bytes hold two of them."""
    spool = Spool(path, max_bytes=50)
    assert [spool.append({"n": 1}) for _ in range(4)] == [True, True, False, False]
    assert spool.refused == 2
    assert spool.size_bytes == 34
    assert len(spool.drain()) == 2
    assert not spool.append({"n": 1})
    spool.confirm()
    assert spool.append({"n": 1})
    spool.close()


def test_a_file_is_for_its_owner_only(path):
    spool = Spool(path)
    spool.append({"n": 1})
    (file,) = path.parent.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.name.startswith(f"{path.name}.{os.getpid()}-")
    spool.close()


def test_what_was_not_confirmed_comes_again_after_a_restart(path):
    spool = Spool(path)
    spool.extend(numbers(5))
    spool.drain(2)
    spool.close()
    spool.close()
    again = Spool(path)
    assert again.adopted == 1
    assert again.drain() == numbers(5)
    again.close()


def test_a_torn_last_line_is_counted_and_skipped(path):
    spool = Spool(path)
    spool.extend(numbers(3))
    spool.close()
    (file,) = path.parent.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    again = Spool(path)
    assert again.drain() == numbers(2)
    again.confirm()
    assert again.torn == 1
    assert again.drain() == []
    again.close()


def test_a_file_of_nothing_but_torn_lines_goes_away(path):
    path.with_name(f"{path.name}.1-abc.spool").write_bytes(b"0000")
    spool = Spool(path)
    assert spool.drain() == []
    assert (spool.torn, spool.empty) == (1, True)
    spool.close()


def test_the_file_of_a_living_process_is_never_taken(path):
    writer = start_writer(path, 3)
    try:
        spool = Spool(path)
        assert spool.adopted == 0
        assert spool.drain() == []
    finally:
        end(writer)
    assert spool.adopt() == 1
    assert spool.drain() == numbers(3)
    spool.close()


def test_the_file_of_another_spool_in_this_process_is_never_taken(path):
    first = Spool(path)
    first.append({"n": 1})
    second = Spool(path)
    assert second.adopted == first.adopt() == 0
    first.close()
    second.close()


def test_only_one_of_many_adopts_a_file(path):
    for _ in range(5):
        end(start_writer(path, 2))
    spools: list[Spool] = []
    barrier = threading.Barrier(4)

    def adopt() -> None:
        barrier.wait()
        spools.append(Spool(path))

    threads = [threading.Thread(target=adopt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spool.adopted for spool in spools) == 5
    for spool in spools:
        spool.close()


def test_a_forked_child_writes_a_file_of_its_own_and_drops_the_parents(path):
    spool = Spool(path)
    spool.append({"n": 1})

    def write() -> None:
        assert spool.empty
        assert spool.append({"n": 2})
        assert len(list(path.parent.iterdir())) == 2

    assert succeeds_in_child(write)
    assert spool.adopt() == 1
    assert sorted(record["n"] for record in (*_all(spool),)) == [1, 2]
    spool.close()


def _all(spool: Spool) -> list[dict[str, Any]]:
    records = []
    while batch := spool.drain():
        records += batch
        spool.confirm()
    return records


def test_many_threads_append_whole_records(path):
    spool = Spool(path)

    def write(thread: int) -> None:
        for number in range(200):
            assert spool.append({"thread": thread, "n": number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    drained = []
    while any(thread.is_alive() for thread in threads):
        drained += spool.drain(50)
        spool.confirm()
    drained += _all(spool)
    for writer in range(4):
        assert [one["n"] for one in drained if one["thread"] == writer] == list(range(200))
    assert spool.torn == 0
    spool.close()


def test_a_folder_that_is_missing_is_explained(tmp_path):
    spool = Spool(tmp_path / "gone" / "ledger.db")
    with pytest.raises(LedgerError, match="write access"):
        spool.append({"n": 1})
    spool.close()


def test_a_full_disk_is_explained_and_loses_nothing_that_was_kept(path, small_disk):
    spool = Spool(small_disk / "ledger.db")
    kept = 0

    def fill() -> None:
        nonlocal kept
        while True:
            spool.append({"n": kept, "text": "x" * 3_000})
            kept += 1

    with pytest.raises(LedgerError, match="no space left"):
        fill()
    assert [record["n"] for record in _all(spool)] == list(range(kept))
    assert spool.torn == 0
    assert spool.append({"n": 0})
    spool.close()
