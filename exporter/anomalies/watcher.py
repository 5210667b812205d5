"""The watch in the process that evaluates rules: its samples, points, events and what is kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spanbudget.exporter.anomalies.events import AnomalyEvents
from spanbudget.exporter.anomalies.gauges import AnomalyGauges
from spanbudget.exporter.anomalies.plan import plan_of
from spanbudget.exporter.anomalies.records import AnomalyChange
from spanbudget.exporter.anomalies.watch import REMEMBER_MS, Sources, Watch
from spanbudget.exporter.config import Config
from spanbudget.exporter.instruments import Point
from spanbudget.processors.budgets import Budget
from spanbudget.rules.labels import Labels

if TYPE_CHECKING:
    from spanbudget.exporter.alerting.seams import Outside, Store


@dataclass(slots=True)
class Watcher:
    """The watch, and those who are told.

    Attributes:
        watch: The watch.
        wants: Whether any rule reads a metric of this Prometheus name.
        gauges: What rules and instruments see.
        events: Where begins and ends of anomalies are told.
    """

    watch: Watch
    wants: Callable[[str], bool]
    gauges: AnomalyGauges = field(default_factory=AnomalyGauges)
    events: AnomalyEvents = field(default_factory=AnomalyEvents)

    def is_due(self, now_ms: int, *, news: bool) -> bool:
        """Whether there is anything to do."""
        return self.watch.is_due(now_ms, news=news)

    @property
    def next_due_ms(self) -> int:
        """When there is something to do though nothing is new."""
        return 0 if self.watch.is_behind else self.watch.next_due_ms

    def take(self, now_ms: int) -> Iterable[tuple[Labels, float]]:
        """Takes in what the ledger has; what rules see of it, nothing before the past is known.

        Raises:
            SpanBudgetError: The ledger or its marks cannot be read.
        """
        self.watch.take(now_ms)
        return () if self.watch.is_behind else self.gauges.samples(self.watch.lines.values(), self.wants)

    def points(self) -> Iterable[Point]:
        """What instruments show."""
        return () if self.watch.is_behind else self.gauges.points(self.watch.lines.values())

    def change(self, *, ends: bool) -> AnomalyChange:
        """What is to be kept now; see `Watch.change`."""
        return self.watch.change(ends=ends)

    def kept(self, change: AnomalyChange) -> None:
        """Takes note that a change was kept, and tells of episodes that have begun or ended."""
        for episode in self.watch.kept(change):
            self.events.write(episode)

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → value in the metric's unit times its divisor."""
        return self.watch.health()

    def close(self) -> None:
        """Lets the ledger go."""
        self.watch.close()


def make_watcher(
    config: Config,
    budgets: Sequence[Budget],
    wants: Callable[[str], bool],
    store: "Store",
    outside: "Outside",
    now_ms: int,
) -> Watcher:
    """The watch that a configuration asks for, as far as it has come.

    Args:
        config: Says what is watched.
        budgets: All budgets.
        wants: Whether any rule reads a metric of this Prometheus name.
        store: What was kept, and what is told.
        outside: Opens the ledger.
        now_ms: Milliseconds since the epoch.

    Raises:
        SpanBudgetError: The ledger or the store cannot be used.
    """
    kept = store.anomalies
    sources = Sources(outside.tallies, kept.marks)
    watch = Watch(plan_of(config, budgets), sources, kept.load(now_ms - REMEMBER_MS), now_ms)
    return Watcher(watch, wants)
