"""One series under watch for unusual money: its detectors, its alert level and its episodes."""

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, Self, TypeAlias

from spanbudget.rules.anomalies.calibration import AlertLevel
from spanbudget.rules.anomalies.episodes import SIGNALS, Episode, Episodes, Signal
from spanbudget.rules.anomalies.onset import Onset
from spanbudget.rules.anomalies.packing import BrokenStateError, Packer, Unpacker
from spanbudget.rules.anomalies.silence import SilenceDetector
from spanbudget.rules.anomalies.slots import DAY_SLOTS, HOUR_SLOTS, SLOT_MS, Slot, slot_start
from spanbudget.rules.anomalies.spend import SpendDetector
from spanbudget.rules.anomalies.unit_cost import UnitCostDetector
from spanbudget.rules.anomalies.week import HOUR_MS, Learning

JUMP_MS: Final = 14 * 86_400_000
"""A clock that jumps further, either way, starts the series anew: nothing of it is usual any more."""
ACTIVE_MIN: Final = 24
"""Slots with calls that a series has before it may alert, where its learning time is as long as that."""
LASTING_SLOTS: Final = DAY_SLOTS // 2
"""An episode that is open for twelve hours is the new level, unless its time was left out of what is
usual."""
WINDOWS_MAX: Final = 16
"""Most windows that are remembered; the ones that end last are kept."""
COST_MAX: Final = 1e12
"""US dollars: more in ten minutes is no money."""
COUNT_MAX: Final = 10**15
"""More calls in ten minutes are none."""
_VERSION: Final = 1

Status: TypeAlias = Literal["learning", "ok", "anomalous"]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How easily a series alerts.

    Attributes:
        alert_budget_per_week: Episodes per week that may alert at most in the long run, more than 0.
        min_excess_usd: What less money than that is at stake in is no anomaly: the excess of the slot, of
            its hour or, for cost per request, of four hours; for silence what was expected since it began.
        learning_ms: How long a series is looked at before it may alert.
        members: What is looked at.
    """

    alert_budget_per_week: float = 1.0
    min_excess_usd: float = 0.0
    learning_ms: int = 3 * 86_400_000
    members: frozenset[Signal] = frozenset(SIGNALS)


class Observation(NamedTuple):
    """What is to be said about a slot.

    Attributes:
        start_ms: Begin of the slot, milliseconds since the epoch.
        status: `learning` says nothing yet; `anomalous`: an episode is open.
        score: The highest evidence in units of the alert level, at least 0: 1 alerts. 0 while learning and in
            windows in which it is expected.
        signal: What the score is about.
        observed_usd: What the slot cost.
        expected_usd: What was expected of it.
        band_low_usd: The least that its hour of day has cost in a week, for a slot.
        band_high_usd: What would have alerted in this slot.
        excess_usd: What the open episode has cost beyond what was expected; 0 outside of one, below 0 in
            silence.
        episode_start_ms: Begin of the open episode; None outside of one.
        ignored: Whether the slot was passed over, since it is not later than the last one.
    """

    start_ms: int
    status: Status
    score: float
    signal: Signal
    observed_usd: float
    expected_usd: float
    band_low_usd: float
    band_high_usd: float
    excess_usd: float
    episode_start_ms: int | None
    ignored: bool = False


class _Reading(NamedTuple):
    """What the members say about a slot: see `Observation`, and the evidence that may alert."""

    score: float
    evidence: float
    signal: Signal
    expected_usd: float
    low_usd: float = 0.0


class _Part(Protocol):
    """Has a state."""

    def pack(self, packer: Packer) -> None: ...

    def unpack(self, unpacker: Unpacker) -> None: ...


class SeriesMonitor:
    """Watches one series slot by slot; the same slots lead to the same words.

    Slots come in order. Missing ones were empty; one that is not later than the last is ignored. While an
    episode is open its slots are held aside; when it ends, or has lasted for twelve hours, they become usual.
    Windows that are excluded or expected never do.

    Args:
        settings: How easily it alerts.
        series: Names the series; ids of episodes are made of it.
    """

    def __init__(self, settings: Sensitivity, series: str = "") -> None:
        self._settings = settings
        self._series = series
        self._reset()

    def _reset(self) -> None:
        """Nothing is known."""
        self._spend, self._unit, self._silence = SpendDetector(), UnitCostDetector(), SilenceDetector()
        self._level = AlertLevel(self._settings.alert_budget_per_week, self._settings.members)
        self._episodes = Episodes(self._series)
        self._onset = Onset()
        self._next_ms: int | None = None
        self._first_ms = 0
        self._active = 0
        self._excesses = [0.0] * (HOUR_SLOTS - 1)
        self._missing = 0.0
        self._excluded: list[tuple[int, int]] = []
        self._expected: list[tuple[int, int]] = []

    def observe(self, slot: Slot) -> Observation:
        """Scores a slot that is over, then learns it.

        Args:
            slot: One that starts later than all before; costs that are no amount of money count as 0.
        """
        slot = _clean(slot)
        upcoming = self._next_ms
        if upcoming is not None and abs(slot.start_ms - upcoming) > JUMP_MS:
            windows = self._excluded, self._expected
            self._reset()
            self._excluded, self._expected = windows
            upcoming = None
        if upcoming is None:
            if slot.cost_usd <= 0 and slot.requests <= 0:
                return self._told(slot, _Reading(0.0, 0.0, "spend", 0.0))
            upcoming = self._next_ms = self._first_ms = slot.start_ms
        if slot.start_ms < upcoming:
            return self._told(slot, self._read(slot, running=True))._replace(ignored=True)
        for start_ms in range(upcoming, slot.start_ms, SLOT_MS):
            self._take(Slot(start_ms))
        return self._take(slot)

    def peek(self, slot: Slot) -> Observation:
        """Scores a slot that is still running, and learns nothing; what is not there yet is no silence.

        Args:
            slot: What the slot has so far.
        """
        slot = _clean(slot)
        return self._told(slot, self._read(slot, running=True))

    def exclude(self, start_ms: int, end_ms: int) -> None:
        """Leaves a time out of what is usual, back in the past week and on in the future; it may alert there.

        Args:
            start_ms: Its begin, milliseconds since the epoch.
            end_ms: Its end, which is not part of it.
        """
        self._leave_out(self._excluded, start_ms, end_ms)

    def expect(self, start_ms: int, end_ms: int) -> None:
        """As `exclude`, and does not alert there.

        Args:
            start_ms: Its begin, milliseconds since the epoch.
            end_ms: Its end, which is not part of it.
        """
        self._leave_out(self._expected, start_ms, end_ms)

    def episodes(self) -> tuple[Episode, ...]:
        """The last episodes in order of time; an open one is the last. At most nine."""
        return self._episodes.known()

    def _parts(self) -> tuple[_Part, ...]:
        """All that has a state, in the order in which it is written."""
        return self._spend, self._unit, self._silence, self._level, self._episodes, self._onset

    def _leave_out(self, windows: list[tuple[int, int]], start_ms: int, end_ms: int) -> None:
        if end_ms <= start_ms:
            return
        windows.append((start_ms, end_ms))
        windows.sort(key=lambda one: (one[1], one[0]))
        del windows[:-WINDOWS_MAX]
        first, last = start_ms // HOUR_MS, (end_ms - 1) // HOUR_MS
        for member in (self._spend, self._unit, self._silence):
            member.leave_out(first, last)
        self._level.leave_out(start_ms, end_ms)

    def _take(self, slot: Slot) -> Observation:
        """Scores and learns the next slot."""
        at_ms = slot.start_ms
        episodes = self._episodes
        if episodes.is_over(at_ms):
            self._settle(at_ms)
        reading = self._read(slot)
        is_expected = bool(self._expected) and _within(self._expected, at_ms)
        left_out = is_expected or (bool(self._excluded) and _within(self._excluded, at_ms))
        if self._learnt(at_ms) and not left_out:
            self._level.see(at_ms, reading.evidence)
        unusual = reading.score >= 1
        if unusual and not episodes.is_open:
            began_ms, observed, expected = self._onset.before(slot, reading.signal)
            if reading.signal == "silence":
                began_ms, expected = at_ms - self._silence.run * SLOT_MS, self._missing
            episodes.begin(began_ms, reading.signal, observed, expected)
        if episodes.is_open:
            usual = (
                self._unit.usual_usd(slot) if episodes.signal == "cost_per_request" else reading.expected_usd
            )
            episodes.add(at_ms, reading.score, slot.cost_usd, usual, unusual=unusual)
            episodes.slots += not left_out
        if left_out:
            self._onset.clear()
        else:
            self._onset.see(slot.cost_usd, reading.expected_usd, self._unit.usual_usd(slot))
        told = self._told(slot, reading)
        self._learn(slot, reading, left_out=left_out)
        if episodes.is_open and episodes.slots >= LASTING_SLOTS:
            self._accept(at_ms + SLOT_MS)
        if is_expected and self._silence.run:
            self._silence.forgive()
        return told

    def _learn(self, slot: Slot, reading: _Reading, *, left_out: bool) -> None:
        """Lets the members learn a slot."""
        mode = Learning.HELD if self._episodes.is_open else Learning.USUAL
        mode = Learning.LEFT_OUT if left_out else mode
        for member in (self._spend, self._unit, self._silence):
            member.learning = mode
            member.learn_one(slot)
        active = slot.requests > 0 or slot.cost_usd > 0
        self._active = min(self._active + active, ACTIVE_MIN)
        self._missing = 0.0 if active else self._missing + reading.expected_usd
        self._excesses.append(slot.cost_usd - reading.expected_usd)
        del self._excesses[0]
        self._next_ms = slot.start_ms + SLOT_MS
        if slot.start_ms % HOUR_MS == 0 and not self._episodes.is_open:
            self._level.settle(slot.start_ms)

    def _settle(self, at_ms: int) -> None:
        """Ends the open episode: its slots are usual from now on, where they are not left out."""
        self._episodes.end()
        for member in (self._spend, self._unit, self._silence):
            member.settle()
        self._level.settle(at_ms)

    def _accept(self, at_ms: int) -> None:
        """What has lasted for so long is the new level."""
        if self._episodes.signal == "cost_per_request":
            self._unit.forget_before(self._episodes.start_ms // HOUR_MS)
        if self._silence.run:
            self._silence.forgive()
        self._onset.clear()
        self._settle(at_ms)

    def _learnt(self, at_ms: int) -> bool:
        """Whether the series may alert."""
        learning_ms = self._settings.learning_ms
        return at_ms - self._first_ms >= learning_ms and self._active >= min(
            ACTIVE_MIN, learning_ms // SLOT_MS
        )

    def _read(self, slot: Slot, *, running: bool = False) -> _Reading:
        """What the members say about a slot, and whether enough money is at stake."""
        expected, low = self._spend.expected_usd(slot)
        best = _Reading(0.0, 0.0, "spend", expected, low)
        if self._next_ms is None:
            return best
        excess = slot.cost_usd - expected
        members = self._settings.members
        said: list[tuple[float, float, Signal]] = []
        if "spend" in members:
            said.append((self._spend.score_one(slot), max(excess, excess + sum(self._excesses)), "spend"))
        if "cost_per_request" in members:
            said.append((self._unit.score_one(slot), self._unit.stake_usd, "cost_per_request"))
        if "silence" in members and not running:
            said.append((self._silence.score_one(slot), self._missing + expected, "silence"))
        if not self._learnt(slot.start_ms) or (self._expected and _within(self._expected, slot.start_ms)):
            return best
        level, gate = self._level.level, self._settings.min_excess_usd
        for evidence, money, signal in said:
            score = evidence / level
            if score > best.score and gate > 0 and money < gate:
                score = min(score, 0.99 * max(0.0, money) / gate)
                evidence = 0.0  # noqa: PLW2901 - what may not alert is no false alert
            if score > best.score:
                best = _Reading(score, max(evidence, best.evidence), signal, expected, low)
        return best

    def _told(self, slot: Slot, reading: _Reading) -> Observation:
        """A reading in the words of an observation."""
        episodes = self._episodes
        learnt = self._next_ms is not None and self._learnt(slot.start_ms)
        status: Status = "anomalous" if episodes.is_open else "ok" if learnt else "learning"
        high = max(reading.low_usd, self._spend.limit_usd(self._level.level))
        return Observation(
            slot.start_ms, status, reading.score, reading.signal, slot.cost_usd, reading.expected_usd,
            reading.low_usd, high, episodes.excess_usd, episodes.start_ms if episodes.is_open else None,
        )  # fmt: skip

    def state(self) -> bytes:
        """All that is known, in at most 10 kB; `restore` goes on from it."""
        packer = Packer()
        packer.put("I", (_VERSION,))
        upcoming = -1 if self._next_ms is None else self._next_ms
        packer.put("q", (upcoming, self._first_ms, self._active))
        packer.put("d", (*self._excesses, self._missing))
        for windows in (self._excluded, self._expected):
            packer.put("q", (bound for window in windows for bound in window))
        for part in self._parts():
            part.pack(packer)
        return packer.packed()

    @classmethod
    def restore(cls, state: bytes, settings: Sensitivity, series: str = "") -> Self:
        """Goes on from what `state` gave, with settings that may be others.

        Raises:
            BrokenStateError: The bytes are no such state, or another version's: start anew and learn from
            the ledger.
        """
        self = cls(settings, series)
        unpacker = Unpacker(state)
        if unpacker.integers("I") != (_VERSION,):
            raise BrokenStateError(
                "the state of a detector is of another version: start it anew from the ledger"
            )
        try:
            upcoming, self._first_ms, self._active = unpacker.integers("q", 3)
            self._next_ms = None if upcoming < 0 else upcoming
            *self._excesses, self._missing = unpacker.take("d", HOUR_SLOTS)
            for windows in (self._excluded, self._expected):
                bounds = unpacker.integers("q")
                windows.extend(zip(bounds[::2], bounds[1::2], strict=True))
            for part in self._parts():
                part.unpack(unpacker)
        except (IndexError, OverflowError) as error:
            raise BrokenStateError(
                "the state of a detector makes no sense: start it anew from the ledger"
            ) from error
        unpacker.end()
        return self


def _clean(slot: Slot) -> Slot:
    """A slot whose figures are money and counts; what is none counts as 0."""
    start_ms = slot_start(slot.start_ms)
    cost = slot.cost_usd if 0 <= slot.cost_usd <= COST_MAX and math.isfinite(slot.cost_usd) else 0.0
    requests = slot.requests if 0 <= slot.requests <= COUNT_MAX else 0
    return Slot(start_ms, cost, requests) if (start_ms, cost, requests) != slot[:3] else slot


def _within(windows: list[tuple[int, int]], at_ms: int) -> bool:
    """Whether a slot that starts now overlaps a window."""
    return any(start - SLOT_MS < at_ms < end for start, end in windows)
