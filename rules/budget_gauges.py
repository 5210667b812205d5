"""What rules see of budgets at a moment: their state, how fast they burn, and where that leads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from spanbudget.processors import names_out as names
from spanbudget.processors.budget_readings import BUDGET_READINGS
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import Metric, prometheus_label, prometheus_name
from spanbudget.processors.periods import INSTANT_MAX_NS
from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of
from spanbudget.rules.projection.projector import Foreseen

LOW, MIDDLE, HIGH = "0.05", "0.5", "0.95"

_DERIVED: Final = (
    names.BUDGET_PEAK,
    names.BUDGET_ELAPSED,
    names.BUDGET_PROJECTED_USD,
    names.BUDGET_EXHAUSTION,
    names.BUDGET_BURN_RATE,
)
_DERIVED_NAMES: Final = frozenset(map(prometheus_name, _DERIVED))
_FORESEEN_NAMES: Final = frozenset(
    map(prometheus_name, (names.BUDGET_PROJECTED_USD, names.BUDGET_EXHAUSTION))
)
_NAMES: Final[Mapping[Metric, str]] = {
    metric: prometheus_name(metric) for metric in (*_DERIVED, *(metric for metric, _ in BUDGET_READINGS))
}
GAUGES: Final = frozenset(_NAMES.values())
"""The metrics that are made here, by their Prometheus names."""

SpentSince = Callable[[Pot, int], float | None]
"""(budget, nanoseconds since the epoch) → USD that it has spent since then; None where nobody knows."""
Foresee = Callable[[BudgetState, int], Foreseen | None]
"""(state, nanoseconds since the epoch) → what is expected of the budget; None where nobody knows."""


class Derived(NamedTuple):
    """One derived value of a budget.

    Attributes:
        metric: Which.
        attribute: (attribute, value) beside those of the budget; ("", "") for none.
        value: In the metric's unit.
    """

    metric: Metric
    attribute: tuple[str, str]
    value: float


@dataclass(slots=True)
class Peak:
    """The most that was spent in a window, by measure.

    Attributes:
        start_ns: Start of the window.
        cost: Pico-USD.
        tokens: Tokens.
        requests: Calls.
    """

    start_ns: int
    cost: int = 0
    tokens: int = 0
    requests: int = 0

    def seen(self, state: BudgetState) -> None:
        """Takes note of what is spent now; a correction does not lower what was seen."""
        spent = state.spent
        self.cost = max(self.cost, spent.cost)
        self.tokens = max(self.tokens, spent.tokens)
        self.requests = max(self.requests, spent.requests)

    def ratio(self, state: BudgetState) -> float:
        """The peak over the present limits, of the fullest measure."""
        pairs = (
            (self.cost, state.limit_cost),
            (self.tokens, state.limit_tokens),
            (self.requests, state.limit_requests),
        )
        return max((spent / limit for spent, limit in pairs if limit is not None), default=0.0)


class BudgetGauges:
    """Turns states of budgets into samples.

    Attributes:
        peaks: The peaks of current windows, which must outlive a restart: a correction just before one would
            make a threshold fire a second time.
    """

    def __init__(self, peaks: Mapping[Pot, Peak] | None = None) -> None:
        self.peaks: dict[Pot, Peak] = dict(peaks or {})
        self._labels: dict[tuple[str, Pot, tuple[str, str]], Labels] = {}

    def samples(
        self,
        state: BudgetState,
        now_ns: int,
        spent_since: SpentSince,
        wanted: frozenset[str] | None = None,
        foresee: Foresee | None = None,
    ) -> Iterator[tuple[Labels, float]]:
        """The series of one budget, or of one child.

        Args:
            state: Its state now.
            now_ns: Nanoseconds since the epoch.
            spent_since: Knows what was spent in trailing times.
            wanted: The metrics that are asked for, by their Prometheus names; None for all.
            foresee: Knows what is expected; None where nobody does.
        """
        pot = Pot(state.budget, state.child)
        for metric, reading in BUDGET_READINGS:
            if wanted is None or _NAMES[metric] in wanted:
                value = reading(state)
                if value is not None:
                    yield self._series(metric, pot, ("", "")), value / metric.divisor
        peak = self._peak(pot, state)  # also where nobody asks: it must not miss anything
        if wanted is None or not wanted.isdisjoint(_DERIVED_NAMES):
            asked = wanted is None or not wanted.isdisjoint(_FORESEEN_NAMES)
            for derived in self._derived(pot, state, peak, now_ns, spent_since, foresee if asked else None):
                if wanted is None or _NAMES[derived.metric] in wanted:
                    yield self._series(derived.metric, pot, derived.attribute), derived.value

    def derived(
        self, state: BudgetState, now_ns: int, spent_since: SpentSince, foresee: Foresee | None = None
    ) -> Iterator[Derived]:
        """Peak, elapsed part, projection and burn rates, as far as they mean something for the budget."""
        pot = Pot(state.budget, state.child)
        return self._derived(pot, state, self._peak(pot, state), now_ns, spent_since, foresee)

    def _derived(
        self,
        pot: Pot,
        state: BudgetState,
        peak: Peak,
        now_ns: int,
        spent_since: SpentSince,
        foresee: Foresee | None,
    ) -> Iterator[Derived]:
        yield Derived(names.BUDGET_PEAK, ("", ""), peak.ratio(state))
        foreseen = foresee(state, now_ns) if foresee is not None and state.limit_cost is not None else None
        if foreseen is not None:
            yield from _foreseen(foreseen, now_ns)
        window = state.window
        if window.end_ns >= INSTANT_MAX_NS:  # a total: there is no end to compare with
            return
        length_ns = window.end_ns - window.start_ns
        if not state.is_rolling:
            elapsed = min(max((now_ns - window.start_ns) / length_ns, 0.0), 1.0)
            yield Derived(names.BUDGET_ELAPSED, ("", ""), elapsed)
        if state.limit_cost:
            allowed = state.limit_cost / names.PICO / (length_ns / names.NANO)  # USD in a second
            yield from _burning(pot, now_ns, allowed, spent_since)

    def _peak(self, pot: Pot, state: BudgetState) -> Peak:
        peak = self.peaks.get(pot)
        start_ns = state.window.start_ns
        if peak is None or (peak.start_ns != start_ns and not state.is_rolling):
            peak = self.peaks[pot] = Peak(start_ns)
        if state.is_rolling:  # its window moves on by itself, and so does what was spent in it
            peak.start_ns, peak.cost, peak.tokens, peak.requests = start_ns, 0, 0, 0
        peak.seen(state)
        return peak

    def _series(self, metric: Metric, pot: Pot, attribute: tuple[str, str]) -> Labels:
        key = (metric.name, pot, attribute)
        labels = self._labels.get(key)
        if labels is None:
            if len(self._labels) >= 200_000:
                self._labels.clear()
            labels = self._labels[key] = labels_of(
                {
                    METRIC_NAME: _NAMES[metric],
                    prometheus_label(names.BUDGET): pot.budget,
                    prometheus_label(names.BUDGET_CHILD): pot.child,
                    prometheus_label(attribute[0]): attribute[1],
                }
            )
        return labels


def _burning(pot: Pot, now_ns: int, allowed: float, spent_since: SpentSince) -> Iterator[Derived]:
    for text, seconds in names.BURN_WINDOWS.items():
        spent = spent_since(pot, now_ns - seconds * names.NANO)
        if spent is not None:
            rate = spent / seconds / allowed
            yield Derived(names.BUDGET_BURN_RATE, (names.BURN_WINDOW, text), rate)


def _foreseen(foreseen: Foreseen, now_ns: int) -> Iterator[Derived]:
    ends = foreseen.ends
    if ends is not None:
        for quantile, value in ((LOW, ends.low), (MIDDLE, ends.median), (HIGH, ends.high)):
            yield Derived(names.BUDGET_PROJECTED_USD, (names.QUANTILE, quantile), value)
    if foreseen.exhausted_ns is not None:
        left = (foreseen.exhausted_ns - now_ns) / names.NANO
        yield Derived(names.BUDGET_EXHAUSTION, ("", ""), max(left, 0.0))
