"""Alerts of processes that are killed at random, with a receiver that comes and goes: told once, in order."""

import os
import random
from pathlib import Path

import pytest
from alerted_programs import Program, Told, closed_port, programs, receiver, until, webhook, written

from spanbudget.exporter.alert_store import open_alert_store

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))
STEPS = 12
THRESHOLDS = tuple(range(10, 100, 10))
BUDGET = f"{{name: all, max_cost: 10, period: total, alerts: {{thresholds: {list(THRESHOLDS)}}}}}"
"""A call of 10 cents is 1 %."""


def all_sent(config: Path) -> bool:
    store = open_alert_store(f"sqlite:///{config.parent}/ledger.db")
    try:
        return not store.waiting() and not store.letters("dead")
    finally:
        store.close()


def check(told: list[Told]) -> None:
    """Whatever happened, nothing is told twice, nothing out of order, and the last threshold is told."""
    everything = Told(0, [letter for one in told for letter in one.letters])
    found = [int(words.removeprefix("firing ")) for words in everything.thresholds()]
    assert found == sorted(set(found)), found
    assert set(found) <= set(THRESHOLDS)
    assert found[-1] == THRESHOLDS[-1]


def life(config: Path, port: int, chance: random.Random) -> None:
    """Processes that spend 1 % or more at a time, and are killed; then one that sees the rest off."""
    told: list[Told] = []
    with programs(config) as start:
        running: list[Program] = [start() for _ in range(3)]
        for _ in range(STEPS // 3):
            with receiver(port) as one:
                told.append(one)
                for _ in range(chance.randint(1, 3)):
                    chance.choice(running).spend(chance.randint(1, 12))
            chance.choice(running).spend(chance.randint(1, 12))
            victim = running.pop(chance.randrange(len(running)))
            victim.kill()
            running.append(start())
        with receiver(port) as one:
            told.append(one)
            running[0].spend(100)
            until(lambda: any("firing 90" in each.thresholds() for each in told))
            until(lambda: all_sent(config))
            for program in running:
                program.end()
        log = running[0].log.read_text()
    check(told)
    assert "Traceback" not in log, log


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_processes_that_are_killed_at_random_tell_of_every_crossing_once(tmp_path):
    chance = random.Random()
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        port = closed_port()
        life(written(folder, webhook(port), budget=BUDGET), port, chance)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_forks_while_rules_are_evaluated_hang_no_child(tmp_path):
    with receiver() as told:
        config = written(tmp_path, webhook(told.port), budget=BUDGET.replace("10,", "10000,", 1))
        with programs(config) as start:
            one = start()
            assert one.ask("fork-while-busy", 10 * ROUNDS) == "forked 0"
            one.end()
            log = one.log.read_text()
    assert "Traceback" not in log, log
    assert "locked" not in log, log
