"""The ledger's past, brought moment by moment into the series that rules look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.alerting.counters import LedgerCounters
from spanbudget.exporter.alerting.feed import Feed
from spanbudget.exporter.alerting.needs import Needs
from spanbudget.exporter.alerting.replayed import ReplayedBudgets
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger.tallies import LedgerTallies, Tally, TallyQuestion
from spanbudget.exporter.series import SERIES_LABELS, SeriesKeys
from spanbudget.processors import names_out as names
from spanbudget.processors.budgets import BUDGET_LABEL, CHILD_LABEL, Budget, BudgetBook
from spanbudget.processors.periods import INSTANT_MAX_NS
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.projection.projector import Projector
from spanbudget.rules.series import SeriesStore

if TYPE_CHECKING:
    from spanbudget.rules.projection.model import SpendModel

_SECOND_NS: Final = 1_000_000_000
BURN_NS: Final = max(names.BURN_WINDOWS.values()) * _SECOND_NS
STEPS: Final = (
    # How long ago a stretch begins, how long its steps are: as thin as the store would keep it anyway.
    (86_400 * _SECOND_NS, 1_800 * _SECOND_NS),
    (7_200 * _SECOND_NS, 300 * _SECOND_NS),
    (600 * _SECOND_NS, 60 * _SECOND_NS),
    (0, 15 * _SECOND_NS),
)


_DIRECTED: Final = (BUDGET_LABEL, CHILD_LABEL)
"""Labels by which a call, or the charge for a lease, names its budget."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What rules look at, and what brings the ledger there.

    Attributes:
        store: The series.
        feed: Appends to them.
        replayed: The budgets, as the tallies make them.
        question: What tallies tell apart.
    """

    store: SeriesStore
    feed: Feed
    replayed: ReplayedBudgets
    question: TallyQuestion


def make_stage(
    config: Config, budgets: Sequence[Budget], needs: Needs, gauges: BudgetGauges, known_from_ns: int
) -> Stage:
    """An empty stage.

    Args:
        config: Says which labels metrics have.
        budgets: All budgets.
        needs: What is read of it.
        gauges: The gauges of budgets, with the peaks that are known.
        known_from_ns: Since when all spend will be brought there, nanoseconds since the epoch.
    """
    dimensions = tuple(dict.fromkeys([*SERIES_LABELS, *config.metrics.labels]))
    used = [label for budget in budgets for label, _ in budget.selector.terms]
    used += [label for budget in budgets for label in budget.per]
    store = SeriesStore(needs.keep_ms, default_keep_ms=needs.keep_all_ms)
    replayed = ReplayedBudgets(BudgetBook(budgets))
    keys = SeriesKeys(dimensions, config.metrics.max_label_values)
    projector = Projector({budget.name: budget.period for budget in budgets}, learn)
    counters = LedgerCounters(keys, replayed.pots_of, needs.wants, projector.history)
    feed = Feed(store, counters, gauges, projector, needs=needs, known_from_ns=known_from_ns)
    told = TallyQuestion(tuple(dict.fromkeys([*dimensions, *used, *_DIRECTED])))
    return Stage(store, feed, replayed, told)


def moments(
    reader: LedgerTallies, since_ns: int, until_ns: int, step_ns: int, *, last_seq: int | None = None
) -> Iterator[tuple[int, list[Tally]]]:
    """Each step of a stretch of time: (its end, what it brought), also where it brought nothing.

    Args:
        reader: Reads the ledger.
        since_ns: Start, a multiple of the step.
        until_ns: End; the last step ends at it or after it.
        step_ns: Length of a step.
        last_seq: The last entry of the ledger that counts; None for all.
    """
    gathered: list[Tally] = []
    end_ns = since_ns + step_ns
    for tally in reader.tallies_between(since_ns, until_ns, step_ns, last_seq=last_seq):
        while tally.bucket_ns >= end_ns:
            yield end_ns, gathered
            gathered = []
            end_ns += step_ns
        gathered.append(tally)
    while end_ns - step_ns < until_ns:
        yield end_ns, gathered
        gathered = []
        end_ns += step_ns


def restore(
    stage: Stage,
    reader: LedgerTallies,
    needs: Needs,
    now_ns: int,
    last_seq: int,
    *,
    until_ns: int = INSTANT_MAX_NS,
) -> None:
    """Brings the past as far as rules look back, in steps that grow with age.

    Args:
        stage: An empty one.
        reader: Reads the ledger.
        needs: How far back.
        now_ns: Nanoseconds since the epoch.
        last_seq: The last entry of the ledger that counts.
        until_ns: Calls that ended from here on do not count; a clock may be ahead, so there is no such time
            where the past is that of now.
    """
    since_ns = restored_from_ns(needs, now_ns)
    seed(stage, reader, since_ns, last_seq)
    for age_ns, step_ns in STEPS:
        stretch_ns = now_ns - age_ns
        stretch_ns -= stretch_ns % step_ns
        steps = moments(reader, since_ns, stretch_ns, step_ns, last_seq=last_seq)
        for end_ns, tallies in steps if since_ns < stretch_ns else ():
            take(stage, end_ns, tallies, age_ms=age_ns // NS_PER_MS)
        since_ns = max(since_ns, stretch_ns)
    rest = reader.tallies_between(since_ns, until_ns, STEPS[-1][1], last_seq=last_seq)
    take(stage, max(since_ns + 1, now_ns - NS_PER_MS), list(rest))


def seed(stage: Stage, reader: LedgerTallies, since_ns: int, last_seq: int | None = None) -> None:
    """Tells budgets what their windows had spent before a time, and projections what came before that."""
    spans = [budget.period.span(since_ns).start_ns for budget in stage.replayed.budgets]
    windows_ns = min(spans, default=since_ns)
    bins = stage.feed.projector.history.bins.values()
    past_ns = min((since_ns - one.kept * one.length_ns for one in bins), default=since_ns)
    step_ns = STEPS[0][1]
    first_ns = max(0, min(windows_ns, past_ns))
    first_ns -= first_ns % step_ns
    if first_ns < since_ns:
        for tally in reader.tallies_between(first_ns, since_ns, step_ns, last_seq=last_seq):
            if tally.bucket_ns + step_ns > windows_ns:
                stage.replayed.add((tally,))
            stage.feed.counters.recall((tally,))


def learn(closed: Sequence[float], season: int) -> "SpendModel":
    """See `model.fit`."""
    from spanbudget.rules.projection.model import fit  # noqa: PLC0415 - numpy, once there is something to learn

    return fit(closed, season)


def take(stage: Stage, at_ns: int, tallies: Sequence[Tally], *, age_ms: int = 0) -> None:
    """Brings one moment of the past, which is at least so long ago."""
    stage.replayed.add(tallies)
    states = stage.replayed.states(at_ns) if stage.feed.reads_gauges(age_ms) else ()
    stage.feed.take(at_ns, tallies, states, {}, age_ms=age_ms)


def restored_from_ns(needs: Needs, now_ns: int) -> int:
    """Where restoring begins; a multiple of every step."""
    since_ns = now_ns - max(needs.longest_ms * NS_PER_MS, BURN_NS)
    return since_ns - since_ns % STEPS[0][1]
