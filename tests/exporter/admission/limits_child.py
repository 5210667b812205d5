"""A process for the tests to kill, stop and crowd: reserves and settles, and says each step on a line."""

import os
import sys
import threading
import time
from pathlib import Path

from spanbudget import BudgetExceeded, BudgetManager
from spanbudget.exporter.config import parse_config


def say(*words: object) -> None:
    """One line, out at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def opened(path: str) -> BudgetManager:
    return BudgetManager(config=parse_config(Path(path).read_text(), path))


def flying(manager: BudgetManager) -> None:
    """Leaves a settled, a sent and an unsent reservation behind, and waits for its end."""
    manager.reserve("a", cost="0.3").settle(cost="0.1")
    manager.reserve("a", cost="0.2")
    manager.reserve("a", cost="0.15", sent=False)
    say("ready")
    sys.stdin.readline()


def held(manager: BudgetManager) -> None:
    """Holds 0.5 USD, and settles 0.2 of them when it is told to."""
    reservation = manager.reserve("a", cost="0.5")
    say("ready")
    sys.stdin.readline()
    reservation.settle(cost="0.2")
    manager.flush()
    say("settled")
    sys.stdin.readline()


def spending(manager: BudgetManager) -> None:
    """Spends 0.001 USD again and again until it is refused; says each call and each settlement."""
    number = 0
    while True:
        try:
            reservation = manager.reserve("a", cost="0.001")
        except BudgetExceeded:
            break
        number += 1
        say("open", number)
        reservation.settle(cost="0.001")
        say("settled", number)
    say("refused", number)
    manager.close()


def crowd(manager: BudgetManager) -> None:
    """32 threads that ask for eight times what a call then takes, until they are refused."""
    counts = {"admitted": 0, "refused": 0}
    waits: list[float] = []
    lock = threading.Lock()
    sys.stdin.readline()

    def work() -> None:
        while True:
            began = time.monotonic()
            try:
                reservation = manager.reserve(
                    "a", model="m", provider="openai", input_tokens=0, max_tokens=8_000
                )
            except BudgetExceeded:
                with lock:
                    counts["refused"] += 1
                return
            waited = time.monotonic() - began
            time.sleep(0.02)
            tokens = min(1_000, reservation.max_tokens or 8_000)
            reservation.settle(usage={"input_tokens": 0, "output_tokens": tokens})
            with lock:
                counts["admitted"] += tokens == 1_000
                waits.append(waited)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.close()
    say(counts["admitted"], counts["refused"], int(max(waits, default=0) * 1000))


if __name__ == "__main__":
    with opened(sys.argv[2]) as manager:
        say("pid", os.getpid())
        {"flying": flying, "held": held, "spending": spending, "crowd": crowd}[sys.argv[1]](manager)
