"""Metrics really leave by OTLP, over HTTP and over gRPC, with the trace of a call as exemplar."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GRPCMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HTTPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPSpanExporter
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from spanbudget.exporter.instruments import BudgetInstruments, Point
from spanbudget.exporter.otlp import TRACES_PROTOCOL, OTLPMetrics, metric_exporter, protocol_of, span_exporter
from spanbudget.exporter.series import Exemplar, SeriesKey, SeriesTotal
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.errors import ConfigurationError

NOW_NS = 1_800_000_000 * names.NANO
KEY = SeriesKey("openai", "gpt-4o", "chat", "default", "ok", "exact", (("team", "search"),))


class Readings:
    """A source in memory."""

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        return timeout_seconds > 0

    def series(self) -> Iterable[tuple[SeriesKey, SeriesTotal]]:
        total = SeriesTotal(names.PICO, 1, 2, 3, 4, 5, Exemplar(0xAB, 0xCD, NOW_NS))
        return [(KEY, total)]

    def budget_states(self) -> Iterable[BudgetState]:
        return []

    def budget_totals(self) -> Iterable[Point]:
        return []

    def health(self) -> Mapping[tuple[str, str], int]:
        return {}


def push() -> None:
    """Sends one collection as a process does at its end."""
    outlet = OTLPMetrics(Resource({"service.name": "shop"}))
    BudgetInstruments(outlet.provider.get_meter("spanbudget"), now_ns=lambda: NOW_NS).bind(Readings())
    outlet.shutdown()


def check(metric: Any) -> None:
    assert (metric.name, metric.unit) == ("llm.cost.usd", "{USD}")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2  # cumulative
    (point,) = metric.sum.data_points
    assert point.as_double == 1.0
    assert {item.key: item.value.string_value for item in point.attributes}["team"] == "search"
    (exemplar,) = point.exemplars
    assert int.from_bytes(exemplar.trace_id, "big") == 0xAB
    assert int.from_bytes(exemplar.span_id, "big") == 0xCD


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_metrics_arrive_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")

    async def receive() -> Any:
        async with OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(port)) as receiver:
            cost = asyncio.create_task(
                receiver.await_metric(lambda metric: metric.name == "llm.cost.usd", 15)
            )
            await asyncio.sleep(0)  # the receiver forgets what nobody waits for
            await asyncio.to_thread(push)
            return await cost

    check(asyncio.run(receive()))


class MetricsService(metrics_service_pb2_grpc.MetricsServiceServicer):
    """A collector that keeps what it gets."""

    def __init__(self) -> None:
        self.requests: Queue[tuple[Any, dict[str, str]]] = Queue()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the name is gRPC's
        self.requests.put((request, {item.key: item.value for item in context.invocation_metadata()}))
        return metrics_service_pb2.ExportMetricsServiceResponse()


@contextmanager
def collector() -> Iterator[tuple[MetricsService, int]]:
    server = grpc.server(ThreadPoolExecutor(2))
    service = MetricsService()
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield service, port
    finally:
        server.stop(None).wait()


def test_metrics_arrive_over_grpc_with_the_headers_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (service, port):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
        push()
        request, headers = service.requests.get(timeout=15)
    assert headers["x-tenant"] == "blue"
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "spanbudget"
    check(next(metric for metric in scope.metrics if metric.name == "llm.cost.usd"))


def test_temporality_is_the_variables_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (service, port):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        push()
        request, _ = service.requests.get(timeout=15)
    metrics = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["llm.cost.usd"].sum.aggregation_temporality == 1


@pytest.mark.parametrize(
    ("make", "variable", "protocol", "kind"),
    [
        (metric_exporter, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", GRPCMetricExporter),
        (metric_exporter, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf", HTTPMetricExporter),
        (span_exporter, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", GRPCSpanExporter),
        (span_exporter, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", HTTPSpanExporter),
    ],
)
def test_each_signal_has_its_own_protocol(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], variable: str, protocol: str, kind: Any
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc" if protocol != "grpc" else "http/protobuf")
    monkeypatch.setenv(variable, f" {protocol} ")
    exporter: Any = make()
    assert type(exporter) is kind
    exporter.shutdown()


def test_a_protocol_that_the_sdk_does_not_have_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' is not supported"):
        protocol_of(TRACES_PROTOCOL, None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    with pytest.raises(ConfigurationError, match="protocol: 'pigeon' is not supported; use 'grpc' or"):
        protocol_of(TRACES_PROTOCOL, "pigeon", {})
    assert protocol_of(TRACES_PROTOCOL, None, {}) == "grpc"
