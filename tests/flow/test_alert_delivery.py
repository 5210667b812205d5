"""Alerts of real processes, told to real servers: killed, crowded, forked, ended at once, out of room.

A call costs 10 cents of a budget of $1 with thresholds at 50 and 80 %.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alerted_programs import Told, closed_port, leader, programs, receiver, until, webhook, written

from spanbudget import BudgetManager
from spanbudget.exporter.alert_store import open_alert_store


def waiting(folder: Path) -> dict[str, int]:
    """Letters in the outbox, by channel."""
    store = open_alert_store(f"sqlite:///{folder}/ledger.db")
    try:
        return store.waiting()
    finally:
        store.close()


def calls(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def ids(told: Told) -> list[str]:
    return [id_ for _, id_, _ in told.letters]


def test_a_program_that_ends_right_after_the_crossing_has_told_of_it(tmp_path):
    with receiver() as told, programs(written(tmp_path, webhook(told.port))) as start:
        one = start()
        one.tell("spend-unflushed", 5)
        assert one.process.wait(60) == 0
        assert told.thresholds() == ["firing 50"]
    assert waiting(tmp_path) == {}


@pytest.mark.server
def test_a_letter_to_a_receiver_that_is_down_is_sent_by_the_next_process_and_holds_no_exit_up(tmp_path):
    port = closed_port()
    config = written(tmp_path, webhook(port))
    with programs(config) as start:
        one = start()
        one.tell("spend-unflushed", 5)
        assert one.process.wait(60) == 0
        assert waiting(tmp_path) == {"team/webhook": 1}
        with receiver(port) as told:
            two = start()
            until(lambda: told.thresholds() == ["firing 50"])
            two.spend(3)
            two.end()
            assert told.thresholds() == ["firing 50", "firing 80"]
    assert waiting(tmp_path) == {}


@pytest.mark.server
def test_a_receiver_that_hangs_does_not_hold_the_exit_up(tmp_path):
    """The receiver answers when the test is over: a process that waited for it would not end before."""
    with receiver() as told, programs(written(tmp_path, webhook(told.port, "/hang"))) as start:
        one = start()
        one.tell("spend-unflushed", 5)
        assert one.process.wait(60) == 0
        assert not told.over.is_set()
    assert waiting(tmp_path) == {"team/webhook": 1}


@pytest.mark.server
def test_what_a_killed_process_had_decided_is_told_once_by_the_next_one(tmp_path):
    port = closed_port()
    with programs(written(tmp_path, webhook(port))) as start:
        one = start()
        one.spend(5)
        until(lambda: waiting(tmp_path) == {"team/webhook": 1})
        one.kill()
        with receiver(port) as told:
            two = start()
            until(lambda: told.thresholds() == ["firing 50"])
            two.spend(3)
            until(lambda: told.thresholds() == ["firing 50", "firing 80"])
            two.end()
            assert told.thresholds() == ["firing 50", "firing 80"]
            assert len(ids(told)) == 2
    assert waiting(tmp_path) == {}


def crowd_is_told_once(config: Path, told: Told) -> None:
    """Eight processes spend; whoever leads is killed after each threshold."""
    with programs(config) as start:
        running = [start() for _ in range(8)]
        for one in running[:5]:
            one.spend(1)
        until(lambda: told.thresholds() == ["firing 50"])
        for one in running[5:]:
            one.spend(1)  # and nobody leads when it is killed before it saw that
        first = leader(running)
        first.kill()
        running.remove(first)
        until(lambda: told.thresholds() == ["firing 50", "firing 80"])
        second = leader(running)
        second.kill()
        running.remove(second)
        for one in running:
            one.spend(1)
        third = leader(running)
        running.remove(third)
        for one in [third, *running]:
            one.end()
        assert told.thresholds() == ["firing 50", "firing 80"]
        assert "Traceback" not in (log := running[0].log.read_text()), log
        assert "locked" not in log


@pytest.mark.server
def test_eight_processes_tell_of_each_threshold_once_whoever_leads(tmp_path):
    with receiver() as told:
        crowd_is_told_once(written(tmp_path, webhook(told.port)), told)
    assert waiting(tmp_path) == {}


@pytest.mark.postgres
def test_eight_processes_on_a_server_tell_of_each_threshold_once_whoever_leads(tmp_path, postgres_url):
    with receiver() as told:
        crowd_is_told_once(written(tmp_path, webhook(told.port), url=postgres_url), told)


@pytest.mark.server
def test_receivers_that_misbehave_keep_nothing_from_others_and_nothing_from_the_application(tmp_path):
    paths = ("/hang", "/500", "/garbage", "/redirect")
    with receiver() as told:
        bad = [webhook(told.port, path, name=path[1:] if path != "/500" else "broken") for path in paths]
        with programs(written(tmp_path, *bad, webhook(told.port))) as start:
            one = start()
            one.spend(5)
            until(lambda: {path for path, _, _ in told.letters} == {*paths, "/ok"})
            one.spend(3)
            assert calls(tmp_path) == 8
            until(lambda: told.thresholds() == ["firing 50", "firing 80"])
            until(lambda: len(told.thresholds("/500")) == 1 < [p for p, _, _ in told.letters].count("/500"))
            assert told.thresholds("/hang") == ["firing 50"]
            left = waiting(tmp_path)
            assert not told.over.is_set()
            one.end()
    assert left.keys() == {"hang/webhook", "broken/webhook", "garbage/webhook"}  # a redirect is given up


@pytest.mark.server
def test_forked_and_spawned_children_share_the_rules_of_their_parent(tmp_path):
    with receiver() as told, programs(written(tmp_path, webhook(told.port))) as start:
        one = start()
        until(one.leads)
        assert one.ask("fork", 5) == "forked 0"
        until(lambda: told.thresholds() == ["firing 50"])
        assert one.ask("spawn", 3) == "spawned 0"
        until(lambda: told.thresholds() == ["firing 50", "firing 80"])
        one.end()
        log = one.log.read_text()
    assert len(ids(told)) == 2
    assert "Traceback" not in log, log
    assert "locked" not in log, log
    assert calls(tmp_path) == 8


@pytest.mark.server
def test_workers_of_a_server_that_forks_tell_of_a_crossing_once(tmp_path):
    with receiver() as told, programs(written(tmp_path, webhook(told.port))) as start:
        one = start()
        until(one.leads)
        assert one.ask("prefork", 8) == "forked 0"
        until(lambda: told.thresholds()[-1:] == ["firing 80"])
        one.end()
        log = one.log.read_text()
    assert told.thresholds() in (["firing 50", "firing 80"], ["firing 80"])
    assert len(set(ids(told))) == len(ids(told))
    assert "Traceback" not in log, log
    assert "locked" not in log, log
    assert calls(tmp_path) == 8


@pytest.mark.server
def test_forks_while_rules_are_evaluated_hang_no_child(tmp_path):
    """What threads of the engine hold at a fork, in SQLite say, nobody would release in the child."""
    with receiver() as told, programs(written(tmp_path, webhook(told.port))) as start:
        one = start()
        assert one.ask("fork-while-busy", 20) == "forked 0"
        until(lambda: told.thresholds()[-1:] == ["firing 80"])
        one.end()
        log = one.log.read_text()
    assert told.thresholds() in (["firing 50", "firing 80"], ["firing 80"])
    assert "Traceback" not in log, log
    assert "locked" not in log, log


def test_a_budget_manager_without_any_span_has_its_rules_evaluated(tmp_path):
    with receiver() as told:
        with BudgetManager(config=written(tmp_path, webhook(told.port))) as manager:
            manager.reserve("all", cost="0.6").settle(cost="0.5")
            until(lambda: told.thresholds() == ["firing 50"])
            manager.reserve("all", cost="0.3").settle(cost="0.3")
        assert told.thresholds() == ["firing 50", "firing 80"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("a small disk needs the rights to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Leaves no room in a folder; the file that takes it all."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


@pytest.mark.server
def test_a_full_disk_stops_the_rules_and_not_the_application(tmp_path, small_disk):
    url = f"sqlite:///{small_disk}/ledger.db"
    with receiver() as told, programs(written(tmp_path, webhook(told.port), url=url)) as start:
        one = start()
        until(one.leads)
        filler = fill(small_disk)
        until(lambda: "Rules are not evaluated for now" in one.log.read_text())
        one.ask("spend", 1)  # may be lost, and is told to be
        assert "no space left" in one.log.read_text()
        filler.unlink()
        until(lambda: one.ask("spend", 1) == "spent True")
        one.spend(5)
        until(lambda: bool(told.thresholds()))
        one.spend(3)
        until(lambda: told.thresholds()[-1:] == ["firing 80"])
        one.end()
    assert told.thresholds() in (["firing 50", "firing 80"], ["firing 80"])
