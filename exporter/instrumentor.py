"""What OpenTelemetry finds by entry point: the instrumentor, and the hook that runs before all others."""

import logging
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_DISABLED_INSTRUMENTATIONS
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from spanbudget.processors.errors import SpanBudgetError
from spanbudget.processors.names_out import CONFIG_VARIABLE

NAME: Final = "spanbudget"
"""Name of the entry point; in `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` it turns SpanBudget off."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InstrumentorOptions:
    """The options below `instrumentation/development: {python: {spanbudget: …}}` of `OTEL_CONFIG_FILE`.

    Attributes:
        config: Path of the configuration file; None takes `SPANBUDGET_CONFIG`.
    """

    config: str | None = None


class SpanBudgetInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # upstream turns its types off
    """Turns SpanBudget on as an OpenTelemetry instrumentation.

    Without a `config` it is for programs that know nothing of it: with no `SPANBUDGET_CONFIG` it does
    nothing, and with a wrong one it says so and lets the program run without budgets. With a `config` a wrong
    one is raised.
    """

    configuration = InstrumentorOptions
    _refused = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing needs to be installed: it instruments OpenTelemetry itself."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Turns it on; does nothing where it is on, as when `OTEL_CONFIG_FILE` has named it before."""
        if not self.is_instrumented_by_opentelemetry:
            super().instrument(**kwargs)

    def start_unasked(self) -> None:
        """Starts by `SPANBUDGET_CONFIG` alone; whatever goes wrong must not harm the program.

        A configuration that was refused once is not tried again.
        """
        if self._refused or not os.environ.get(CONFIG_VARIABLE):
            return
        self._refused = True
        try:
            _instrument(None)
        except SpanBudgetError as error:
            _tell(f"SpanBudget is off, the program runs without budgets:\n{error}")
        except Exception:  # an error here would keep all other instrumentations from loading
            _logger.exception("SpanBudget is off, the program runs without budgets")
        else:
            self._refused = False

    def _instrument(self, **kwargs: Any) -> None:
        config = kwargs.get("config")
        if config is None and kwargs.get("tracer_provider") is None:
            self.start_unasked()
        else:
            _instrument(config, tracer_provider=kwargs.get("tracer_provider"))

    def _uninstrument(self, **_kwargs: Any) -> None:
        from spanbudget.exporter.instrument import uninstrument  # noqa: PLC0415 - heavy, see _instrument

        uninstrument()
        self._refused = False


def before_instrumentors() -> None:
    """Starts before the instrumentations take their tracers, so that these get the recording sampler.

    OpenTelemetry calls it by the entry point group `opentelemetry_pre_instrument`, after the providers exist.
    It does nothing without `SPANBUDGET_CONFIG`, and where `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` says so.
    """
    disabled = os.environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").split(",")
    if not {NAME, "*"} & {name.strip() for name in disabled}:
        SpanBudgetInstrumentor().start_unasked()


def _instrument(config: Any, **options: Any) -> None:
    # Imported late: OpenTelemetry loads this module in every program of the environment, and the rest (SQL,
    # prices, exporters) is heavy.
    from spanbudget.exporter.instrument import instrument  # noqa: PLC0415

    instrument(config, **options)


def _tell(message: str) -> None:
    """Logs an error, and writes it to stderr where a log handler would keep it from there."""
    if _logger.hasHandlers() and sys.stderr:
        sys.stderr.write(message + "\n")
    _logger.error(message)
