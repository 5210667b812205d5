"""What the leading process has in memory, and how it evaluates."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.alert_store.records import Change, Kept
from spanbudget.exporter.alerting.evaluator import Evaluated, Evaluator
from spanbudget.exporter.alerting.kept_peaks import add_kept_peaks, peaks_text
from spanbudget.exporter.alerting.needs import Needs
from spanbudget.exporter.alerting.planner import Planned, Planner
from spanbudget.exporter.alerting.replaying import Stage, make_stage, restore, restored_from_ns
from spanbudget.exporter.alerting.seams import Books, Delivery, Outside, Store
from spanbudget.exporter.anomalies.records import NO_CHANGE
from spanbudget.exporter.config import Config
from spanbudget.exporter.instruments import BUDGET_STATES_MAX, Point
from spanbudget.exporter.ledger.tallies import LedgerTallies
from spanbudget.exporter.notify.config import ReceiverConfig
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import Budget
from spanbudget.processors.names_out import NOTIFICATIONS_WAITING
from spanbudget.rules.alerts import Alert
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.templates import Externals

if TYPE_CHECKING:
    from spanbudget.exporter.anomalies.watcher import Watcher

FORGET_MS: Final = 60_000
"""How often samples that are too old are dropped, milliseconds."""
SHOWN_MAX: Final = BUDGET_STATES_MAX // 4
"""Budgets whose derived values are exported, the fullest ones; each has seven burn rates."""
ACTIVE_MAX: Final = 1_000
"""Points about alerts that are exported, the most frequent ones."""
_TOLD: Final = {
    names.ALERT_NAME: names.ALERT_NAME,
    names.ALERT_SEVERITY: names.ALERT_SEVERITY,
    names.prometheus_label(names.BUDGET): names.BUDGET,
}
"""Labels of alerts that their points have → the attribute."""
PEAKS: Final = "peaks"
"""The name of the note that holds the peaks."""


@dataclass(slots=True)
class Lead:
    """What the leading process has.

    Attributes:
        fence: The number of its lease.
        until_ns: When the lease expires.
        stage: What rules look at.
        reader: Follows the ledger.
        seq: The last entry that was read.
        evaluator: The groups.
        planner: The receivers.
        delivery: Sends.
        budgets: The budgets that the stage was made for.
        peaks: What is kept of the peaks.
        at_ms: The last evaluation, milliseconds since the epoch.
        forgot_ms: When old samples were dropped last.
        states: The budgets at the last evaluation.
        derived: What was worked out about the fullest of them, for the instruments.
        watcher: Watches for anomalies; None where nothing is watched.
    """

    fence: int
    until_ns: int
    stage: Stage
    reader: LedgerTallies
    seq: int
    evaluator: Evaluator
    planner: Planner
    delivery: Delivery
    budgets: tuple[Budget, ...]
    peaks: str
    at_ms: int
    forgot_ms: int = 0
    states: Sequence[BudgetState] = ()
    derived: Sequence[Point] = ()
    watcher: "Watcher | None" = None

    def is_due(self, now_ms: int, *, news: bool) -> bool:
        """Whether there is anything to evaluate."""
        watcher = self.watcher
        watches = watcher is not None and watcher.is_due(now_ms, news=news)
        return watches or self.evaluator.is_due(now_ms, news=news)

    @property
    def next_due_ms(self) -> int:
        """When there is something to do though nothing is new."""
        due_ms = min(self.evaluator.next_due_ms(), self.planner.next_due_ms)
        return due_ms if self.watcher is None else min(due_ms, self.watcher.next_due_ms)

    def evaluate(
        self, books: Books, store: Store, now_ms: int, *, news: bool, due: bool, ends: bool = False
    ) -> None:
        """Takes in what is new, evaluates what is due, and keeps what came of it in one transaction.

        Args:
            books: The budgets.
            store: Keeps it.
            now_ms: Milliseconds since the epoch, later than the last time.
            news: Whether there is new spend.
            due: Whether groups, or series that are watched, are due; else only receivers are.
            ends: Whether this is the last time.

        Raises:
            SpanBudgetError: The ledger or the store cannot be used; what is in memory may be ahead of what
                is kept, so the lead must be taken anew.
        """
        found = self._evaluated(books, now_ms, news=news) if due else Evaluated()
        planned = Planned()
        if found.changed or found.gone or now_ms >= self.planner.next_due_ms:
            planned = self.planner.plan(self.evaluator.alerts(), now_ms, busy=self._busy())
        anomalies = self.watcher.change(ends=ends) if self.watcher is not None else NO_CHANGE
        peaks = peaks_text(self.stage.feed.gauges.peaks, self.states) if due else self.peaks
        change = Change(
            alerts=[(rule, alert) for (rule, _), alert in found.kept.items()],
            gone=found.gone,
            log=planned.log,
            outbox=planned.outbox,
            notes={} if peaks == self.peaks else {PEAKS: peaks},
            anomalies=anomalies,
        )
        store.commit(self.fence, change)
        if self.watcher is not None:
            self.watcher.kept(anomalies)
        self.planner.keep()
        self.peaks = peaks
        if planned.outbox:
            self.delivery.wake()

    def _evaluated(self, books: Books, now_ms: int, *, news: bool) -> Evaluated:
        tallies, self.seq = self.reader.tallies_after(self.seq)
        self.states = books.budget_states()
        watched = self.watcher.take(now_ms) if self.watcher is not None else ()
        self.stage.feed.take(now_ms * NS_PER_MS, tallies, self.states, books.health(), further=watched)
        self.at_ms = now_ms
        if now_ms - self.forgot_ms > FORGET_MS:
            self.forgot_ms = now_ms
            self.stage.store.forget(now_ms)
        found = self.evaluator.evaluate(now_ms, news=news)
        points = self.watcher.points() if self.watcher is not None else ()
        self.derived = [*self._derived(now_ms * NS_PER_MS), *_active(self.evaluator.alerts()), *points]
        return found

    def _derived(self, now_ns: int) -> Iterator[Point]:
        fullest = sorted(self.states, key=attrgetter("utilization"), reverse=True)[:SHOWN_MAX]
        for state, derived in self.stage.feed.derived(fullest, now_ns):
            attribute, value = derived.attribute
            told = {names.BUDGET: state.budget, names.BUDGET_CHILD: state.child}
            yield derived.metric, {**told, attribute: value} if attribute else told, derived.value

    def _busy(self) -> frozenset[str]:
        """The channels that have letters waiting."""
        waiting = self.delivery.health().items()
        return frozenset(
            channel for (metric, channel), count in waiting if metric == NOTIFICATIONS_WAITING.name and count
        )

    def close(self, timeout_seconds: float) -> None:
        """Ends deliveries and lets the ledger go."""
        self.delivery.stop(timeout_seconds)
        self.reader.close()
        if self.watcher is not None:
            self.watcher.close()


def _active(alerts: Iterable[Alert]) -> Iterator[Point]:
    """How many alerts fire or are pending, by name, state, severity and budget."""
    counts: Counter[tuple[str, ...]] = Counter()
    for alert in alerts:
        if alert.state != "inactive":
            told = dict(alert.labels)
            counts[alert.state, *(told.get(label, "") for label in _TOLD)] += 1
    for (state, *values), count in counts.most_common(ACTIVE_MAX):
        told = {name: value for name, value in zip(_TOLD.values(), values, strict=True) if value}
        yield names.ALERTS_ACTIVE, {names.ALERT_STATE: state, **told}, count


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What is evaluated, and who is told.

    Attributes:
        config: Says how often, and which labels metrics have.
        groups: The rules.
        receivers: Who is told.
        needs: What the rules read.
    """

    config: Config
    groups: Sequence[RuleGroup]
    receivers: Sequence[ReceiverConfig]
    needs: Needs

    def take_over(
        self, store: Store, fence: int, now_ns: int, books: Books, outside: Outside, leads: Callable[[], bool]
    ) -> Lead:
        """Brings the past into memory, and goes on from what was kept.

        Args:
            store: What was kept.
            fence: The number of the lease.
            now_ns: Nanoseconds since the epoch.
            books: The budgets.
            outside: Opens the ledger, and makes what sends.
            leads: Whether this process leads.

        Raises:
            SpanBudgetError: The ledger or the store cannot be used.
        """
        kept, budgets = store.load(), books.budgets.budgets
        known_ns = restored_from_ns(self.needs, now_ns)
        stage = make_stage(self.config, budgets, self.needs, BudgetGauges(), known_ns)
        reader = outside.tallies(stage.question)
        watcher = None
        try:
            watcher = self._watcher(store, budgets, outside, now_ns // NS_PER_MS)
            seq = reader.max_seq()
            restore(stage, reader, self.needs, now_ns, seq)
            rolling = [budget.name for budget in budgets if budget.period.kind == "rolling"]
            peaks = kept.notes.get(PEAKS, "")
            add_kept_peaks(stage.feed.gauges.peaks, peaks)
            return Lead(
                fence=fence,
                until_ns=now_ns,
                stage=stage,
                reader=reader,
                seq=seq,
                evaluator=self._evaluator(stage, kept, now_ns // NS_PER_MS),
                planner=Planner(self.receivers, kept.log, self.config.alerting.external_labels, rolling),
                delivery=outside.delivery(store, leads),
                budgets=budgets,
                peaks=peaks,
                at_ms=now_ns // NS_PER_MS - 1,
                forgot_ms=now_ns // NS_PER_MS,
                watcher=watcher,
            )
        except BaseException:
            reader.close()
            if watcher is not None:
                watcher.close()
            raise

    def _watcher(
        self, store: Store, budgets: Sequence[Budget], outside: Outside, now_ms: int
    ) -> "Watcher | None":
        if not self.config.watches:
            return None
        # Imported where something is watched: its detectors may need numpy and scipy.
        from spanbudget.exporter.anomalies.watcher import make_watcher  # noqa: PLC0415

        return make_watcher(self.config, budgets, self.needs.wants, store, outside, now_ms)

    def _evaluator(self, stage: Stage, kept: Kept, now_ms: int) -> Evaluator:
        alerting = self.config.alerting
        labels = tuple(sorted(alerting.external_labels.items()))
        return Evaluator(
            groups=self.groups,
            store=stage.store,
            kept=kept.alerts,
            interval_ms=alerting.evaluation_interval * 1_000,
            externals=Externals(labels, alerting.external_url, alerting.external_url),
            now_ms=now_ms,
        )
