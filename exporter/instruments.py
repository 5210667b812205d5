"""The observable instruments: read when somebody collects, never touched on the request path."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol, TypeAlias

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from spanbudget.exporter.series import Exemplar, SeriesKey, SeriesTotal, attributes_of
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_readings import BUDGET_READINGS, BudgetReading
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.names_out import Kind, Metric

EXEMPLAR_AGE_SECONDS_MAX: Final = 300
"""Older calls are no exemplar: the SDK stamps an exemplar with the time of the collection."""
BUDGET_STATES_MAX: Final = 1000
"""Most budgets and children that are shown; the fullest come first. Half of what the SDK keeps apart."""
REASONS_MAX: Final = 100
"""Most reasons of one self metric, which may be the application's model names. The rest is `other`."""
FLUSH_SECONDS_MAX: Final = 0.25
"""How long a collection waits for spans that are still on their way; then it shows what there is."""

Health: TypeAlias = Mapping[tuple[str, str], int]
Point: TypeAlias = tuple[Metric, Mapping[str, str], float]
"""A metric, the attributes of one data point, and its value in the metric's unit."""
BUDGET_TOTALS: Final = (names.BUDGET_CALLS, names.BUDGET_COST_USD)
DURATIONS: Final = (names.REQUEST_DURATION, names.BUDGET_REQUEST_DURATION)
DERIVED: Final = (
    names.BUDGET_PEAK,
    names.BUDGET_ELAPSED,
    names.BUDGET_PROJECTED_USD,
    names.BUDGET_EXHAUSTION,
    names.BUDGET_BURN_RATE,
    names.ALERTS_ACTIVE,
    *names.ANOMALY_METRICS,
)
"""What the evaluator of rules works out; no more points than `BUDGET_STATES_MAX` budgets have."""

_logger = logging.getLogger(__name__)


class Readings(Protocol):
    """What the instruments read."""

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Waits until everything observed so far can be read."""
        ...

    def series(self) -> Iterable[tuple[SeriesKey, SeriesTotal]]:
        """The totals of this process's own calls."""
        ...

    def budget_states(self) -> Iterable[BudgetState]:
        """How full the budgets are."""
        ...

    def budget_totals(self) -> Iterable["Point"]:
        """What this process's own calls cost each budget."""
        ...

    def health(self) -> Health:
        """(metric name, reason) → value, in the metric's unit times its divisor."""
        ...


@dataclass(frozen=True, slots=True)
class _Row:
    """One series, ready to be observed."""

    attributes: dict[str, str]
    total: SeriesTotal
    context: Context


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything one collection shows."""

    rows: Sequence[_Row] = ()
    budgets: Sequence[tuple[dict[str, str], BudgetState]] = ()
    health: Health | None = None
    points: Mapping[Metric, Sequence[tuple[Mapping[str, str], float]]] = field(default_factory=dict)


_NOTHING: Final = _Snapshot()
_NO_EXEMPLAR: Final = set_span_in_context(INVALID_SPAN)
"""Not an empty context: the SDK takes that for "the current one", and would name an unrelated span."""


class BudgetInstruments:
    """All instruments of one meter.

    The SDK calls the callbacks of one collection one after the other, in the order of creation, under its
    lock. The first one takes the snapshot which all the others show, so that cost, tokens and requests of one
    collection belong together.

    An instrument cannot be taken back, and creating it again keeps the old callbacks; so the source is bound
    and unbound instead.

    Args:
        meter: Where the instruments are created; also one whose provider is installed later.
        now_ns: The clock, nanoseconds since the epoch.
    """

    def __init__(self, meter: Meter, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._source: Readings | None = None
        self._more: Callable[[], Health] = dict
        self._derived: Callable[[], Iterable[Point]] = tuple
        self._snapshot = _NOTHING
        self._unknown: set[str] = set()
        self._hidden = 0
        self._create_series(meter)
        for metric in BUDGET_TOTALS:
            _create(meter, metric, self._points_callback(metric))
        self._histograms = {metric: _histogram(meter, metric) for metric in DURATIONS}
        for metric, reading in BUDGET_READINGS:
            _create(meter, metric, self._budget_callback(metric, reading))
        for metric in DERIVED:
            _create(meter, metric, self._points_callback(metric))
        for metric in names.SELF_METRICS:
            _create(meter, metric, self._health_callback(metric))

    def bind(
        self,
        source: Readings | None,
        more: Callable[[], Health] = dict,
        derived: Callable[[], Iterable[Point]] = tuple,
    ) -> None:
        """Shows this source from now on, and nothing where it is None.

        Args:
            source: What to read.
            more: Further health, of parts that the source does not know.
            derived: What the evaluator of rules works out; nothing where this process is not the one.
        """
        self._source = source
        self._more = more
        self._derived = derived
        self._snapshot = _NOTHING

    def record(self, metric: Metric, value: float, attributes: Mapping[str, str]) -> None:
        """Takes a value of one of the histograms, in its unit."""
        self._histograms[metric].record(value, attributes, _NO_EXEMPLAR)

    def _create_series(self, meter: Meter) -> None:
        _create(meter, names.COST_USD, self._observe_cost)
        _create(meter, names.TOKENS, self._observe_tokens)
        _create(meter, names.REQUESTS, self._observe_requests)

    def _observe_cost(self, _options: CallbackOptions) -> list[Observation]:
        self._snapshot = self._take()
        return [
            Observation(row.total.cost / names.COST_USD.divisor, row.attributes, row.context)
            for row in self._snapshot.rows
        ]

    def _observe_tokens(self, _options: CallbackOptions) -> list[Observation]:
        return [
            Observation(count, {**row.attributes, names.TOKEN_TYPE: kind}, row.context)
            for row in self._snapshot.rows
            for kind, count in zip(names.TOKEN_TYPES, row.total[1:5], strict=True)
        ]

    def _observe_requests(self, _options: CallbackOptions) -> list[Observation]:
        return [Observation(row.total.requests, row.attributes, row.context) for row in self._snapshot.rows]

    def _budget_callback(self, metric: Metric, reading: BudgetReading) -> "_Callback":
        def observe(_options: CallbackOptions) -> list[Observation]:
            values = ((attributes, reading(state)) for attributes, state in self._snapshot.budgets)
            return [
                Observation(value / metric.divisor, attributes, _NO_EXEMPLAR)
                for attributes, value in values
                if value is not None
            ]

        return observe

    def _points_callback(self, metric: Metric) -> "_Callback":
        def observe(_options: CallbackOptions) -> list[Observation]:
            return [
                Observation(value, dict(attributes), _NO_EXEMPLAR)
                for attributes, value in self._snapshot.points.get(metric, ())
            ]

        return observe

    def _health_callback(self, metric: Metric) -> "_Callback":
        admitted: set[str] = set()
        start = {"": 0} if metric.kind is Kind.COUNTER else {}

        def observe(_options: CallbackOptions) -> list[Observation]:
            health = self._snapshot.health
            if health is None:
                return []
            found: Counter[str] = Counter()
            for (name, reason), value in health.items():
                if name == metric.name:
                    found[_admitted(reason, admitted)] += value
            return [
                Observation(
                    value if metric.divisor == 1 else value / metric.divisor,
                    {metric.reason: reason} if reason else {},
                    _NO_EXEMPLAR,
                )
                for reason, value in (found or start).items()
            ]

        return observe

    def _take(self) -> _Snapshot:
        """Reads the source once, after what is still on its way."""
        source = self._source
        if source is None:
            return _NOTHING
        source.flush(FLUSH_SECONDS_MAX)
        oldest_ns = self._now_ns() - EXEMPLAR_AGE_SECONDS_MAX * names.NANO
        rows = [
            _Row(attributes_of(key), total, _context(total.exemplar, oldest_ns))
            for key, total in source.series()
        ]
        states = sorted(source.budget_states(), key=attrgetter("utilization"), reverse=True)
        health = {**source.health(), **self._more()}
        health[names.BUDGETS_HIDDEN.name, ""] = max(0, len(states) - BUDGET_STATES_MAX)
        self._warn_of_unknown(health)
        budgets = [(_budget_attributes(state), state) for state in states[:BUDGET_STATES_MAX]]
        points: dict[Metric, list[tuple[Mapping[str, str], float]]] = {}
        for metric, attributes, value in (*source.budget_totals(), *self._derived()):
            points.setdefault(metric, []).append((attributes, value))
        return _Snapshot(rows, budgets, health, points)

    def _warn_of_unknown(self, health: Health) -> None:
        unknown = {name for name, _ in health} - _SELF_NAMES - self._unknown
        if unknown:
            self._unknown |= unknown
            _logger.warning(
                "health() reports metrics that have no instrument: %s", ", ".join(sorted(unknown))
            )


_SELF_NAMES: Final = frozenset(metric.name for metric in names.SELF_METRICS)
_Callback: TypeAlias = Callable[[CallbackOptions], list[Observation]]


def _create(meter: Meter, metric: Metric, callback: _Callback) -> None:
    create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
    create(metric.name, [callback], metric.unit, metric.description)


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    bounds = names.DURATION_BOUNDS_SECONDS
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=bounds
    )


def _admitted(reason: str, admitted: set[str]) -> str:
    """The reason itself, or `other` where its metric has enough reasons without it; for good, either way."""
    if reason not in admitted and len(admitted) >= REASONS_MAX:
        return names.OTHER
    admitted.add(reason)
    return reason


def _budget_attributes(state: BudgetState) -> dict[str, str]:
    return {names.BUDGET: state.budget, names.BUDGET_CHILD: state.child}


def _context(exemplar: Exemplar | None, oldest_ns: int) -> Context:
    """A context in which the call's span is the current one, so that the SDK makes an exemplar of it."""
    if exemplar is None or exemplar.end_ns < oldest_ns:
        return _NO_EXEMPLAR
    context = SpanContext(
        exemplar.trace_id, exemplar.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(context))
