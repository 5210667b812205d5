"""One signal of one series, watched: its score, what was expected, and whether somebody should look."""

from array import array
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final, Literal, NamedTuple, Self

from spanbudget.rules.anomalies.general.alert_level import AlertLevel
from spanbudget.rules.anomalies.general.band import Band, Range
from spanbudget.rules.anomalies.general.episode import MERGED_MS, EpisodeClock
from spanbudget.rules.anomalies.general.history import KEPT, History
from spanbudget.rules.anomalies.general.marks import Marks
from spanbudget.rules.anomalies.general.rates import Pool
from spanbudget.rules.anomalies.general.recipe import GeneralRecipe, LightRecipe
from spanbudget.rules.anomalies.general.shift_scores import Tuning
from spanbudget.rules.anomalies.general.signals import SIGNALS, Part, SignalName
from spanbudget.rules.anomalies.packing import BrokenStateError, Packer, Unpacker
from spanbudget.rules.anomalies.slots import DAY_SLOTS, SLOT_MS, Slot

JUMP_MS: Final = 14 * DAY_SLOTS * SLOT_MS
"""A clock that is 14 days from the last slot, forward or back, was set anew; so is then what was learned."""
POINTS_MIN: Final = 216
"""Values that the learning takes at least, half of those of 3 full days: an idle series learns for longer."""
RECENT: Final = 4
"""Values whose mean must differ enough from what was expected, 40 minutes of a busy series."""
BELOW_ALERT: Final = 0.99
"""Highest score of what is unusual, but is not told."""
_VERSION: Final = 1
_NUMBER_OF: Final[dict[SignalName, int]] = {"latency": 1, "error_rate": 2, "tokens": 3}

Status = Literal["learning", "ok", "anomalous"]
STATUSES: Final[tuple[Status, ...]] = ("learning", "ok", "anomalous")
"""All there are."""


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """How one signal is watched.

    Attributes:
        alert_budget_per_week: Episodes a week that somebody wants to be told of at most, above 0.
        min_requests: Calls of a value, at least 1; slots with fewer are pooled for up to an hour.
        learning_ms: Time in which nothing is told, milliseconds; at least `POINTS_MIN` values in any case.
        recipe: `general`, or `light` for half of the time and of the memory.

    Raises:
        ValueError: A setting is out of its range.
    """

    alert_budget_per_week: float = 1.0
    min_requests: int = 20
    learning_ms: int = 3 * DAY_SLOTS * SLOT_MS
    recipe: Literal["general", "light"] = "general"

    def __post_init__(self) -> None:
        if not 0 < self.alert_budget_per_week < inf:
            raise ValueError("alert_budget_per_week must be a number above 0")
        if self.min_requests < 1:
            raise ValueError("min_requests must be at least 1")
        if self.learning_ms < 0:
            raise ValueError("learning_ms must be at least 0")


class SignalObservation(NamedTuple):
    """What is known of the signal after a slot.

    Attributes:
        start_ms: Begin of the slot, milliseconds since the epoch.
        signal: The signal.
        status: `learning` says nothing yet; `anomalous`: an episode is open.
        score: 0 while learning, else how unusual the signal is; 1 is the alert level.
        observed: Its value: seconds per call, failed calls / calls, or tokens per call; None in a slot that
            does not complete one. The score is then that of the last value, for 6 hours.
        expected: What was expected, in the same unit; None as long as that is not known.
        band_low: Low end of where 98 % of the values are.
        band_high: High end of it.
        episode_start_ms: Begin of the open episode, which ends 6 hours after its last score of 1, or None.
        ignored: Whether the slot was passed over, since it is not later than the last one.
    """

    start_ms: int
    signal: SignalName
    status: Status = "learning"
    score: float = 0.0
    observed: float | None = None
    expected: float | None = None
    band_low: float | None = None
    band_high: float | None = None
    episode_start_ms: int | None = None
    ignored: bool = False


class SignalMonitor:
    """Watches one signal of one series of slots.

    Slots come in order; missing ones are slots without calls. A slot without enough calls, alone or with
    those of the hour before it, has no value, so that a series that is idle neither alarms nor learns. A
    clock that jumps by more than `JUMP_MS` starts the learning anew.

    The level of an alarm calibrates itself to the alert budget. A change that lasts becomes usual in the end:
    what is not marked is learned.

    Args:
        signal: What is watched.
        settings: How.
    """

    def __init__(self, signal: SignalName, settings: SignalSettings | None = None) -> None:
        self.signal: Final[SignalName] = signal
        self._settings = settings or SignalSettings()
        self._marks = Marks()
        self._start_anew()

    def _start_anew(self) -> None:
        """Forgets everything but the marks."""
        self._pool = Pool(self._settings.min_requests)
        self._history = History()
        self._level = AlertLevel(self._settings.alert_budget_per_week)
        self._episode = EpisodeClock()
        self._first_ms: int | None = None
        self._observation: SignalObservation | None = None
        self._value_ms = 0
        self._stale = False
        self._forget_usual()

    def _forget_usual(self) -> None:
        self._recipe = self._new_recipe()
        self._band = Band()

    def _tuning(self) -> Tuning:
        signal = SIGNALS[self.signal]
        return Tuning(SLOT_MS, KEPT, 0, signal.rises_only, signal.floor)

    def _new_recipe(self) -> LightRecipe:
        kind = GeneralRecipe if self._settings.recipe == "general" else LightRecipe
        return kind(self._tuning())

    def observe(self, slot: Slot) -> SignalObservation:
        """Scores a finished slot, then learns it.

        Args:
            slot: The slot after the last one; later ones may follow after a gap.
        """
        last = self._observation
        if last is not None:
            if abs(slot.start_ms - last.start_ms) > JUMP_MS:
                self._start_anew()
                last = None
            elif slot.start_ms <= last.start_ms:
                return last._replace(ignored=True)
        if self._first_ms is None:
            self._first_ms = slot.start_ms
        if self._stale:
            self._relearn()
        pooled = self._pool.add(slot.start_ms, SIGNALS[self.signal].part(slot))
        made = self._without_value(slot.start_ms) if pooled is None else self._with(slot.start_ms, pooled)
        self._observation = made
        return made

    def _with(self, at_ms: int, pooled: Part) -> SignalObservation:
        """The observation of a slot that completes a value, which is learned."""
        signal = SIGNALS[self.signal]
        value = array("f", [signal.scaled(pooled)])[0]  # as it is stored
        usual = self._band.around(self._recipe.usual(at_ms))
        level = self._recipe.level_one(value, at_ms) if self._matters(value, usual, pooled.calls) else 0.0
        quiet = self._is_learning(at_ms) or self._marks.silences(at_ms)
        score = 0.0 if quiet else level / self._level.level
        if score >= 1 and not self._episode.tells(at_ms):
            score = BELOW_ALERT
        if not self._marks.leaves_out(at_ms):
            self._level.record(at_ms, level)
            self._learn(at_ms, value)
        self._value_ms = at_ms
        expected, low, high = (
            None if isnan(scaled) else signal.unscaled(scaled, pooled.calls)
            for scaled in (usual.expected, usual.low, usual.high)
        )
        return SignalObservation(
            at_ms,
            self.signal,
            self._status(at_ms),
            score,
            pooled.total / pooled.calls,
            expected,
            low,
            high,
            self._episode.start_ms(at_ms),
        )

    def _without_value(self, at_ms: int) -> SignalObservation:
        """The last observation goes on for a while: no calls are no all-clear."""
        last = self._observation
        if last is None:
            return SignalObservation(at_ms, self.signal)
        over = at_ms >= self._value_ms + MERGED_MS or self._marks.silences(at_ms)
        return last._replace(
            start_ms=at_ms,
            status=self._status(at_ms),
            score=0.0 if over else last.score,
            observed=None,
            episode_start_ms=self._episode.start_ms(at_ms),
        )

    def _status(self, at_ms: int) -> Status:
        if self._is_learning(at_ms):
            return "learning"
        return "ok" if self._episode.start_ms(at_ms) is None else "anomalous"

    def _is_learning(self, at_ms: int) -> bool:
        begun = at_ms if self._first_ms is None else self._first_ms
        return at_ms - begun < self._settings.learning_ms or len(self._history) < POINTS_MIN

    def _matters(self, value: float, usual: Range, count: int) -> bool:
        """Whether the last values, this one among them, differ by enough from what was expected."""
        if isnan(usual.expected):
            return False
        signal = SIGNALS[self.signal]
        recent = [*self._history.last(RECENT - 1), value]
        expected = signal.unscaled(usual.expected, count)
        change = signal.unscaled(sum(recent) / len(recent), count) - expected
        least = max(signal.least_change, signal.least_part * expected)
        return (change if signal.rises_only else abs(change)) >= least

    def _learn(self, at_ms: int, value: float) -> None:
        """Makes a value a part of what is usual."""
        self._band.learn(value, self._recipe.usual(at_ms))
        self._recipe.learn_one(value, at_ms)
        self._history.append(at_ms, value)

    def _relearn(self) -> None:
        """Learns what is kept anew, without the marked times."""
        self._stale = False
        kept = [
            (at_ms, value) for at_ms, value in self._history.points() if not self._marks.leaves_out(at_ms)
        ]
        self._history = History()
        self._forget_usual()
        for at_ms, value in kept:
            self._learn(at_ms, value)

    def exclude(self, start_ms: int, end_ms: int) -> None:
        """Leaves a time out of what is usual: an incident that somebody confirmed.

        Slots of it that were learned are forgotten by learning the last `KEPT` values anew before the next
        slot, which takes up to half a second; later ones are scored, but not learned.

        Args:
            start_ms: Begin, milliseconds since the epoch.
            end_ms: End of the half-open time, in the past or the future.
        """
        self._mark(start_ms, end_ms, silent=False)

    def expect(self, start_ms: int, end_ms: int) -> None:
        """As `exclude`, and nothing is told in that time: its score is 0."""
        self._mark(start_ms, end_ms, silent=True)

    def _mark(self, start_ms: int, end_ms: int, *, silent: bool) -> None:
        self._marks.add(start_ms, end_ms, silent=silent)
        self._level.drop(start_ms, end_ms)
        self._stale |= any(self._marks.leaves_out(at_ms) for at_ms, _ in self._history.points())

    def state(self) -> bytes:
        """What `restore` needs to go on as if nothing had been stopped; 200 kB at most."""
        if self._stale:
            self._relearn()
        packer = Packer()
        packer.put("I", (_VERSION, _NUMBER_OF[self.signal], self._recipe.KIND))
        packer.put("q", (self._value_ms, *(() if self._first_ms is None else (self._first_ms,))))
        for part in (self._history, self._marks, self._pool, self._level, self._episode, self._band):
            part.pack(packer)
        packer.put("B", self._recipe.state())
        self._pack_observation(packer)
        return packer.packed()

    def _pack_observation(self, packer: Packer) -> None:
        last = self._observation
        if last is None:
            packer.put("d", ())
            return
        numbers = (last.score, last.observed, last.expected, last.band_low, last.band_high)
        packer.put("d", (nan if number is None else number for number in numbers))
        packer.put("q", (last.start_ms, STATUSES.index(last.status)))

    @classmethod
    def restore(cls, state: bytes, signal: SignalName, settings: SignalSettings | None = None) -> Self:
        """The monitor that `state` was taken of.

        Args:
            state: What `state` gave.
            signal: What that monitor watches.
            settings: Of the same recipe; what else is different holds from now on.

        Raises:
            BrokenStateError: It is the state of another version, signal or recipe, or damaged. A new monitor
                that is given the slots of the ledger takes its place.
        """
        made = cls(signal, settings)
        unpacker = Unpacker(state)
        marks = unpacker.integers("I", 3)
        if marks != (_VERSION, _NUMBER_OF[signal], made._recipe.KIND):
            raise BrokenStateError("the state is of another signal, recipe or version: start it anew")
        made._value_ms, *first = unpacker.integers("q")
        made._first_ms = first[0] if first else None
        for part in (made._history, made._marks, made._pool, made._level, made._episode, made._band):
            part.unpack(unpacker)
        made._recipe = type(made._recipe).restore(bytes(unpacker.integers("B")), made._tuning())
        made._unpack_observation(unpacker)
        unpacker.end()
        return made

    def _unpack_observation(self, unpacker: Unpacker) -> None:
        numbers = [None if isnan(number) else number for number in unpacker.take("d")]
        if not numbers:
            return
        score, observed, expected, low, high = numbers
        at_ms, status = unpacker.integers("q", 2)
        self._observation = SignalObservation(
            at_ms, self.signal, STATUSES[status], score or 0.0, observed, expected, low, high,
            self._episode.start_ms(at_ms),
        )  # fmt: skip
