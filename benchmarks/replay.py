"""Spans a second of `spanbudget replay` on an OTLP/JSON file, the start of the process included."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import Figure, chosen, tell
from spans import APART_NS, CALL_NS, SCOPE, SCOPE_VERSION, SERVICE, call_attributes

SPANS = chosen(2_000, 200_000)
LINE_SPANS = 100  # of one line, as a Collector batches them
ROUNDS = chosen(1, 3)
REPLAY = (sys.executable, "-c", "from spanbudget.exporter.cli.main import main; main()", "replay")


def any_value(value: object) -> dict[str, object]:
    """An attribute value as OTLP/JSON has it."""
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}


def pairs(attributes: dict[str, Any]) -> list[dict[str, object]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def otlp_span(number: int, base_ns: int) -> dict[str, object]:
    start_ns = base_ns + number * APART_NS
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "parentSpanId": f"{number + 1 << 32:016x}",
        "name": "chat",
        "kind": 3,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + CALL_NS),
        "attributes": pairs(call_attributes(number)),
        "status": {},
    }


def write_file(path: Path) -> None:
    """Writes the file as the Collector's file exporter does: one request a line."""
    base_ns = time.time_ns() - SPANS * APART_NS - CALL_NS
    head = {"resource": {"attributes": pairs(SERVICE)}}
    scope = {"name": SCOPE, "version": SCOPE_VERSION}
    with path.open("w", encoding="utf-8") as out:
        for first in range(0, SPANS, LINE_SPANS):
            spans = [otlp_span(number, base_ns) for number in range(first, first + LINE_SPANS)]
            out.write(
                json.dumps({"resourceSpans": [{**head, "scopeSpans": [{"scope": scope, "spans": spans}]}]})
            )
            out.write("\n")


def replay_seconds(path: Path, ledger: Path) -> float:
    started = time.perf_counter()
    told = subprocess.run(
        [*REPLAY, str(path), "--db", str(ledger), "--format", "json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    seconds = time.perf_counter() - started
    assert json.loads(told)["calls"] == SPANS, told  # noqa: S101 - a replay that loses spans measures nothing
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_file(folder / "spans.jsonl")
        ledger = folder / "0.db"
        fresh = [replay_seconds(folder / "spans.jsonl", folder / f"{n}.db") for n in range(ROUNDS)]
        again = replay_seconds(folder / "spans.jsonl", ledger)
    tell(
        [
            Figure(f"`spanbudget replay`, {SPANS:,} spans", "", SPANS / statistics.median(fresh), "spans/s"),
            Figure("the same file again, nothing new", "", SPANS / again, "spans/s"),
        ]
    )


if __name__ == "__main__":
    main()
