"""Money that is in flight when something breaks."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_reserving import reached

from spanbudget import BudgetExceeded, BudgetManager, ReservationError
from spanbudget.exporter.admission.drift import drift_of
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors import names_out as names
from spanbudget.processors.money import PICO_PER_USD, pico_to_usd

CHILD = Path(__file__).parent / "limits_child.py"
HARD = "[{name: a, max_cost: 1, period: total, hard_limit: true}]"


@pytest.fixture
def impatient(monkeypatch) -> None:
    """A locked store is given up sooner; long enough for a machine that is busy."""
    monkeypatch.setattr("spanbudget.exporter.wiring.ASK_SECONDS", 0.5)


@pytest.fixture
def child(tmp_path) -> Iterator[Callable[..., Any]]:
    """Starts children on the ledger of `opened`; each has said `ready`, or its first line."""
    started: list[Any] = []

    def start(what: str, budgets: str = HARD, ledger: str = "") -> Any:
        config = tmp_path / "child.yaml"
        config.write_text(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'{ledger}}}\nbudgets: {budgets}\n")
        process: Any = subprocess.Popen(
            [sys.executable, CHILD, what, config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline().startswith("pid")
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def spent(manager: BudgetManager) -> Decimal:
    return pico_to_usd(manager.state("a").spent.cost)


def drift(manager: BudgetManager) -> int:
    """Sum of the entries less the running totals."""
    pipeline = manager._opened
    pipeline.flush()
    return drift_of(pipeline.ledger, pipeline.budgets, time.time_ns())


def test_a_killed_process_loses_nothing_that_it_settled(opened, child):
    """0.1 USD settled and 0.2 in flight are charged, 0.15 that were not sent are not: 0.3 USD."""
    process = child("flying")
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    manager = opened(HARD)
    assert reached(lambda: spent(manager) == Decimal("0.3"))
    state = manager.state("a")
    assert (state.spent.estimated, state.reserved) == (2 * PICO_PER_USD // 10, 0)
    assert drift(manager) == 0
    assert manager.health()[names.RESERVATIONS_ORPHANED.name, "charged"] == 1
    assert manager.health()[names.RESERVATIONS_ORPHANED.name, "released"] == 1
    assert not list(Path(manager._config.ledger.url.removeprefix("sqlite:///")).parent.glob("*.journal"))


@pytest.mark.parametrize("policy", ["charge", "release"])
def test_a_budget_says_what_becomes_of_orphans(opened, child, policy):
    """0.1 settled, and of 0.2 + 0.15 in flight all or nothing."""
    budgets = HARD.replace("hard_limit", f"on_orphan: {policy}, hard_limit")
    process = child("flying", budgets)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    manager = opened(budgets)
    assert reached(lambda: manager.health()[names.RESERVATIONS_ORPHANED.name, f"{policy}d"] == 2)
    assert spent(manager) == (Decimal("0.45") if policy == "charge" else Decimal("0.1"))


def test_a_process_that_ends_without_settling_leaves_its_calls_to_the_next(opened, child):
    process = child("flying")
    assert process.stdout.readline() == "ready\n"
    process.communicate("\n")
    manager = opened(HARD)
    assert reached(lambda: spent(manager) == Decimal("0.3"))


def test_a_killed_spender_is_charged_exactly_what_it_did(opened, child):
    """Killed in the middle: each settlement that returned is there, and at most one call more in flight."""
    process = child("spending")
    for line in process.stdout:
        if line == "settled 150\n":
            break
    process.kill()
    lines = process.stdout.read().splitlines()
    process.communicate()
    settled = max([150, *(int(line.split()[1]) for line in lines if line.startswith("settled"))])
    manager = opened(HARD)
    assert reached(lambda: spent(manager) >= Decimal(settled) / 1000 and manager.state("a").reserved == 0)
    assert 0 <= spent(manager) - Decimal(settled) / 1000 <= Decimal("0.001")
    assert drift(manager) == 0
    number = int(spent(manager) * 1000)
    for _ in range(1000 - number):
        manager.reserve("a", cost="0.001").settle(cost="0.001")
    with pytest.raises(BudgetExceeded):
        manager.reserve("a", cost="0.001")


def test_a_process_stopped_past_its_lease_settles_what_it_spent(monkeypatch, opened, child):
    """0.5 USD are charged while it stands still; it spent 0.2, and 0.2 stand in the end."""
    monkeypatch.setattr("spanbudget.exporter.admission.keeper.SWEEP_SECONDS", 0.2)
    process = child("held", ledger=", lease_seconds: 1")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    manager = opened(HARD, ledger=", lease_seconds: 1")
    with pytest.raises(BudgetExceeded):
        manager.reserve("a", cost="0.6")
    manager.reserve("a", cost="0.01").settle(cost="0.01")
    assert reached(lambda: manager.state("a").spent.estimated == PICO_PER_USD // 2)
    assert spent(manager) == Decimal("0.51")
    with pytest.raises(BudgetExceeded):
        manager.reserve("a", cost="0.5")
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "settled\n"
    assert reached(lambda: spent(manager) == Decimal("0.21"))
    assert manager.state("a").spent.estimated == 0
    assert drift(manager) == 0
    manager.reserve("a", cost="0.79").settle(cost="0.79")


def test_a_forked_child_has_nothing_of_its_parents_holds(opened):
    """The parent holds 0.6; the child cannot settle that, and 0.4 are left for it."""
    manager = opened(HARD)
    reservation = manager.reserve("a", cost="0.6")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            try:
                reservation.settle(cost=1)
            except ReservationError:
                code = 2
            try:
                manager.reserve("a", cost="0.5")
            except BudgetExceeded:
                code += 10
            manager.reserve("a", cost="0.4").settle(cost="0.3")
            manager.close()
            code += 20
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 32
    reservation.settle(cost="0.5")
    assert spent(manager) == Decimal("0.8")
    assert drift(manager) == 0


# The store.


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the ledger's write lock, as a long transaction of another program does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.parametrize("policy", ["deny", "allow", "lease_only"])
def test_a_locked_store_does_what_the_budget_says(impatient, opened, tmp_path, policy):
    manager = opened(HARD.replace("hard_limit", f"on_store_error: {policy}, hard_limit"))
    manager.reserve("a", cost="0.5").settle(cost="0.1")  # leaves 0.4 USD that are leased
    manager.flush()
    with locked(tmp_path / "ledger.db"):
        if policy == "allow":
            manager.reserve("a", cost="0.7").settle(cost="0.7")
            assert manager.health()[names.RESERVATIONS_UNHELD.name, "store"] == 1
        else:
            with pytest.raises(BudgetExceeded) as refused:
                manager.reserve("a", cost="0.7")
            assert refused.value.reason == "store"
        used = manager.health()[names.STORE_POLICY_USED.name, policy]
        assert used >= 1
    assert reached(lambda: spent(manager) == (Decimal("0.8") if policy == "allow" else Decimal("0.1")))
    assert drift(manager) == 0


def test_what_is_leased_can_be_spent_while_the_store_is_locked(impatient, opened, tmp_path):
    manager = opened(HARD.replace("hard_limit", "on_store_error: lease_only, hard_limit"))
    manager.reserve("a", cost="0.5").settle(cost="0.1")
    manager.flush()
    with locked(tmp_path / "ledger.db"):
        for _ in range(4):
            manager.reserve("a", cost="0.1").settle(cost="0.1")
        with pytest.raises(BudgetExceeded):
            manager.reserve("a", cost="0.1")
    assert reached(lambda: spent(manager) == Decimal("0.5"))
    manager.reserve("a", cost="0.5")  # the store has just taken a settlement, so it is asked


def fill(file) -> None:
    while True:
        file.write(b"x" * 4096)


def ask_again_and_again(manager: BudgetManager) -> None:
    """What is left of the journal's last block takes a few more lines."""
    for _ in range(1000):
        manager.reserve("a", cost="0.3").release()


def test_a_full_disk_refuses_and_loses_nothing(small_disk):
    text = f"ledger: {{url: 'sqlite:///{small_disk}/ledger.db', on_store_error: deny}}\nbudgets: {HARD}\n"
    with BudgetManager(config=parse_config(text, "test")) as manager:
        manager.reserve("a", cost="0.1").settle(cost="0.1")
        flying = manager.reserve("a", cost="0.1")
        manager.flush()
        full = small_disk / "full"
        with full.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            fill(file)
        with pytest.raises(BudgetExceeded) as refused:
            ask_again_and_again(manager)
        assert refused.value.reason == "store"
        flying.settle(cost="0.05")
        full.unlink()
        assert reached(lambda: spent(manager) == Decimal("0.15"))
        assert drift(manager) == 0
        assert reached(lambda: passes(manager, "0.85"))  # the ledger is tried again after a second
        with pytest.raises(BudgetExceeded):
            manager.reserve("a", cost="0.01")


def passes(manager: BudgetManager, cost: str) -> bool:
    try:
        manager.reserve("a", cost=cost).settle(cost=cost)
    except BudgetExceeded:
        return False
    return True


def test_a_clock_that_is_set_back_overspends_no_window(tmp_path):
    """1 USD a day; the clock goes back from noon to the evening before, and each day has its own dollar."""
    noon = 1_790_000_000 // 86_400 * 86_400 * 10**9 + 43_200 * 10**9
    now = [noon]
    budgets = "[{name: a, max_cost: 1, period: daily, hard_limit: true}]"
    config = parse_config(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}\nbudgets: {budgets}\n", "test")
    pipeline = open_pipeline(config, clock_ns=lambda: now[0])
    manager = BudgetManager(config=config)
    manager._pipeline = pipeline
    manager.reserve(cost=1).settle(cost="0.9")
    flying = manager.reserve(cost="0.1")
    now[0] = noon - 13 * 3_600 * 10**9
    with pytest.raises(BudgetExceeded):
        manager.reserve(cost="0.95")  # 0.1 of the other day may still land here
    manager.reserve(cost="0.9").settle(cost="0.9")
    flying.settle(cost="0.1")
    pipeline.flush()
    for at in (noon, now[0]):
        now[0] = at
        assert pipeline.budget_states()[0].spent.cost <= PICO_PER_USD
    manager.reserve(cost="0.1").settle(cost="0.1")
    for at in (noon, now[0]):  # the call that was in flight has ended after it began: at noon
        now[0] = at
        with pytest.raises(BudgetExceeded):
            manager.reserve(cost="0.01")
    pipeline.shutdown()
