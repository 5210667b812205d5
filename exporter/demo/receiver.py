"""A small OTLP receiver over HTTP on the loopback address, for `spanbudget demo`.

It understands what the OpenTelemetry SDK sends (protobuf, plain or gzip) and keeps the last point of each
series, as a backend would; it keeps no span and no text of one.
"""

import gzip
import math
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self, TypeAlias

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has no stubs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage

from spanbudget.exporter.demo.quiet_handler import POLL_SECONDS, QuietHandler
from spanbudget.processors.names_out import COST_AMOUNT

_LOOPBACK: Final = "127.0.0.1"
_BODY_BYTES_MAX: Final = 64 << 20
"""Largest request that is read; the SDK sends at most a few hundred kB at once."""

_Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Received:
    """What arrived so far; guarded by the receiver's lock."""

    points: dict[tuple[bytes, _Series], float] = field(default_factory=dict)
    spans: int = 0
    priced_spans: int = 0
    span_cost_usd: float = 0.0


class Receiver:
    """Receives metrics and spans from the moment it is entered until it is left.

    Attributes:
        url: The address, as `OTEL_EXPORTER_OTLP_ENDPOINT` wants it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = _Received()
        self._server = ThreadingHTTPServer((_LOOPBACK, 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            name="otlp-receiver",
            daemon=True,
        )
        self.url = f"http://{_LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Starts serving."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops serving; what was received can still be asked for."""
        self._server.shutdown()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Gives the port back; for a receiver that was never entered."""
        self._server.server_close()

    def take(self, path: str, body: bytes, encoding: str | None = None) -> int:
        """Takes one request in.

        Args:
            path: What was posted to.
            body: What was posted.
            encoding: `gzip` where the body is compressed.

        Returns:
            The HTTP status to answer with.
        """
        try:
            if encoding == "gzip":
                body = gzip.decompress(body)
            if path == "/v1/metrics":
                self._take_metrics(ExportMetricsServiceRequest.FromString(body))
            elif path == "/v1/traces":
                self._take_traces(ExportTraceServiceRequest.FromString(body))
            else:
                return 404
        except (DecodeError, OSError, EOFError, zlib.error):
            return 400
        return 200

    def metric_names(self) -> list[str]:
        """Every metric that arrived, sorted."""
        with self._lock:
            return sorted({name for _, (name, _) in self._received.points})

    def total(self, metric: str) -> float:
        """The sum of a metric over all its series and processes."""
        return math.fsum(self.by_attribute(metric, "").values())

    def by_attribute(self, metric: str, attribute: str) -> dict[str, float]:
        """The sums of a metric by an attribute; "" for series without it."""
        values: defaultdict[str, list[float]] = defaultdict(list)
        with self._lock:
            for (_, (name, attributes)), value in self._received.points.items():
                if name == metric:
                    values[dict(attributes).get(attribute, "")].append(value)
        return {name: math.fsum(found) for name, found in values.items()}

    def span_figures(self) -> tuple[int, int, float]:
        """Spans, spans with a cost, and the sum of their costs in USD."""
        with self._lock:
            return self._received.spans, self._received.priced_spans, self._received.span_cost_usd

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_metrics:
                process = resource.resource.SerializeToString(deterministic=True)
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        for series, value in _points(metric):
                            self._received.points[process, series] = value

    def _take_traces(self, request: ExportTraceServiceRequest) -> None:
        scopes = (scope for resource in request.resource_spans for scope in resource.scope_spans)
        spans = [span for scope in scopes for span in scope.spans]
        costs = [
            item.value.double_value for span in spans for item in span.attributes if item.key == COST_AMOUNT
        ]
        with self._lock:
            self._received.spans += len(spans)
            self._received.priced_spans += len(costs)
            self._received.span_cost_usd += sum(costs)


def _points(metric: MetricMessage) -> Iterable[tuple[_Series, float]]:
    """The points of a sum or a gauge, each with its series."""
    points = (*metric.sum.data_points, *metric.gauge.data_points)
    for point in points:
        value = point.as_double if point.HasField("as_double") else float(point.as_int)
        yield (metric.name, _attributes(point.attributes)), value


def _attributes(items: Iterable[KeyValue]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((item.key, item.value.string_value) for item in items))


class _Handler(QuietHandler):
    def __init__(self, receiver: Receiver, *args: object) -> None:
        self._receiver = receiver
        super().__init__(*args)  # type: ignore[arg-type]  # (socket, address, server), which partial cannot type

    def do_POST(self) -> None:  # noqa: N802 - the name that `http.server` calls
        if self.length > _BODY_BYTES_MAX:
            self._answer(413)
            return
        body = self.body()
        self._answer(self._receiver.take(self.path, body, self.headers.get("content-encoding")))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        if status == 413:
            self.close_connection = True
        self.end_headers()
