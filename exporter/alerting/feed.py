"""Brings what happened into the series that rules look at, at one moment after the other."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from spanbudget.exporter.alerting.counters import LedgerCounters
from spanbudget.exporter.alerting.needs import Needs
from spanbudget.exporter.ledger.tallies import Tally
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import Metric, prometheus_label, prometheus_name
from spanbudget.rules.budget_gauges import GAUGES, BudgetGauges, Derived
from spanbudget.rules.durations import NEVER_MS, NS_PER_MS
from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of
from spanbudget.rules.projection.projector import Projector
from spanbudget.rules.series import STALE_NAN, Series, SeriesStore

BURN_KEEP_MS: Final = (max(names.BURN_WINDOWS.values()) + 3_600) * 1_000
"""How long spend is remembered for the longest burn rate."""
_SELF_METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in names.SELF_METRICS}


class Feed:
    """Appends one sample of everything that rules read, each time it is told what there is.

    Args:
        store: Where samples go.
        counters: The counters of the ledger.
        gauges: The gauges of budgets.
        projector: Projects budgets.
        needs: What rules read.
        known_from_ns: Since when all spend is known, nanoseconds since the epoch.
    """

    def __init__(
        self,
        store: SeriesStore,
        counters: LedgerCounters,
        gauges: BudgetGauges,
        projector: Projector,
        *,
        needs: Needs,
        known_from_ns: int,
    ) -> None:
        self.store = store
        self.counters = counters
        self.gauges = gauges
        self.projector = projector
        self._needs = needs
        self._known_from_ns = known_from_ns
        self._spent: dict[Pot, Series] = {}
        self._present: set[Labels] = set()
        self._self_labels: dict[tuple[str, str], Labels] = {}

    def take(
        self,
        now_ns: int,
        tallies: Iterable[Tally],
        states: Iterable[BudgetState],
        health: Mapping[tuple[str, str], int],
        *,
        age_ms: int = 0,
        further: Iterable[tuple[Labels, float]] = (),
    ) -> None:
        """Appends a sample of every series; one that is there no more ends.

        Args:
            now_ns: Nanoseconds since the epoch.
            tallies: What came into the ledger since the last time.
            states: The budgets.
            health: (metric name, reason) → value in the metric's unit times its divisor.
            age_ms: How long ago that is; only metrics whose samples are kept for so long get one. It must
                not grow from one call to the next.
            further: Samples of others.
        """
        self.counters.add(tallies, now_ns)
        self._remember_spend(now_ns // NS_PER_MS)
        at_ms, append, present = now_ns // NS_PER_MS, self.store.append, set()
        wanted = self._needs.names_of_age(age_ms)
        for labels, value in chain(self._all(now_ns, states, health, wanted), further):
            append(labels, at_ms, value)
            present.add(labels)
        for labels in self._present - present:
            append(labels, at_ms, STALE_NAN)
        self._present = present

    def reads_gauges(self, age_ms: int) -> bool:
        """Whether any gauge of budgets is kept for so long."""
        wanted = self._needs.names_of_age(age_ms)
        return wanted is None or not wanted.isdisjoint(GAUGES)

    def derived(self, states: Iterable[BudgetState], now_ns: int) -> Iterator[tuple[BudgetState, Derived]]:
        """What is worked out about budgets, for those who show it."""
        for state in states:
            for derived in self.gauges.derived(state, now_ns, self.spent_since, self.projector.foresee):
                yield state, derived

    def spent_since(self, pot: Pot, since_ns: int) -> float | None:
        """See `budget_gauges.SpentSince`."""
        series = self._spent.get(pot)
        if series is None or not series.times:
            return 0.0 if since_ns >= self._known_from_ns else None
        before = series.at(since_ns // NS_PER_MS, NEVER_MS)
        if before is None:
            return series.values[-1] if since_ns >= self._known_from_ns else None
        return series.values[-1] - before[1]

    def _all(
        self,
        now_ns: int,
        states: Iterable[BudgetState],
        health: Mapping[tuple[str, str], int],
        wanted: frozenset[str] | None,
    ) -> Iterator[tuple[Labels, float]]:
        yield from self.counters.samples(wanted)
        for state in states:
            yield from self.gauges.samples(state, now_ns, self.spent_since, wanted, self.projector.foresee)
        for key, number in health.items():
            metric = _SELF_METRICS.get(key[0])
            if metric is not None and (wanted is None or prometheus_name(metric) in wanted):
                yield self._self_series(metric, key), number / metric.divisor

    def _self_series(self, metric: Metric, key: tuple[str, str]) -> Labels:
        labels = self._self_labels.get(key)
        if labels is None:
            told = {METRIC_NAME: prometheus_name(metric), prometheus_label(metric.reason): key[1]}
            labels = self._self_labels[key] = labels_of(told)
        return labels

    def _remember_spend(self, at_ms: int) -> None:
        for pot, spent in self.counters.spent.items():
            series = self._spent.get(pot)
            if series is None:
                series = self._spent[pot] = Series(labels_of({"budget": pot.budget, "child": pot.child}))
            usd = spent / names.PICO
            if not series.times or series.values[-1] != usd:
                series.append(at_ms, usd)
                series.forget(at_ms, BURN_KEEP_MS, keep_last=True)
