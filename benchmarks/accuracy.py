"""Replays captured spans and compares each counted call with the truth: the table in the README.

usage: python benchmarks/accuracy.py [FOLDER]      (default: tests/captures/data)

A folder holds `NAME.jsonl`, the spans that a real instrumentation emitted, and `NAME.expected.jsonl`, what
the provider answered and billed. A call of exact usage must equal a true call of its own in all four buckets.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.replay.files import SpanFile
from spanbudget.exporter.replay.run import Replay

Buckets = tuple[int, int, int, int]


class Score(NamedTuple):
    """How one capture came out."""

    name: str
    spans: int
    true_calls: int
    exact: int
    flagged: int
    wrong: int


def score(path: Path) -> Score:
    """Replays one capture into a ledger of its own."""
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(SqliteLedger(Path(folder) / "ledger.db"), Config(), retention=False)
        replay.run(SpanFile(path).spans(), 0)
        left = truth(path.with_suffix("").with_suffix(".expected.jsonl"))
        billed = left.total()
        exact = flagged = wrong = 0
        for entry in replay.calls():
            usage = entry.priced.call.usage
            got = (usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.output or 0)
            if entry.priced.call.usage_confidence != "exact":
                flagged += 1
            elif left[got] > 0:
                left[got] -= 1
                exact += 1
            elif any(got):
                wrong += 1
        replay.close()
    return Score(path.stem, replay.spans, billed, exact, flagged, wrong)


def truth(path: Path) -> Counter[Buckets]:
    """The billed calls, as often as each combination of counts occurs."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return Counter(
        (row["uncached_input"], row["cache_read"], row.get("cache_write", 0), row["output"])
        for row in rows
        if row.get("billed")
    )


def captures(folder: Path) -> Iterator[Path]:
    """The captures of a folder, by name."""
    return (path for path in sorted(folder.glob("*.jsonl")) if not path.name.endswith(".expected.jsonl"))


def main() -> int:
    """Prints a markdown table; the exit code is 1 where a number is silently wrong."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/captures/data")
    scores = [score(path) for path in captures(folder)]
    print("| capture | spans | true calls | exact | flagged | silently wrong or doubled |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total = Score("**all**", *(sum(column) for column in list(zip(*scores, strict=True))[1:]))
    for one in (*scores, total):
        print(f"| {one.name} | {one.spans} | {one.true_calls} | {one.exact} | {one.flagged} | {one.wrong} |")
    return int(total.wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
