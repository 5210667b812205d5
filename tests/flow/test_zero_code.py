"""`SPANBUDGET_CONFIG=budgets.yaml opentelemetry-instrument python app.py`: the program knows nothing of it.

Each call of the program is 1000 input and 100 output tokens of gpt-4o at 2.50 and 10 USD per 1M:
0.0025 + 0.001 = 0.0035 USD.
"""

import gzip
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanbudget.exporter.ledger import open_ledger

pytestmark = pytest.mark.server  # each starts a program as users do, and an OTLP receiver

COST = 3_500_000_000
"""Pico-USD of one call."""

APP = """
    import sys
    from opentelemetry import trace

    def chat(number):
        with trace.get_tracer("app").start_as_current_span("handler"):
            start = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                     "gen_ai.request.model": "gpt-4o"}
            tracer = trace.get_tracer("opentelemetry.instrumentation.genai.openai")
            client = trace.SpanKind.CLIENT
            with tracer.start_as_current_span("chat gpt-4o", kind=client, attributes=start) as span:
                span.set_attributes({"gen_ai.response.model": "gpt-4o",
                                     "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100,
                                     "gen_ai.response.id": f"resp-{number}"})

    def main():
        chat("parent")
"""


@dataclass
class Receiver:
    """An OTLP receiver over HTTP that keeps what it gets."""

    url: str
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            scopes = [scope for resource in traces.resource_spans for scope in resource.scope_spans]
            self.spans += [span for scope in scopes for span in scope.spans]
        elif path == "/v1/metrics":
            self.metrics += ExportMetricsServiceRequest.FromString(body).resource_metrics

    def costs(self) -> dict[str, float]:
        """Last `llm.cost.usd` of each process, in the order of the processes' first export."""
        costs: dict[str, float] = {}
        for resource in self.metrics:
            who = attributes_of(resource.resource)["service.instance.id"]
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "llm.cost.usd":
                        costs[who] = sum(point.as_double for point in metric.sum.data_points)
        return costs


def attributes_of(holder: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
        for item in holder.attributes
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            own.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield own
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Program:
    """A program in a directory of its own, run without code of ours in it."""

    folder: Path
    variables: dict[str, str]

    @property
    def ledger(self) -> str:
        return f"sqlite:///{self.folder}/ledger.db"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, app: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        path = self.write(
            "app.py",
            f"{textwrap.dedent(APP)}{textwrap.dedent(app)}\nif __name__ == '__main__':\n    main()\n",
        )
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SPANBUDGET_"))
        }
        command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, str(path)]
        return subprocess.run(
            command, env=environ | self.variables | variables, cwd=self.folder, check=True, timeout=60,
            capture_output=True, text=True,
        )  # fmt: skip

    def booked(self) -> list[tuple[str | None, int | None]]:
        ledger = open_ledger(self.ledger)
        entries = [entry.priced for entry in ledger.entries()]
        ledger.close()
        return sorted((priced.call.response_id, priced.cost) for priced in entries)


@pytest.fixture
def program(tmp_path: Path, receiver: Receiver) -> Program:
    own = Program(
        tmp_path,
        {
            "SPANBUDGET_CONFIG": str(tmp_path / "budgets.yaml"),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_TRACES_EXPORTER": "spanbudget_otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "shop",
        },
    )
    own.write(
        "budgets.yaml",
        f"""\
        ledger: {{url: "{own.ledger}"}}
        metrics: {{exporter: otlp}}
        prices:
          - {{provider: openai, model: gpt-4o, input: 2.5, cache_read: 1.25, cache_write: 0, output: 10}}
        budgets:
          - {{name: all, max_cost: 1, period: daily}}
        """,
    )
    return own


def span_costs(receiver: Receiver) -> dict[str, float | None]:
    return {span.name: attributes_of(span).get("gen_ai.usage.cost.amount") for span in receiver.spans}


def test_calls_are_booked_and_cost_leaves_on_spans_and_in_metrics(
    program: Program, receiver: Receiver
) -> None:
    done = program.run()
    assert done.stderr == ""
    assert program.booked() == [("resp-parent", COST)]
    assert span_costs(receiver) == {"chat gpt-4o": pytest.approx(0.0035), "handler": None}
    assert list(receiver.costs().values()) == [pytest.approx(0.0035)]
    last = {metric.name: metric for metric in receiver.metrics[-1].scope_metrics[0].metrics}
    (spent,) = last["llm.budget.spent.usd"].gauge.data_points
    assert attributes_of(spent) == {"llm.budget.name": "all", "llm.budget.child": ""}
    assert spent.as_double == pytest.approx(0.0035)
    (cost,) = last["llm.cost.usd"].sum.data_points
    chat = next(span for span in receiver.spans if span.name == "chat gpt-4o")
    assert [(one.trace_id, one.span_id) for one in cost.exemplars] == [(chat.trace_id, chat.span_id)]
    assert attributes_of(cost)["service.name"] == "shop"


def test_spend_is_exact_though_every_span_is_dropped(program: Program, receiver: Receiver) -> None:
    program.run(OTEL_TRACES_SAMPLER="always_off")
    assert program.booked() == [("resp-parent", COST)]
    assert receiver.spans == []
    assert list(receiver.costs().values()) == [pytest.approx(0.0035)]


def test_metrics_go_through_the_programs_own_meter_provider_where_the_choice_is_auto(
    program: Program, receiver: Receiver
) -> None:
    config = program.folder / "budgets.yaml"
    config.write_text(config.read_text().replace("metrics: {exporter: otlp}", ""))
    program.run(OTEL_METRICS_EXPORTER="otlp")
    assert list(receiver.costs().values()) == [pytest.approx(0.0035)]


OTEL_FILE = """\
    file_format: "1.0"
    resource: {attributes: [{name: service.name, value: shop}]}
    tracer_provider:
      sampler: {always_off: }
      processors:
        - batch: {exporter: {spanbudget_otlp: {protocol: http/protobuf, endpoint: "URL/v1/traces"}}}
"""


@pytest.mark.parametrize("way", ["variable", "options"])
def test_it_starts_under_a_configuration_file_of_opentelemetry(
    program: Program, receiver: Receiver, way: str
) -> None:
    text = OTEL_FILE.replace("URL", receiver.url).replace("always_off", "always_on")
    variables = {"OTEL_CONFIG_FILE": str(program.folder / "otel.yaml")}
    if way == "options":
        options = f"{{spanbudget: {{config: {program.variables.pop('SPANBUDGET_CONFIG')}}}}}"
        text += f"    instrumentation/development: {{python: {options}}}\n"
    program.write("otel.yaml", text)
    told = program.run(**variables).stderr.splitlines()
    assert [line for line in told if "ignoring configurator kwargs" not in line] == []
    assert program.booked() == [("resp-parent", COST)]
    assert span_costs(receiver) == {"chat gpt-4o": pytest.approx(0.0035), "handler": None}


def test_nothing_is_missed_under_a_configuration_file_that_samples_nothing(program: Program) -> None:
    program.write("otel.yaml", OTEL_FILE)
    program.run(OTEL_CONFIG_FILE=str(program.folder / "otel.yaml"))
    assert program.booked() == [("resp-parent", COST)]


FORKS = """
    import multiprocessing
    import os

    def main():
        chat("parent")
        child = os.fork()
        if not child:
            chat("fork")
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for way in ("fork", "spawn"):
            child = multiprocessing.get_context(way).Process(target=chat, args=(f"{way}-process",))
            child.start()
            child.join()
            assert child.exitcode == 0
"""


def test_children_book_their_own_calls_and_count_them_from_0(program: Program, receiver: Receiver) -> None:
    program.run(FORKS)
    assert program.booked() == [
        ("resp-fork", COST), ("resp-fork-process", COST), ("resp-parent", COST), ("resp-spawn-process", COST),
    ]  # fmt: skip
    assert list(receiver.costs().values()) == [pytest.approx(0.0035)] * 4


def test_a_wrong_configuration_is_told_and_the_program_runs(program: Program, receiver: Receiver) -> None:
    program.write("budgets.yaml", "budgts: []\nmetrics: {exporter: pigeon}\n")
    done = program.run()
    assert "SpanBudget is off" in done.stderr
    assert "budgts" in done.stderr
    assert "pigeon" in done.stderr
    assert span_costs(receiver) == {"chat gpt-4o": None, "handler": None}


def test_it_can_be_disabled_as_any_instrumentation(program: Program, receiver: Receiver) -> None:
    program.run(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="spanbudget")
    assert not (program.folder / "ledger.db").exists()
    assert len(receiver.spans) == 2
