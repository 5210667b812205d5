"""OTLP by the standard `OTEL_*` variables, over gRPC or HTTP/protobuf, for metrics and spans."""

import os
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter

from spanbudget.processors.errors import ConfigurationError

GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"
PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
METRICS_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
TRACES_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
EXIT_MILLIS_MAX: Final = 5_000
"""How long the end of the process waits for a collector that does not answer; the SDK alone waits 10 s."""


def protocol_of(variable: str, given: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The OTLP protocol of one signal: the given one, else its variable's, else the common one's, else gRPC.

    Raises:
        ConfigurationError: The Python SDK does not have that protocol.
    """
    name = next((known for known in (variable, PROTOCOL) if environ.get(known, "").strip()), None)
    protocol = given or (environ[name].strip() if name else GRPC)
    if protocol not in (GRPC, HTTP):
        where = "protocol" if given else name
        raise ConfigurationError([f"{where}: {protocol!r} is not supported; use {GRPC!r} or {HTTP!r}"])
    return protocol


# The exporters are imported where they are made: gRPC alone takes 50 ms and 15 MB, and only one is used.


def metric_exporter(protocol: str | None = None, **options: Any) -> MetricExporter:
    """The OTLP metric exporter; endpoint, headers, temporality and the rest come from `OTEL_*`.

    Args:
        protocol: `grpc` or `http/protobuf`; None takes the variables' word.
        options: Arguments of the exporter, which go before the variables.
    """
    if protocol_of(METRICS_PROTOCOL, protocol) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        return OTLPMetricExporter(**options)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter as HTTPMetricExporter,
    )

    return HTTPMetricExporter(**options)


def span_exporter(protocol: str | None = None, **options: Any) -> SpanExporter:
    """The OTLP span exporter; see `metric_exporter`."""
    if protocol_of(TRACES_PROTOCOL, protocol) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        return OTLPSpanExporter(**options)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as HTTPSpanExporter,
    )

    return HTTPSpanExporter(**options)


class OTLPMetrics:
    """A meter provider of our own that pushes by OTLP each `OTEL_METRIC_EXPORT_INTERVAL`.

    It is not installed as the global one, and its owner shuts it down after the last spans were counted. In a
    forked child the SDK itself restarts it.

    Args:
        resource: What the metrics are about; the tracer provider's, so that traces and metrics agree.

    Attributes:
        provider: The meter provider.
    """

    def __init__(self, resource: Resource | None = None) -> None:
        reader = PeriodicExportingMetricReader(metric_exporter())
        self.provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)

    def shutdown(self) -> None:
        """Sends the last values and stops."""
        self.provider.shutdown(timeout_millis=EXIT_MILLIS_MAX)
