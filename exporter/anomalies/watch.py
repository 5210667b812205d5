"""The watch: closes slots, looks at the one that lasts, and tells what has to be kept and shown.

`take` is where to begin. Each slot of ten minutes is closed by a question to the ledger, a little after its
end; past slots, after a start or a pause, are closed by the same code. Between two of them the slot that
lasts is looked at whenever there is new spend. An entry that comes after its slot was closed is left out.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.anomalies.accounts import Accounts
from spanbudget.exporter.anomalies.contributions import CONTRIBUTOR_DIMENSIONS, Contributions
from spanbudget.exporter.anomalies.episodes import Episodes
from spanbudget.exporter.anomalies.marking import Marking
from spanbudget.exporter.anomalies.nursery import HISTORY, Nursery
from spanbudget.exporter.anomalies.plan import Plan
from spanbudget.exporter.anomalies.records import (
    AnomalyChange,
    EpisodeRecord,
    ExpectedMark,
    KeptAnomalies,
    SavedState,
)
from spanbudget.exporter.anomalies.roster import Roster
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.sums import Router, Sum, spend_of
from spanbudget.exporter.ledger.tallies import LedgerTallies, Tally, TallyQuestion
from spanbudget.processors import names_out as names
from spanbudget.rules.anomalies.slots import SLOT_MS, Slot, slot_start
from spanbudget.rules.durations import NS_PER_MS

if TYPE_CHECKING:
    from spanbudget.exporter.anomalies.line import Line

GRACE_MS: Final = 30_000
"""A slot is closed so long after its end: by then the spans of its calls have come."""
BACK_MS: Final = 14 * 86_400_000
"""How much of the past is read, where nothing was learnt yet and after a pause."""
SAVE_MS: Final = 3_600_000
"""How often what was learnt is kept; after a crash the slots since then are read again."""
CATCH_UP_SECONDS: Final = 0.25
"""How long one evaluation is kept up by the past, about."""
FORGET_MS: Final = 400 * 86_400_000
"""How long ended episodes and past marks are kept."""
REMEMBER_MS: Final = 31 * 86_400_000
"""How long ended episodes are in memory."""
_SLOTS_AT_ONCE: Final = 36
"""Slots of the past that one question to the ledger is about, six hours: its answer is in memory."""
_OBSERVED_MAX: Final = 2_500
"""Slots of all series that are closed between two looks at the time."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the watch reads.

    Attributes:
        tallies: Opens the ledger for sums.
        marks: What was told about stretches of time, the oldest first.
    """

    tallies: Callable[[TallyQuestion], LedgerTallies]
    marks: Callable[[], Sequence[ExpectedMark]]


class Watch:
    """Watches the series of some budgets; for one thread.

    Args:
        plan: What is watched.
        sources: What is read.
        kept: What was learnt and found before.
        now_ms: Milliseconds since the epoch.
        back_ms: How much of the past is read where nothing was learnt yet.

    Attributes:
        plan: What is watched.
        lines: The series.
        episodes: What was found.
        until_ms: End of the last slot that was closed.
        is_behind: Whether there is a past that has not been read: until then nothing is shown.
    """

    def __init__(
        self, plan: Plan, sources: Sources, kept: KeptAnomalies, now_ms: int, *, back_ms: int = BACK_MS
    ) -> None:
        dimensions = tuple(dict.fromkeys((*plan.section.dimensions, *CONTRIBUTOR_DIMENSIONS)))
        self.plan = plan
        self.episodes = Episodes(kept.episodes)
        self._back_ms = back_ms
        self._now_ms = self._saved_ms = now_ms
        self._gone: set[SeriesName] = set()
        self._relearned = 0
        self._marking = Marking(sources.marks, self.episodes)
        self._take_up(kept)
        self.episodes.leave(one.series for one in self.episodes.open() if one.series not in self.lines)
        self._router = Router(plan.budgets, plan.section.dimensions, dimensions)
        self._reader = sources.tallies(self._router.question)
        self._accounts = Accounts(Contributions(self._reader, self._router, dimensions), self.episodes)

    def _take_up(self, kept: KeptAnomalies) -> None:
        """Goes on from what was learnt, and begins with the past where that is not known."""
        floor_ms = slot_start(max(0, self._now_ms - self._back_ms))
        self._nursery = Nursery(self.plan, kept, self._now_ms, floor_ms)
        self._roster = Roster(self.plan.section.max_series, self._nursery.weights)
        lines, weights = self._nursery.lines, self._roster.weights
        self.lines: dict[SeriesName, Line] = {name: line for name, line in lines.items() if name in weights}
        self._gone |= self._nursery.gone | (lines.keys() - self.lines.keys())
        self._relearned += self._nursery.relearned
        self._marking.floor_ms = floor_ms
        self.until_ms = self._nursery.until_ms
        self.is_behind = True
        self._must_save = False
        self._sums: dict[SeriesName, Sum] = {}
        self._seq: int | None = None

    @property
    def first_ms(self) -> int | None:
        """When the first call was, milliseconds since the epoch; None where none was read."""
        return self._nursery.first_ms

    def is_due(self, now_ms: int, *, news: bool) -> bool:
        """Whether there is anything to do."""
        return news or self.is_behind or now_ms >= self.next_due_ms

    @property
    def next_due_ms(self) -> int:
        """When the slot that lasts is to be closed."""
        return self.until_ms + SLOT_MS + GRACE_MS

    def take(self, now_ms: int) -> None:
        """Takes in what the ledger has.

        Args:
            now_ms: Milliseconds since the epoch. Where a clock was set back, nothing is closed until it is
                there again.

        Raises:
            LedgerError: The ledger cannot be read.
            AlertStoreError: The marks cannot be read.
        """
        self._now_ms = now_ms
        taken_back = self._marking.look(now_ms, self.lines.values())
        if taken_back:
            self._learn_anew(taken_back)
        due_ms = slot_start(now_ms - GRACE_MS)
        if due_ms > self.until_ms:
            self._catch_up(due_ms)
        elif self._seq is None:
            self._close_some(self.until_ms, self.until_ms)
        elif self.until_ms <= now_ms < self.until_ms + SLOT_MS:
            tallies, self._seq = self._reader.tallies_after(self._seq)
            self._run(tallies)
        if self.is_behind and due_ms <= self.until_ms:
            self._show_all()
        was_behind, self.is_behind = self.is_behind, due_ms > self.until_ms
        self._must_save |= was_behind and not self.is_behind  # the past is not to be read again
        self._accounts.write(self._nursery.first_ms or now_ms)

    def run_to(self, now_ms: int, progress: Callable[[], None] | None = None) -> None:
        """Closes every slot that has ended, whatever it takes.

        Args:
            now_ms: Milliseconds since the epoch.
            progress: Told now and then.
        """
        due_ms = slot_start(now_ms - GRACE_MS)
        while self.until_ms < due_ms:
            self._catch_up(due_ms)
            if progress is not None:
                progress()
        self._accounts.write(self._nursery.first_ms or now_ms)

    def _learn_anew(self, budgets: frozenset[str]) -> None:
        """Lets budgets forget all, and learn from the ledger: a mark of theirs was taken back."""
        states = dict(self._states())
        states[HISTORY] = self._nursery.history(self.until_ms, without=budgets)
        self._take_up(KeptAnomalies(states))

    def _catch_up(self, due_ms: int) -> None:
        began = time.perf_counter()
        self.until_ms = max(self.until_ms, due_ms - self._back_ms)
        while self.until_ms < due_ms and time.perf_counter() - began < CATCH_UP_SECONDS:
            series = len(self.lines) or self.plan.section.max_series
            fitting = min(_SLOTS_AT_ONCE, _OBSERVED_MAX // series)
            self._close_some(min(due_ms, self.until_ms + max(1, fitting) * SLOT_MS), due_ms)

    def _close_some(self, end_ms: int, due_ms: int) -> None:
        """Closes the slots up to a moment; at the end, looks at what the one that lasts has so far."""
        start_ms, last_seq = self.until_ms, self._reader.max_seq()
        more_ms = SLOT_MS if end_ms == due_ms else 0
        times_ns = start_ms * NS_PER_MS, (end_ms + more_ms) * NS_PER_MS
        by_slot: dict[int, list[Tally]] = {}
        for tally in self._reader.tallies_between(*times_ns, SLOT_MS * NS_PER_MS, last_seq=last_seq):
            by_slot.setdefault(tally.bucket_ns // NS_PER_MS, []).append(tally)
        if by_slot and self._nursery.first_ms is None:
            self._nursery.first_ms = min(by_slot)
        for slot_ms in range(start_ms, end_ms, SLOT_MS):
            self._close(slot_ms, by_slot.get(slot_ms, ()))
        if more_ms:
            self._seq, self._sums = last_seq, {}
            self._run(by_slot.get(end_ms, ()))

    def _close(self, slot_ms: int, tallies: Iterable[Tally]) -> None:
        def is_news(name: SeriesName) -> bool:
            return self._nursery.is_news(name, slot_ms)

        sums: dict[SeriesName, Sum] = {}
        self._router.add(sums, tallies)
        spend = {name: usd for name, usd in spend_of(sums).items() if is_news(name)}
        came, left = self._roster.take(spend, self.episodes.is_open, is_news)
        for name in left:
            del self.lines[name]
            self._gone.add(name)
        self.until_ms = slot_ms + SLOT_MS
        for name in came:
            self._gone.discard(name)
            line = self.lines[name] = self._nursery.line(name, slot_ms)
            self._marking.tell([line])
        nothing = Sum()
        for name, line in self.lines.items():
            if line.until_ms <= slot_ms:
                for source, seen in line.observe(sums.get(name, nothing).slot(slot_ms)):
                    self.episodes.closed((name, source), seen, slot_ms)
        self._marking.tell(self.lines.values(), only_lasting=True)

    def _run(self, tallies: Iterable[Tally]) -> None:
        """Looks at the slot that lasts, in the series that have something new."""
        new: dict[SeriesName, Sum] = {}
        self._router.add(new, tallies)
        for name, more in new.items():
            line = self.lines.get(name)
            if line is not None and line.until_ms == self.until_ms:
                found = self._sums.setdefault(name, Sum())
                found.join(more)
                for source, seen in line.peek(found.slot(self.until_ms)):
                    self.episodes.running((name, source), seen)

    def _show_all(self) -> None:
        """Has every series say something, also those that were restored and have no calls now."""
        for line in self.lines.values():
            if not line.seen:
                list(line.peek(Slot(self.until_ms)))

    # What is kept.

    def change(self, *, ends: bool = False) -> AnomalyChange:
        """What is to be kept now: episodes at once, what was learnt every hour.

        Args:
            ends: Whether this is the last time.
        """
        saves = ends or self._must_save or not 0 <= self._now_ms - self._saved_ms < SAVE_MS
        if not saves:
            return AnomalyChange(episodes=tuple(self.episodes.changed.values()))
        states = {**dict(self._states()), HISTORY: self._nursery.history(self.until_ms)}
        return AnomalyChange(
            states, tuple(self._gone), tuple(self.episodes.changed.values()), self._now_ms - FORGET_MS
        )

    def _states(self) -> Iterator[tuple[SeriesName, SavedState]]:
        for name, line in self.lines.items():
            yield name, self._nursery.saved(line, self._roster.weights.get(name, 0.0))

    def kept(self, change: AnomalyChange) -> list[EpisodeRecord]:
        """Takes note that a change was kept.

        Returns:
            The episodes that have begun or ended, for those who are told; none from before the watch began.
        """
        self.episodes.changed.clear()
        self._must_save = False
        if change.states:
            self._saved_ms = self._now_ms
            self._gone.clear()
            self.episodes.forget(self._now_ms - REMEMBER_MS)
        if self.is_behind:
            return []
        told_ms = self._nursery.told_from_ms
        return [one for one in self.episodes.news() if one.end_ms is None or one.until_ms > told_ms]

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → value in the metric's unit times its divisor."""
        behind_ms = max(0, slot_start(self._now_ms - GRACE_MS) - self.until_ms)
        open_ = {(names.ANOMALIES_OPEN.name, signal): n for signal, n in self.episodes.counts().items()}
        return {
            (names.ANOMALIES_SERIES.name, ""): len(self.lines),
            (names.ANOMALIES_LEFT_OUT.name, ""): self._roster.left_out,
            (names.ANOMALIES_BEHIND.name, ""): behind_ms * NS_PER_MS,
            (names.ANOMALIES_RELEARNED.name, ""): self._relearned,
            **open_,
        }

    def close(self) -> None:
        """Lets the ledger go."""
        self._reader.close()
