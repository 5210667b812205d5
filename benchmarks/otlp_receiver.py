"""A real OTLP receiver (oteltap) in a process of its own: counts what arrives, and tells it as JSON.

    python benchmarks/otlp_receiver.py PORT ROWS

Prints a line when it listens, and one with the sums as soon as so many spans and requests have arrived.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

SECONDS_MAX = 120  # then it tells what it has


@dataclass(slots=True)
class Arrived:
    """What arrived; amounts in pico-USD, of cumulative series the last value each."""

    spans: int = 0
    span_cost: int = 0
    requests: int = 0
    prompt: int = 0
    output: int = 0
    cost: int = 0

    @classmethod
    def of(cls, text: str) -> "Arrived":
        """Reads what `main` printed."""
        return cls(**json.loads(text))


def pico(usd: float) -> int:
    """USD as pico-USD; exact below 9,000 USD."""
    return round(usd * 1e12)


class Collected:
    """The sums so far, and whether they are complete."""

    def __init__(self, rows: int) -> None:
        self.arrived = Arrived()
        self.complete = asyncio.Event()
        self._rows = rows
        self._last: dict[tuple[str, tuple[str, ...]], float] = {}

    def take_span(self, span: Any) -> None:
        """Counts one span."""
        self.arrived.spans += 1
        for attribute in span.attributes:
            if attribute.key == "gen_ai.usage.cost.amount":
                self.arrived.span_cost += pico(attribute.value.double_value)
        self._check()

    def take_metric(self, metric: Any) -> None:
        """Keeps the last value of each series."""
        if metric.name not in ("llm.cost.usd", "llm.tokens", "llm.requests"):
            return
        for point in metric.sum.data_points:
            series = tuple(sorted(f"{pair.key}={pair.value.string_value}" for pair in point.attributes))
            self._last[metric.name, series] = point.as_double or point.as_int
        self._sum()
        self._check()

    def _sum(self) -> None:
        arrived = self.arrived
        arrived.cost = sum(pico(value) for (name, _), value in self._last.items() if name == "llm.cost.usd")
        arrived.requests = sum(
            int(value) for (name, _), value in self._last.items() if name == "llm.requests"
        )
        arrived.prompt = self._tokens("input", "cache_read", "cache_write")
        arrived.output = self._tokens("output")

    def _tokens(self, *kinds: str) -> int:
        wanted = {f"gen_ai.token.type={kind}" for kind in kinds}
        return sum(
            int(value)
            for (name, series), value in self._last.items()
            if name == "llm.tokens" and wanted.intersection(series)
        )

    def _check(self) -> None:
        if (
            self.arrived.spans >= self._rows
            and self.arrived.requests >= self._rows
            and self._tokens("output")
        ):
            self.complete.set()


async def receive(port: int, rows: int) -> Arrived:
    """Receives until everything has arrived."""
    from oteltap import (  # noqa: PLC0415 - the driver imports this module for `Arrived` alone
        OtelTapHttpProtobufReceiver,
        OtelTapHttpProtobufReceiverSettings,
    )

    collected = Collected(rows)
    async with OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(port)) as tap:

        async def spans() -> None:
            async for span in tap.stream_traces():
                collected.take_span(span)

        async def metrics() -> None:
            async for metric in tap.stream_metrics():
                collected.take_metric(metric)

        tasks = [asyncio.create_task(spans()), asyncio.create_task(metrics())]
        await asyncio.sleep(0)  # the receiver forgets what nobody waits for
        print("listening", flush=True)
        try:
            await asyncio.wait_for(collected.complete.wait(), SECONDS_MAX)
        except TimeoutError:
            print(f"not everything arrived in {SECONDS_MAX} s", file=sys.stderr)
        for task in tasks:
            task.cancel()
    return collected.arrived


def main() -> None:
    if len(sys.argv) == 3:
        port, rows = map(int, sys.argv[1:])
        print(json.dumps(asdict(asyncio.run(receive(port, rows)))), flush=True)


if __name__ == "__main__":
    main()
