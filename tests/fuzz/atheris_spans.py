"""Fuzzes spans with atheris: bytes become spans, spans become entries, and the sums must hold."""

from collections.abc import Callable
from typing import Any

from atheris_lane import fuzz

SPANS_MAX = 6
ATTRIBUTES_MAX = 10


def value_of(data: Any, depth: int = 2) -> object:
    """An attribute value of any type."""
    makers: list[Callable[[], object]] = [
        lambda: data.ConsumeIntInRange(-10, 10_000),
        lambda: data.ConsumeInt(16),
        data.ConsumeFloat,
        lambda: data.ConsumeUnicode(40),  # with surrogates
        lambda: data.ConsumeBytes(8),
        data.ConsumeBool,
        lambda: None,
    ]
    if depth:
        sizes = range(data.ConsumeIntInRange(0, 3))
        makers.append(lambda: [value_of(data, depth - 1) for _ in sizes])
        makers.append(lambda: {data.ConsumeUnicode(10): value_of(data, depth - 1) for _ in sizes})
    return makers[data.ConsumeIntInRange(0, len(makers) - 1)]()


def make_target(atheris: Any) -> Callable[[bytes], None]:
    """The target: books the spans that the bytes spell."""
    from nasty import KEYS, NOW_NS, SCOPES, WORDS, House  # noqa: PLC0415 - imported under watch

    from spanbudget.processors.spans import SpanRecord  # noqa: PLC0415 - imported under watch

    def attributes_of(data: Any) -> dict[str, object]:
        return {
            data.PickValueInList(KEYS): data.PickValueInList(WORDS) if data.ConsumeBool() else value_of(data)
            for _ in range(data.ConsumeIntInRange(0, ATTRIBUTES_MAX))
        }

    def span_of(data: Any) -> SpanRecord:
        end_ns = NOW_NS - data.ConsumeIntInRange(-5, 10**9) if data.ConsumeBool() else data.ConsumeInt(10)
        return SpanRecord(
            trace_id=data.ConsumeIntInRange(0, 2),
            span_id=data.ConsumeIntInRange(0, 6),
            parent_id=data.ConsumeIntInRange(0, 6),
            name=data.ConsumeUnicode(10),
            scope=data.PickValueInList(SCOPES),
            version="1",
            start_ns=end_ns - data.ConsumeIntInRange(-5, 10**9),
            end_ns=end_ns,
            status=data.ConsumeIntInRange(0, 2),
            description=None,
            attributes=attributes_of(data),
            resource={"service.name": value_of(data)},
        )

    def target(given: bytes) -> None:
        data = atheris.FuzzedDataProvider(given)
        records = [span_of(data) for _ in range(data.ConsumeIntInRange(1, SPANS_MAX))]
        house = House(max_entries=data.ConsumeIntInRange(1, 20))
        house.book(records)
        house.check(records)

    return target


if __name__ == "__main__":
    fuzz(make_target)
