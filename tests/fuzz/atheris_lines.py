"""Fuzzes the reader of span files with atheris, beginning with our captures in both formats."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from atheris_lane import fuzz

CAPTURES = Path(__file__).parents[1] / "captures" / "data"
LINES_OF_EACH = 12
SEED_BYTES_MAX = 4_096


def captured_lines() -> Iterator[bytes]:
    """The first lines of each capture, short ones."""
    for path in sorted(CAPTURES.glob("*.jsonl")):
        if not path.name.endswith(".expected.jsonl"):
            lines = path.read_bytes().splitlines()
            yield from (line for line in lines[:LINES_OF_EACH] if len(line) <= SEED_BYTES_MAX)


def as_otlp(line: bytes) -> bytes:
    """A captured span as OTLP/JSON."""
    span = json.loads(line)
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue", bool: "boolValue"}
    pairs = [
        {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for key, value in span["attributes"].items()
        if type(value) in kinds
    ]
    told = {
        "traceId": span["trace_id"],
        "spanId": span["span_id"],
        "parentSpanId": span["parent_id"] or "",
        "name": span["name"],
        "startTimeUnixNano": str(span["start_ns"]),
        "endTimeUnixNano": str(span["end_ns"]),
        "attributes": pairs,
    }
    scope = {"name": span["scope"]["name"], "version": span["scope"]["version"]}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": scope, "spans": [told]}]}]}).encode()


def seeds() -> Iterator[bytes]:
    """Captures as they are, and as OTLP/JSON."""
    for line in captured_lines():
        yield line
        yield as_otlp(line)


def make_target(_: Any) -> Callable[[bytes], None]:
    """The target: decodes a line and books what was in it."""
    from nasty import House  # noqa: PLC0415 - imported under watch

    from spanbudget.exporter.replay.span_json import MalformedSpanError, SpanDecoder  # noqa: PLC0415 - the same

    def target(given: bytes) -> None:
        try:
            records = list(SpanDecoder().spans(json.loads(given)))
        except (ValueError, RecursionError, MalformedSpanError):
            return  # what `SpanFile` complains about
        house = House()
        house.book(records)
        house.check(records)

    return target


if __name__ == "__main__":
    fuzz(make_target, seeds())
