"""`kill -9` of a replay at any moment, and the same replay again: the ledger is as if nothing was."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from ledger_totals import Totals, totals_of
from soak_spans import BUDGETS, GENAI, INFERENCE, NOON_NS, call_attributes, line_of, write_spans

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.ledger.sqlite_holds import SqliteHoldLedger
from spanbudget.exporter.replay.files import SpanFile
from spanbudget.exporter.replay.run import Replay

SPANBUDGET = (sys.executable, "-c", "from spanbudget.exporter.cli.main import main; main()")
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))
KILLS_MAX = 3
SECONDS_MAX = 300


class Replays:
    """A file of spans, and what an uninterrupted replay of it comes to."""

    def __init__(self, folder: Path, traces: int) -> None:
        self._folder = folder
        self._spans = folder / "spans.jsonl"
        self._config = folder / "budgets.yaml"
        # The captures and the made-up requests have fixed times: without bound, they never grow too old.
        self._config.write_text("ledger: {retention_days: 36500}\n" + BUDGETS, encoding="utf-8")
        write_spans(self._spans, traces)
        whole = folder / "whole.db"
        with self._start(whole) as process:
            self._wait_for(whole, process)
            started = time.monotonic()
            assert process.wait(SECONDS_MAX) == 0
            self.booking_seconds = time.monotonic() - started
        self.totals: Totals = totals_of(whole)

    def _arguments(self, ledger: Path) -> list[str]:
        options = ("--db", str(ledger), "--config", str(self._config), "--format", "json")
        return ["replay", str(self._spans), *options]

    def _start(self, ledger: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*SPANBUDGET, *self._arguments(ledger)], stdout=subprocess.DEVNULL)

    @staticmethod
    def _wait_for(ledger: Path, process: "subprocess.Popen[bytes]") -> None:
        """Until the replay has opened its ledger: a kill before that is no test."""
        while not ledger.exists() and process.poll() is None:
            time.sleep(0.001)

    def killed(self, ledger: Path, after_seconds: float) -> bool:
        """Starts a replay and kills it; False where it was done before."""
        with self._start(ledger) as process:
            self._wait_for(ledger, process)
            try:
                process.wait(after_seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            return process.wait(SECONDS_MAX) == -signal.SIGKILL

    def finished(self, ledger: Path) -> None:
        """A replay to the end, in this process."""
        assert CliRunner().invoke(main, self._arguments(ledger)).exit_code == 0

    def round(self, number: int, chance: random.Random) -> int:
        """Kills some replays into one ledger, replays to the end and compares; answers how many died."""
        ledger = self._folder / f"{number}.db"
        waits = [chance.uniform(0, self.booking_seconds) for _ in range(chance.randint(1, KILLS_MAX))]
        died = sum(self.killed(ledger, seconds) for seconds in waits)
        self.finished(ledger)
        assert totals_of(ledger) == self.totals, f"after kills at {waits} s"
        self.finished(ledger)
        assert totals_of(ledger) == self.totals, "after one more replay"
        for path in self._folder.glob(f"{number}.db*"):
            path.unlink()
        return died


def test_a_replay_that_was_killed_is_made_good_by_another(tmp_path):
    replays = Replays(tmp_path, traces=100)
    assert len(replays.totals.calls) > 1_000
    for number in range(2):
        replays.round(number, random.Random(number))


def quiet_service(requests: int) -> Iterator[str]:
    """One request a minute, told by two instrumentations; an odd line first, so that batches part a pair."""
    yield line_of(1, 1, 0, GENAI, (NOON_NS - 2, NOON_NS - 1), call_attributes(1))
    for number in range(2, requests + 2):
        start = NOON_NS + number * 60 * 10**9
        told, inner, wrapper = call_attributes(number), 2 * number, 2 * number + 1
        poor = {"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-5"}
        yield line_of(inner, number, wrapper, GENAI, (start + 1, start + 10**9), told)
        yield line_of(wrapper, number, 0, INFERENCE, (start, start + 10**9 + 1), poor)


def test_a_quiet_service_replayed_twice_counts_once(tmp_path):
    """600 requests and one more: 601 calls, however often."""
    path, ledger = tmp_path / "spans.jsonl", tmp_path / "ledger.db"
    path.write_text("\n".join(quiet_service(600)), encoding="utf-8")
    totals = []
    for _ in range(2):
        replay = Replay(SqliteHoldLedger(ledger), parse_config(BUDGETS, "soak"), retention=False)
        with closing(replay):
            replay.run(SpanFile(path).spans(), NOON_NS)
        totals.append(totals_of(ledger))
    assert len(totals[0].calls) == 601
    assert totals[1] == totals[0]


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_replays_that_were_killed_are_made_good_by_others(tmp_path):
    replays = Replays(tmp_path, traces=3_000)
    chance = random.Random()
    died = sum(replays.round(number, chance) for number in range(ROUNDS))
    assert died > 0
