"""Eight processes with 32 threads each on one hard budget: nothing is overspent, nearly all can be spent."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spanbudget import BudgetManager
from spanbudget.exporter.admission.drift import drift_of
from spanbudget.exporter.config import parse_config
from spanbudget.processors.money import PICO_PER_USD

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_600)]

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))
PROCESSES = 8
CHILD = Path(__file__).parents[1] / "exporter" / "admission" / "limits_child.py"
BUDGETS = """
prices: [{provider: openai, model: m, input: 1, output: 10}]
budgets: [{name: a, max_cost: 1, period: total, hard_limit: true, on_exceed: clamp, wait_ms: 60000}]
"""
"""A call asks for 8,000 tokens, 0.08 USD, and takes 1,000, 0.01 USD: 100 calls are affordable."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def config_path(url, tmp_path) -> Path:
    path = tmp_path / "limits.yaml"
    path.write_text(f"ledger: {{url: '{url}', lease_seconds: 5}}\n{BUDGETS}")
    return path


def start(what: str, config: Path, count: int) -> Iterator[Any]:
    for _ in range(count):
        yield subprocess.Popen(
            [sys.executable, CHILD, what, config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


def opened(config: Path) -> BudgetManager:
    return BudgetManager(config=parse_config(config.read_text(), str(config)))


def checked(manager: BudgetManager) -> int:
    """What was spent, pico-USD, after the entries were found to equal the totals."""
    pipeline = manager._opened
    assert drift_of(pipeline.ledger, pipeline.budgets, time.time_ns(), entries_max=10**6) == 0
    return manager.state("a").spent.cost


@pytest.mark.parametrize("number", range(ROUNDS))
def test_nothing_is_overspent_and_nearly_all_can_be_spent(config_path, number):
    """At least 98 of 100 affordable calls are admitted in full; settled money never exceeds 1 USD."""
    children = list(start("crowd", config_path, PROCESSES))
    for child in children:
        assert child.stdout.readline().startswith("pid")
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    told = [list(map(int, child.communicate()[0].split())) for child in children]
    admitted, refused = sum(one[0] for one in told), sum(one[1] for one in told)
    with closing(opened(config_path)) as manager:
        spent = checked(manager)
        state = manager.state("a")
    assert spent <= PICO_PER_USD
    assert admitted >= 98
    assert (refused, state.reserved, state.spent.estimated) == (PROCESSES * 32, 0, 0)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_processes_stopped_past_their_leases_overspend_nothing(config_path, number):
    """Each of four is stopped for longer than its lease of a second, while the others go on and charge it."""
    rng = random.Random(number)
    config_path.write_text(config_path.read_text().replace("lease_seconds: 5", "lease_seconds: 1"))
    children = list(start("crowd", config_path, 4))
    for child in children:
        assert child.stdout.readline().startswith("pid")
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in rng.sample(children, 4):
        time.sleep(rng.random() / 10)
        child.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(1, 4.5))
        child.send_signal(signal.SIGCONT)
    told = [list(map(int, child.communicate()[0].split())) for child in children]
    with closing(opened(config_path)) as manager:
        spent = checked(manager)
        state = manager.state("a")
    assert spent <= PICO_PER_USD
    assert sum(one[0] for one in told) >= 98
    assert (state.reserved, state.spent.estimated) == (0, 0)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_killed_processes_lose_nothing_and_overspend_nothing(config_path, number):
    """Each settlement that returned is in the ledger; of calls in flight at most one for each process."""
    rng = random.Random(number)
    children = list(start("spending", config_path, 4))
    told = ["".join(child.stdout.readline() for _ in range(rng.randrange(2, 200))) for child in children]
    victims = children[:2]
    for child in victims:
        child.kill()
    told = [said + child.stdout.read() for said, child in zip(told, children, strict=True)]
    for child in children:
        child.communicate()
    settled = sum(said.count("settled") for said in told)
    assert all("refused" in said for said in told[2:])
    with closing(opened(config_path)) as manager:
        deadline = time.monotonic() + 60
        while manager.state("a").reserved and time.monotonic() < deadline:
            time.sleep(0.1)
        state = manager.state("a")
        spent = checked(manager)
        for _ in range((PICO_PER_USD - spent) // (PICO_PER_USD // 1000)):
            manager.reserve("a", cost="0.001").settle(cost="0.001")
        assert checked(manager) == PICO_PER_USD
    assert state.reserved == 0
    assert state.spent.estimated <= len(victims) * PICO_PER_USD // 1000
    assert spent - state.spent.estimated >= settled * PICO_PER_USD // 1000
