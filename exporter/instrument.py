"""Turns SpanBudget on and off in a process."""

import atexit
import logging
import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.resources import Resource

from spanbudget.exporter.admission.context import link_span, span_labels
from spanbudget.exporter.admission.desk import PipelineDesk
from spanbudget.exporter.attachment import Attachment, SpanSource, renew_metric_locks
from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.instruments import BudgetInstruments, Health, Point
from spanbudget.exporter.otlp import OTLPMetrics
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.prometheus import PrometheusEndpoint
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors import names_out as names
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.sampler import Predicate
from spanbudget.processors.span_processor import BudgetSpanProcessor

if TYPE_CHECKING:
    from spanbudget.exporter.alerting.engine import AlertEngine
    from spanbudget.exporter.guard.install import Guard

EXIT_SECONDS_MAX: Final = 10.0
"""How long the end of the process waits for the ledger."""
FORK_SECONDS_MAX: Final = 1.0
"""How long a fork waits for the worker to end its batch: milliseconds, unless the ledger is locked."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    """SpanBudget, running in this process.

    Attributes:
        config: What it runs with.
        pipeline: Where spans go.
        instruments: What shows the pipeline's numbers; None where the configuration wants no metrics.
        outlet: A way out for metrics that is ours; None where they go through the global meter provider.
        attachments: The tracer providers it is on, each with the processor there.
        guard: What refuses calls; None where nothing does.
    """

    config: Config
    pipeline: Pipeline
    instruments: BudgetInstruments | None = None
    outlet: OTLPMetrics | PrometheusEndpoint | None = None
    attachments: list[tuple[Attachment, BudgetSpanProcessor]] = field(default_factory=list)
    guard: "Guard | None" = None

    def faults(self) -> Health:
        """What happened on the application's threads: faults, and what the guard did."""
        failures = sum(processor.failures for _, processor in self.attachments)
        health: dict[tuple[str, str], int] = {(names.PROCESSOR_FAILURES.name, ""): failures}
        if self.guard is not None:
            health[names.GUARD_FAULTS.name, ""] = self.guard.faults
            health[names.GUARD_REFUSED.name, ""] = self.guard.refused
            health[names.GUARD_UNREAD.name, ""] = self.guard.unread
        return health

    def derived(self) -> Iterable[Point]:
        """What the rules work out about budgets, where this process evaluates them."""
        engine = _process.engines.get(self.pipeline)
        return engine.derived() if engine is not None else ()

    def is_on(self, provider: object) -> bool:
        """Whether the tracer provider is attached."""
        return any(attachment.provider is provider for attachment, _ in self.attachments)


@dataclass(slots=True, weakref_slot=True)
class _Process:
    """What a process can have only once.

    Attributes:
        lock: Guards the rest.
        running: None where SpanBudget is off.
        shared_by: Pipelines that budget managers use, each with how many do.
        engines: What evaluates rules, by pipeline.
        shared: The instruments on the global meter provider; they can be created only once.
        paused: Engines and pipelines that stand still while a thread forks, by the thread's id.
        hooked: Whether the hooks for exit and fork are in place; they cannot be taken back.
        warned: Whether the missing SDK was told.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    running: _Running | None = None
    shared_by: dict[Pipeline, int] = field(default_factory=dict)
    engines: "dict[Pipeline, AlertEngine]" = field(default_factory=dict)
    shared: BudgetInstruments | None = None
    paused: "dict[int, list[AlertEngine | Pipeline]]" = field(default_factory=dict)
    hooked: bool = False
    warned: bool = False

    def pipelines(self) -> list[Pipeline]:
        """All pipelines of the process."""
        running = [self.running.pipeline] if self.running else []
        return [*running, *(one for one in self.shared_by if one not in running)]


_process: Final = _Process()
"""The one mutable state of this package at module level: exit and fork hooks, instruments on the global meter
provider and a span exporter that OpenTelemetry constructs must all find the same pipeline."""


def instrument(
    config: Config | str | Path | None = None,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    predicate: Predicate | None = None,
    guard: bool | None = None,
) -> Pipeline | None:
    """Counts the LLM spans of a tracer provider from now on.

    A process has one pipeline. A further call puts it on a further provider, or does nothing where it is on
    it already.

    Args:
        config: A configuration or the path of its file; None takes `SPANBUDGET_CONFIG`.
        tracer_provider: The provider; None takes the global one.
        predicate: Narrows which spans are recorded that head sampling drops; see `RecordingSampler`.
        guard: Whether calls are refused that a budget cannot pay for; None does what the configuration says:
            they are, where it has a budget that may refuse any.

    Returns:
        The pipeline; None where the provider is not the SDK's: nothing is counted, and a warning says so.

    Raises:
        ConfigurationError: The configuration is missing or wrong, or another one is running.
        LedgerError: The ledger cannot be opened.
    """
    provider = tracer_provider or trace.get_tracer_provider()
    with _process.lock:
        if not isinstance(provider, SpanSource):
            _warn_of_no_sdk(provider)
            return None
        running = _process.running
        if running is None:
            running = _process.running = _start(_loaded(config), getattr(provider, "resource", None))
        elif config is not None and os.environ.get(names.RUN_VARIABLE):
            _logger.warning(
                "SpanBudget runs with the configuration of `spanbudget run`, not with another one"
            )
        elif config is not None and _loaded(config) != running.config:
            raise ConfigurationError(
                ["SpanBudget runs with another configuration; call spanbudget.uninstrument() first"]
            )
        if not running.is_on(provider):
            _attach(running, provider, predicate)
        if running.config.guards if guard is None else guard:
            _guard(running)
        return running.pipeline


def _guard(running: _Running) -> None:
    if running.guard is not None:
        return
    # Imported where calls are guarded: it needs wrapt, and a process that only counts does not.
    from spanbudget.exporter.guard.install import install  # noqa: PLC0415

    running.guard = install(PipelineDesk(running.pipeline), running.config.guard)


def uninstrument() -> None:
    """Takes SpanBudget off all tracer providers, writes what it counted and stops it."""
    with _process.lock:
        running, _process.running = _process.running, None
        if running is None:
            return
        if running.guard is not None:
            from spanbudget.exporter.guard.install import uninstall  # noqa: PLC0415 - as in `_guard`

            uninstall()
        for attachment, _ in running.attachments:
            attachment.detach()
        running.pipeline.flush(EXIT_SECONDS_MAX)
        _stop_engine(running.pipeline)
        if running.outlet:
            running.outlet.shutdown()
        if running.instruments:
            running.instruments.bind(None)
        running.pipeline.shutdown()


def current_pipeline() -> Pipeline | None:
    """The pipeline of this process, None where SpanBudget is off."""
    running = _process.running
    return running.pipeline if running else None


def _loaded(config: Config | str | Path | None) -> Config:
    if isinstance(config, Config):
        return config
    path = config or os.environ.get(names.CONFIG_VARIABLE)
    if not path:
        raise ConfigurationError(
            [f"no configuration: give instrument(config=…) or set {names.CONFIG_VARIABLE}"]
        )
    return load_config(Path(path))


def _start(config: Config, resource: Resource | None) -> _Running:
    with ExitStack() as undo:
        attributes = dict(resource.attributes) if resource is not None else {}
        running = _Running(config, open_pipeline(config, resource=attributes))
        undo.callback(running.pipeline.shutdown)
        _open_metrics(running, resource)
        if running.outlet:
            undo.callback(running.outlet.shutdown)
        _start_engine(config, running.pipeline)
        undo.pop_all()
    if running.instruments:
        running.instruments.bind(running.pipeline, running.faults, running.derived)
        running.pipeline.budget_series.record = running.instruments.record
    _hook()
    return running


def _start_engine(config: Config, pipeline: Pipeline) -> None:
    """Evaluates the rules of a configuration, where it has any."""
    asked = bool(config.rules or config.receivers) or any(one.alerts for one in config.budget_configs)
    if (asked or config.watches) and config.alerting.enabled:
        # Imported where there are rules: a process that only counts does without.
        from spanbudget.exporter.alerting.starting import make_engine  # noqa: PLC0415

        engine = _process.engines[pipeline] = make_engine(config, pipeline)
        engine.start()


def _stop_engine(pipeline: Pipeline) -> None:
    engine = _process.engines.pop(pipeline, None)
    if engine is not None:
        engine.stop()


def _hook() -> None:
    """Puts the hooks for exit and fork in place, once."""
    if not _process.hooked:
        _process.hooked = True
        # Exit hooks run last in, first out: before those of the providers, which were there earlier.
        atexit.register(_finish)
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
        )
        # A child of multiprocessing ends without exit hooks, but with finalizers that it registers itself.
        multiprocessing_util.register_after_fork(_process, _finish_with_child)


def shared_pipeline(config: Config, *, rules: bool = True) -> Pipeline:
    """The pipeline for a budget manager: the one that runs on the same ledger, or one of its own.

    Args:
        config: The configuration.
        rules: Whether its rules are evaluated too; a command that only looks does not.

    Raises:
        ConfigurationError: A rule file is wrong, or a callback cannot be imported.
        LedgerError: The ledger cannot be opened.
    """
    with _process.lock:
        running = _process.running
        if running is not None and running.config.ledger.url == config.ledger.url:
            return running.pipeline
        pipeline = open_pipeline(config)
        if rules:
            with ExitStack() as undo:
                undo.callback(pipeline.shutdown)
                _start_engine(config, pipeline)
                undo.pop_all()
        _process.shared_by[pipeline] = 1
        _hook()
        pipeline.wake()
        return pipeline


def give_up_pipeline(pipeline: Pipeline) -> None:
    """Stops a pipeline that `shared_pipeline` has opened; one that runs for spans goes on, flushed."""
    with _process.lock:
        opened = _process.shared_by.pop(pipeline, 0)
    pipeline.flush(EXIT_SECONDS_MAX)
    if opened:
        _stop_engine(pipeline)
        pipeline.shutdown()


def _open_metrics(running: _Running, resource: Resource | None) -> None:
    choice = running.config.metrics
    if choice.exporter == "auto":
        if _process.shared is None:
            _process.shared = BudgetInstruments(metrics.get_meter(names.METER))
        running.instruments = _process.shared
        return
    try:
        if choice.exporter == "otlp":
            running.outlet = OTLPMetrics(resource)
        elif choice.exporter == "prometheus":
            running.outlet = PrometheusEndpoint(resource, host=choice.host, port=choice.port)
    except OSError as error:
        # Typically the next worker of a server: the port belongs to the first. Budgets work all the same.
        _logger.warning("No metrics from this process: %s:%s: %s", choice.host, choice.port, error)
    if running.outlet:
        running.instruments = BudgetInstruments(running.outlet.provider.get_meter(names.METER))


def _attach(running: _Running, provider: SpanSource, predicate: Predicate | None) -> None:
    processor = BudgetSpanProcessor(
        running.pipeline,
        running.config.baggage_keys,
        reraise=bool(os.environ.get(names.RERAISE_VARIABLE)),
        report=_log_first,
        labels=span_labels,
        started=link_span,
        interactive=running.pipeline.interactive,
    )
    sampling = running.config.sampling.record_unsampled
    attachment = Attachment(provider, processor, record_unsampled=sampling, predicate=predicate)
    running.attachments.append((attachment, processor))
    resource = getattr(provider, "resource", None)
    if resource is not None:
        running.pipeline.know(resource.attributes)


def _log_first(failure: Exception, failures: int) -> None:
    if failures == 1:
        _logger.error("A span was not counted; further faults are only counted", exc_info=failure)


def _warn_of_no_sdk(provider: object) -> None:
    if not _process.warned:
        _process.warned = True
        _logger.warning(
            "SpanBudget is off: %s is not a tracer provider of the OpenTelemetry SDK; install one first, by "
            "opentelemetry-instrument or trace.set_tracer_provider()",
            type(provider).__name__,
        )


def _finish() -> None:
    """Writes what was counted, and then sends its metrics; spans that still end are counted as before."""
    for pipeline in _process.pipelines():
        if not pipeline.flush(EXIT_SECONDS_MAX):
            _logger.warning("Not all spend was in the ledger after %s s", EXIT_SECONDS_MAX)
        _stop_engine(pipeline)
        pipeline.give_back()
    running = _process.running
    if running is None:
        return
    if running.outlet:
        running.outlet.shutdown()
        running.outlet = None


def _before_fork() -> None:
    """Forks between two batches: nothing in a child can release what the parent's threads hold."""
    # Engines first: an evaluation waits for its pipeline.
    working: list[AlertEngine | Pipeline] = [*_process.engines.values(), *_process.pipelines()]
    paused = [one for one in working if one.pause(FORK_SECONDS_MAX)]
    if paused:
        _process.paused[threading.get_ident()] = paused


def _after_fork_in_parent() -> None:
    for one in reversed(_process.paused.pop(threading.get_ident(), [])):
        one.resume()


def _after_fork() -> None:
    """Starts anew in a forked child: the parent's threads, locks and sockets are not the child's."""
    _process.lock = threading.RLock()
    _process.paused.clear()
    for pipeline in _process.pipelines():
        pipeline.after_fork()
    for engine in _process.engines.values():
        engine.after_fork()
    running = _process.running
    if running is None:
        return
    renew_metric_locks(running.outlet.provider if running.outlet else metrics.get_meter_provider())
    if isinstance(running.outlet, PrometheusEndpoint):
        running.outlet.after_fork()


def _finish_with_child(_: object) -> None:
    multiprocessing_util.Finalize(None, _finish, exitpriority=-1)
