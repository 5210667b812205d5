"""Turning SpanBudget on and off: in code, by the instrumentor, by the hook, and in forks."""

import logging
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, metrics, trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

import spanbudget
from spanbudget.exporter import instrument as home
from spanbudget.exporter.attachment import renew_metric_locks
from spanbudget.exporter.instrument import current_pipeline, instrument, uninstrument
from spanbudget.exporter.instrumentor import (
    InstrumentorOptions,
    SpanBudgetInstrumentor,
    before_instrumentors,
)
from spanbudget.exporter.prometheus import PrometheusEndpoint
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.sampler import RecordingSampler
from spanbudget.processors.span_processor import BudgetSpanProcessor

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


FORKS_WITH_THREADS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SPANBUDGET_CONFIG", raising=False)
    monkeypatch.setenv("SPANBUDGET_RERAISE", "1")
    yield
    uninstrument()
    home._process.warned = False
    SpanBudgetInstrumentor._instance = None


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.yaml"
    path.write_text(f"ledger: {{url: 'sqlite:///{tmp_path}/ledger.db'}}\nmetrics: {{exporter: none}}\n")
    return path


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    own = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    yield own
    own.shutdown()


def processors_of(provider: TracerProvider) -> tuple[SpanProcessor, ...]:
    return provider._active_span_processor._span_processors


def seen(pipeline: object) -> int:
    assert pipeline is not None
    assert pipeline.flush(10)  # type: ignore[attr-defined]
    health: dict[tuple[str, str], int] = pipeline.health()  # type: ignore[attr-defined]
    return health["spanbudget.spans.seen", ""]


def test_calls_of_tracers_made_before_and_after_are_seen_though_all_are_dropped(
    config: Path, provider: TracerProvider
) -> None:
    before = provider.get_tracer("before")
    pipeline = instrument(config, tracer_provider=provider)
    after = provider.get_tracer("after")
    for tracer in (before, after):
        tracer.start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 2
    assert current_pipeline() is pipeline


def test_it_is_put_on_a_provider_once(config: Path, provider: TracerProvider) -> None:
    pipeline = instrument(config, tracer_provider=provider)
    assert instrument(config, tracer_provider=provider) is pipeline
    assert instrument(tracer_provider=provider) is pipeline
    assert len(processors_of(provider)) == 1
    assert isinstance(provider.sampler, RecordingSampler)
    assert provider.sampler.delegate is ALWAYS_OFF


def test_a_second_provider_shares_the_pipeline(config: Path, provider: TracerProvider) -> None:
    other = TracerProvider(shutdown_on_exit=False)
    pipeline = instrument(config, tracer_provider=provider)
    assert instrument(tracer_provider=other) is pipeline
    for own in (provider, other):
        own.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 2


def test_another_configuration_is_refused_while_one_runs(
    config: Path, provider: TracerProvider, tmp_path: Path
) -> None:
    instrument(config, tracer_provider=provider)
    other = tmp_path / "other.yaml"
    other.write_text(config.read_text().replace("ledger.db", "other.db"))
    with pytest.raises(ConfigurationError, match="runs with another configuration"):
        instrument(other, tracer_provider=provider)


def test_its_processor_goes_first_so_that_a_raising_one_cannot_starve_it(
    config: Path, provider: TracerProvider
) -> None:
    class Raising(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise ZeroDivisionError(span)

    provider.add_span_processor(Raising())
    pipeline = instrument(config, tracer_provider=provider)
    assert isinstance(processors_of(provider)[0], BudgetSpanProcessor)
    with pytest.raises(ZeroDivisionError):
        provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 1


def test_turning_it_off_leaves_the_provider_as_it_was(config: Path, provider: TracerProvider) -> None:
    tracer = provider.get_tracer("app")
    instrument(config, tracer_provider=provider)
    uninstrument()
    assert processors_of(provider) == ()
    assert provider.sampler is ALWAYS_OFF
    assert tracer.sampler is ALWAYS_OFF  # type: ignore[attr-defined]
    assert current_pipeline() is None
    uninstrument()
    again = instrument(config, tracer_provider=provider)
    tracer.start_span("chat", attributes=CHAT).end()
    assert seen(again) == 1


def test_it_works_with_processors_that_run_side_by_side(config: Path) -> None:
    provider = TracerProvider(
        sampler=ALWAYS_OFF, active_span_processor=ConcurrentMultiSpanProcessor(), shutdown_on_exit=False
    )
    pipeline = instrument(config, tracer_provider=provider)
    provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 1
    uninstrument()
    assert processors_of(provider) == ()
    provider.shutdown()


def test_a_recording_sampler_of_the_application_is_neither_doubled_nor_removed(config: Path) -> None:
    own = RecordingSampler(ALWAYS_ON)
    provider = TracerProvider(sampler=own, shutdown_on_exit=False)
    instrument(config, tracer_provider=provider)
    assert provider.sampler is own
    uninstrument()
    assert provider.sampler is own


def test_what_is_dropped_stays_unseen_where_the_configuration_wants_it(
    config: Path, provider: TracerProvider
) -> None:
    config.write_text(config.read_text() + "sampling: {record_unsampled: false}\n")
    pipeline = instrument(config, tracer_provider=provider)
    provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 0
    assert provider.sampler is ALWAYS_OFF


def test_a_predicate_narrows_what_is_recorded(config: Path, provider: TracerProvider) -> None:
    pipeline = instrument(
        config, tracer_provider=provider, predicate=lambda name, _kind, _attributes: name.startswith("chat")
    )
    for name in ("chat", "work"):
        provider.get_tracer("app").start_span(name).end()
    assert seen(pipeline) == 1


def test_baggage_of_the_configuration_becomes_span_attributes(config: Path) -> None:
    config.write_text(config.read_text() + "attribution: {baggage: [team]}\n")
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    instrument(config, tracer_provider=provider)
    context = baggage.set_baggage("team", "search")
    span = provider.get_tracer("app").start_span("chat", context=context)
    assert dict(span.attributes) == {"team": "search"}  # type: ignore[attr-defined]
    span.end()


def test_without_an_sdk_it_warns_once_and_stays_off(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert instrument(config, tracer_provider=trace.NoOpTracerProvider()) is None
    assert current_pipeline() is None
    (record,) = caplog.records
    assert "NoOpTracerProvider is not a tracer provider of the OpenTelemetry SDK" in record.message


def test_a_missing_configuration_is_raised_in_code(provider: TracerProvider) -> None:
    with pytest.raises(ConfigurationError, match="SPANBUDGET_CONFIG"):
        instrument(tracer_provider=provider)
    assert processors_of(provider) == ()


def test_metrics_that_cannot_start_leave_nothing_running(
    config: Path, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    config.write_text(config.read_text().replace("{exporter: none}", "{exporter: otlp}"))
    before = threading.active_count()
    with pytest.raises(ConfigurationError, match="'http/json' is not supported"):
        instrument(config, tracer_provider=provider)
    assert current_pipeline() is None
    assert processors_of(provider) == ()
    assert threading.active_count() == before


def test_the_variable_names_the_configuration(
    config: Path, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBUDGET_CONFIG", str(config))
    assert instrument(tracer_provider=provider) is current_pipeline()


def test_a_taken_prometheus_port_costs_the_metrics_and_not_the_budgets(
    config: Path, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = PrometheusEndpoint(port=0)
    config.write_text(
        config.read_text().replace(
            "{exporter: none}", f"{{exporter: prometheus, prometheus: {{port: {endpoint.port}}}}}"
        )
    )
    pipeline = instrument(config, tracer_provider=provider)
    provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 1
    assert any("No metrics from this process" in record.message for record in caplog.records)
    endpoint.shutdown()


def test_the_scrape_endpoint_of_the_configuration_shows_calls_and_budgets(
    config: Path, provider: TracerProvider
) -> None:
    """1000 input tokens at 2.50 and 100 output tokens at 10 USD per 1M are 0.0035 USD."""
    text = config.read_text().replace("{exporter: none}", "{exporter: prometheus, prometheus: {port: 0}}")
    price = "{provider: openai, model: gpt-4o, input: 2.5, cache_read: 1, cache_write: 0, output: 10}"
    config.write_text(f"{text}prices: [{price}]\nbudgets: [{{name: all, max_cost: 7}}]\n")
    instrument(config, tracer_provider=provider)
    provider.get_tracer("opentelemetry.instrumentation.genai.openai").start_span(
        "chat", attributes=CHAT
    ).end()
    running = home._process.running
    assert running is not None
    assert isinstance(running.outlet, PrometheusEndpoint)
    with urllib.request.urlopen(f"http://127.0.0.1:{running.outlet.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert "spanbudget_processor_failures_total 0.0" in lines
    (cost,) = [line for line in lines if line.startswith("llm_cost_usd_total{")]
    assert 'gen_ai_response_model="gpt-4o"' in cost
    assert float(cost.split()[-1]) == pytest.approx(0.0035)
    assert 'llm_budget_limit_usd{llm_budget_child="",llm_budget_name="all"} 7.0' in lines


def test_metrics_of_the_global_meter_provider_can_be_turned_off_and_on_again(
    config: Path, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter", meters.get_meter)
    monkeypatch.setattr(home._process, "shared", None)
    config.write_text(config.read_text().replace("{exporter: none}", "{exporter: auto}"))
    for _ in range(2):
        instrument(config, tracer_provider=provider)
        provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
        assert collected(reader)["spanbudget.spans.seen"] == 1
        uninstrument()
        assert collected(reader) == {}
    home._process.shared = None


def collected(reader: InMemoryMetricReader) -> dict[str, float]:
    """Sums by metric; a histogram stays with the provider, whoever recorded it."""
    data: Any = reader.get_metrics_data()
    found = [
        scope.metrics
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
    ]
    shown = [metric for own in found for metric in own if not isinstance(metric.data, Histogram)]
    return {metric.name: sum(p.value for p in metric.data.data_points) for metric in shown}


def test_a_provider_that_hides_its_sampler_is_counted_as_far_as_it_goes_and_told(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Foreign:
        def __init__(self) -> None:
            self.processors: list[SpanProcessor] = []

        def add_span_processor(self, processor: SpanProcessor) -> None:
            self.processors.append(processor)

    class WithSampler(Foreign):
        sampler = ALWAYS_OFF

    hidden, partly = Foreign(), WithSampler()
    for own in (hidden, partly):
        instrument(config, tracer_provider=own)  # type: ignore[arg-type]
        assert len(own.processors) == 1
    assert isinstance(partly.sampler, RecordingSampler)
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert ["has no sampler to wrap" in told[0], "does not tell its tracers" in told[1]] == [True, True]


class TestInstrumentor:
    """The instrumentor and the hook, on the provider that the test makes the global one."""

    @pytest.fixture(autouse=True)
    def _global(self, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def test_without_a_configuration_it_does_nothing(self) -> None:
        before_instrumentors()
        SpanBudgetInstrumentor().instrument(skip_dep_check=True)
        assert current_pipeline() is None

    def test_the_hook_and_the_instrumentor_start_it_once(
        self, config: Path, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPANBUDGET_CONFIG", str(config))
        before_instrumentors()
        pipeline = current_pipeline()
        assert pipeline is not None
        SpanBudgetInstrumentor().instrument(skip_dep_check=True)
        assert current_pipeline() is pipeline
        assert len(processors_of(provider)) == 1
        SpanBudgetInstrumentor().uninstrument()
        assert current_pipeline() is None

    @pytest.mark.parametrize("disabled", ["spanbudget", "flask , spanbudget", "*"])
    def test_the_hook_respects_disabled_instrumentations(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, disabled: str
    ) -> None:
        monkeypatch.setenv("SPANBUDGET_CONFIG", str(config))
        monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
        before_instrumentors()
        assert current_pipeline() is None

    def test_a_wrong_configuration_is_told_once_with_all_problems_and_the_program_goes_on(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config.write_text("ledgr: 1\nmetrics: {exporter: pigeon}\n")
        monkeypatch.setenv("SPANBUDGET_CONFIG", str(config))
        before_instrumentors()
        SpanBudgetInstrumentor().instrument(skip_dep_check=True)
        assert current_pipeline() is None
        told = capsys.readouterr().err
        assert told.count("SpanBudget is off") == 1
        assert "ledgr" in told
        assert "pigeon" in told

    def test_a_fault_of_ours_is_logged_and_the_program_goes_on(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: object) -> object:
            raise ZeroDivisionError

        monkeypatch.setenv("SPANBUDGET_CONFIG", str(config))
        monkeypatch.setattr(home, "open_pipeline", broken)
        before_instrumentors()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert current_pipeline() is None

    def test_a_given_configuration_starts_it_and_a_wrong_one_is_raised(
        self, config: Path, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong.yaml"
        wrong.write_text("ledgr: 1\n")
        with pytest.raises(ConfigurationError, match="ledgr"):
            SpanBudgetInstrumentor().instrument(config=str(wrong))
        SpanBudgetInstrumentor().instrument(config=str(config))
        assert current_pipeline() is not None

    def test_its_options_are_a_dataclass_and_it_needs_nothing_installed(self) -> None:
        assert SpanBudgetInstrumentor.configuration is InstrumentorOptions
        assert SpanBudgetInstrumentor().instrumentation_dependencies() == ()


@FORKS_WITH_THREADS
def test_a_child_forked_while_its_parent_collects_can_collect() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    collecting, done = threading.Event(), threading.Event()

    parent_pid = os.getpid()

    def slow(_: object) -> list[Observation]:
        if os.getpid() == parent_pid:
            collecting.set()
            assert done.wait(10)
        return [Observation(1)]

    meters.get_meter("app").create_observable_gauge("slow", [slow])
    parent = threading.Thread(target=reader.collect)
    parent.start()
    assert collecting.wait(10)
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        code = 1
        try:
            renew_metric_locks(meters)
            collector = threading.Thread(target=reader.collect, daemon=True)
            collector.start()
            collector.join(10)
            code = int(collector.is_alive())
        finally:
            os._exit(code)
    done.set()
    parent.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@FORKS_WITH_THREADS
def test_a_fork_waits_until_a_batch_is_booked(config: Path, provider: TracerProvider) -> None:
    pipeline = instrument(config, tracer_provider=provider)
    assert pipeline is not None
    booking, done = threading.Event(), threading.Event()

    def book() -> None:
        assert pipeline.pause(10)
        booking.set()
        done.wait(0.2)
        done.set()
        pipeline.resume()

    worker = threading.Thread(target=book)
    worker.start()
    assert booking.wait(10)
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        os._exit(0 if done.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    worker.join()
    assert pipeline.flush()


@FORKS_WITH_THREADS
def test_a_forked_child_counts_from_0_and_does_not_disturb_its_parent(
    config: Path, provider: TracerProvider
) -> None:
    pipeline = instrument(config, tracer_provider=provider)
    tracer = provider.get_tracer("app")
    tracer.start_span("chat", attributes=CHAT).end()
    assert seen(pipeline) == 1
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        code = 1
        try:
            tracer.start_span("chat", attributes=CHAT).end()
            code = 0 if seen(pipeline) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert seen(pipeline) == 1


def test_the_package_shows_its_names_and_loads_nothing_for_it() -> None:
    code = (
        "import sys, spanbudget\n"
        "heavy = {'opentelemetry', 'sqlalchemy', 'pydantic', 'yaml', 'grpc', 'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert dir(spanbudget) == sorted(spanbudget.__all__)\n"
        "for name in spanbudget.__all__: assert getattr(spanbudget, name) is not None, name\n"
        "assert spanbudget.__version__ == '0.1.0'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = spanbudget.nonsense
    assert spanbudget.instrument is instrument


def test_the_instrumentors_module_alone_loads_nothing_heavy() -> None:
    code = (
        "import sys, spanbudget.exporter.instrumentor as own\n"
        "own.before_instrumentors()\n"
        "heavy = {'sqlalchemy', 'pydantic', 'yaml', 'grpc', 'genai_prices', 'opentelemetry.sdk'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "SPANBUDGET_CONFIG"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=environ)
