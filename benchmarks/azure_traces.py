"""The main job on real input: traces of real LLM services, through to a real OTLP receiver.

    python benchmarks/azure_traces.py FILE...

FILES have rows TIMESTAMP,ContextTokens,GeneratedTokens, as Azure's public LLM inference traces do. Each row
becomes one span of OpenTelemetry's SDK at the time of the row; SpanBudget prices and books it, its metrics
and the priced spans leave by OTLP over HTTP/protobuf, and another process receives them (oteltap). Everything
is compared with sums over the files. Without files, a small one is made up.

An hour of a trace passes in seconds here, so calls are remembered for two hours: the default of 15 minutes is
in span time, and an exporter that lags for seconds would find the prices of an hour ago forgotten.
"""

import csv
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from measure import Figure, tell
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer
from otlp_receiver import Arrived
from spans import SCOPE, SCOPE_VERSION, SERVICE

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.cost_exporter import CostOTLPSpanExporter
from spanbudget.exporter.instrument import instrument, uninstrument
from spanbudget.exporter.ledger.sqlite import SqliteLedger

RATES = {"gpt-4o": (2_500_000, 10_000_000), "gpt-4o-mini": (150_000, 600_000)}  # pico-USD a token
MODELS = tuple(RATES)
CONFIG = """\
ledger: {{url: "sqlite:///{ledger}", retention_days: 36500}}
counting: {{max_age_seconds: 7200}}
metrics: {{exporter: otlp, labels: [feature]}}
prices:
  - {{provider: openai, model: gpt-4o, input: 2.5, output: 10}}
  - {{provider: openai, model: gpt-4o-mini, input: 0.15, output: 0.6}}
budgets:
  - {{name: everything, max_cost: 100000, period: total}}
  - {{name: production, max_cost: 5000, period: daily, match: {{deployment.environment.name: production}}}}
  - {{name: per-feature, per: [feature], max_cost: 500, period: hourly}}
"""
QUEUE_SPANS = "65536"  # of the SDK's own exporter: it drops what its queue has no room for


class Row(NamedTuple):
    """One request of a trace."""

    at_ns: int
    prompt: int
    output: int


@dataclass(slots=True)
class Sums:
    """What the files add up to; the cost in pico-USD, by plain arithmetic."""

    rows: int = 0
    prompt: int = 0
    output: int = 0
    cost: int = 0

    def add(self, row: Row, model: str) -> None:
        """Adds one row."""
        per_input, per_output = RATES[model]
        self.rows += 1
        self.prompt += row.prompt
        self.output += row.output
        self.cost += row.prompt * per_input + row.output * per_output


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a file, in its order."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            second, _, fraction = row["TIMESTAMP"].partition(".")
            at = datetime.fromisoformat(second).replace(tzinfo=UTC)
            at_ns = int(at.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
            yield Row(at_ns, int(row["ContextTokens"]), int(row["GeneratedTokens"]))


def made_up(folder: Path) -> Path:
    """A small file of the same form."""
    path = folder / "made_up.csv"
    lines = (f"2023-11-16 18:17:{n % 60:02}.{n:07},{n * 37 % 4000 + 1},{n % 300}" for n in range(2_000))
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]) + "\n", encoding="utf-8")
    return path


def end_call(tracer: Tracer, row: Row, model: str, name: str) -> None:
    """One call as an instrumentation tells it."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": name,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": row.prompt,
        "gen_ai.usage.output_tokens": row.output,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "feature": name.partition(":")[0],
    }
    span = tracer.start_span(
        f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes, start_time=row.at_ns
    )
    span.end(row.at_ns + 1_000_000 + row.output * 10_000_000)


@contextmanager
def receiver(rows: int) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The receiver, in a process of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("otlp_receiver.py")), str(port), str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdout.readline()  # it listens
        try:
            yield port, process
        finally:
            process.terminate()


def send(files: list[Path], folder: Path, port: int) -> tuple[Sums, float, float]:
    """Makes the spans and waits until the ledger and the receiver have them; seconds until each of both."""
    os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = QUEUE_SPANS
    provider = TracerProvider(resource=Resource(SERVICE), shutdown_on_exit=False)
    config = parse_config(CONFIG.format(ledger=folder / "ledger.db"), "benchmark")
    pipeline = instrument(config, tracer_provider=provider)
    assert pipeline is not None  # noqa: S101 - it is the SDK's provider
    provider.add_span_processor(BatchSpanProcessor(CostOTLPSpanExporter()))
    tracer = provider.get_tracer(SCOPE, SCOPE_VERSION)
    sums = Sums()
    started = time.perf_counter()
    for number, path in enumerate(files):
        model = MODELS[number % len(MODELS)]
        for line, row in enumerate(rows_of(path)):
            end_call(tracer, row, model, f"{path.stem}:{line}")
            sums.add(row, model)
    assert pipeline.flush()  # noqa: S101 - without it nothing below means anything
    booked = time.perf_counter() - started
    provider.force_flush(120_000)
    sent = time.perf_counter() - started
    uninstrument()
    provider.shutdown()
    return sums, booked, sent


def booked_sums(path: Path) -> Sums:
    """What the ledger's entries add up to."""
    sums = Sums()
    ledger = SqliteLedger(path)
    for entry in ledger.entries():
        priced = entry.priced
        sums.rows += 1
        sums.prompt += priced.call.usage.prompt
        sums.output += priced.call.usage.output or 0
        sums.cost += priced.cost or 0
    ledger.close()
    return sums


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [Path(path) for path in sys.argv[1:]] or [made_up(folder)]
        rows = sum(1 for path in files for _ in rows_of(path))
        with receiver(rows) as (port, process):
            sums, booked_seconds, sent_seconds = send(files, folder, port)
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            arrived = Arrived.of(process.stdout.readline())
        booked = booked_sums(folder / "ledger.db")
    told = Sums(arrived.requests, arrived.prompt, arrived.output, arrived.cost)
    equal = booked == sums == told and arrived.spans == sums.rows and arrived.span_cost == sums.cost
    tell(
        [
            Figure("rows of the traces", "", sums.rows, "rows"),
            Figure("calls in the ledger", "= rows", booked.rows, "calls"),
            Figure(
                "their tokens", f"= {sums.prompt + sums.output:,}", booked.prompt + booked.output, "tokens"
            ),
            Figure("their cost", f"= {sums.cost / 1e12:.6f}", booked.cost / 1e12, "USD", 6),
            Figure("`llm.cost.usd` at the OTLP receiver", "= ledger", arrived.cost / 1e12, "USD", 6),
            Figure("spans at the OTLP receiver", "= rows", arrived.spans, "spans"),
            Figure("their cost attributes", "= ledger", arrived.span_cost / 1e12, "USD", 6),
            Figure("made by the SDK, priced and booked", "", sums.rows / booked_seconds, "spans/s"),
            Figure("until sent by OTLP too", "", sums.rows / sent_seconds, "spans/s"),
            Figure("everything equal", "1", equal, ""),
        ]
    )
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
