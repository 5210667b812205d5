"""A Prometheus scrape endpoint, for those who pull."""

from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, start_http_server

HOST: Final = "127.0.0.1"
PORT: Final = 9464
"""The port that OpenTelemetry gives to Prometheus exporters."""


class PrometheusEndpoint:
    """A meter provider of our own and the HTTP server that shows it on `/metrics`.

    The endpoint belongs to the process that opened it. A forked child has the parent's socket but no thread
    that answers on it, so the child gives the socket back with `after_fork`; children are seen by OTLP only.

    Args:
        resource: What the metrics are about; shown as `target_info`.
        host: Address to listen on.
        port: Port to listen on, 0 for any free one.

    Attributes:
        provider: The meter provider.
        port: The port that is listened on.

    Raises:
        OSError: The address is in use or not ours.
    """

    def __init__(self, resource: Resource | None = None, *, host: str = HOST, port: int = PORT) -> None:
        registry = CollectorRegistry()
        # Scope labels would make other series of the same metrics than those that OTLP makes.
        reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
        self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        self.port: int = self._server.server_port
        self.provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)

    def after_fork(self) -> None:
        """Gives the parent's socket back, in a forked child."""
        self._server.socket.close()

    def shutdown(self) -> None:
        """Stops listening and shuts the meter provider down."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.provider.shutdown()
