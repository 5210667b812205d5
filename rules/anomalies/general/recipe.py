"""The general recipe, whole and light: features of a series that are added up, and rest after an alarm."""

from typing import ClassVar, Final, NamedTuple, Self

from spanbudget.rules.anomalies.general.block_shift import BlockShift, Shape
from spanbudget.rules.anomalies.general.knn import NearestWindows
from spanbudget.rules.anomalies.general.shift_scores import CLIP, VALUE_MAX, Shifts, ShiftScores, Tuning
from spanbudget.rules.anomalies.general.tail import GeneralisedParetoTail
from spanbudget.rules.anomalies.packing import BrokenStateError, Packer, Unpacker

GENERAL_LEVEL: Final = 2.47
"""Sum of the six features at which there is an alarm. Source: chosen on the Numenta Anomaly Benchmark."""
LIGHT_LEVEL: Final = 1.6
"""Sum of the four shifts at which there is an alarm: about once a week on the series of the benchmark."""
SURPRISE_SCALE: Final = 2.3
"""Decimal digits of improbability that count as 1 in the score. Source: as of `GENERAL_LEVEL`."""
SHIFT_MAX: Final = 1e6
"""Largest shift whose surprise is told, in standard deviations: of a series that was 0, and then was not."""
_VERSION: Final = 1
"""Of the layout of a state."""


class _Judged(NamedTuple):
    """One point and what was found out about it, kept from its score to its learning."""

    value: float
    at_ms: int
    level: float
    shifts: Shifts
    more: tuple[float, ...]


class LightRecipe:
    """Four block-mean shifts: a few microseconds per point.

    The streaming form is `score_one`, then `learn_one`, for each point; a score sees no point after its own.
    A value that is not finite, or beyond `VALUE_MAX`, is no point: its score is 0 and nothing is learned.
    Only the time of day is read from `at_ms`, so that gaps, repeated times and clocks that jump do no harm.

    Args:
        tuning: What is told about the series.
    """

    KIND: ClassVar[int] = 1
    """What its state is marked with."""
    LEVEL: ClassVar[float] = LIGHT_LEVEL
    """Sum of the features that is the score 1."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        self._shifts = ShiftScores(self._tuning)
        self._resting = 0
        self._judged: _Judged | None = None

    def score_one(self, value: float, at_ms: int) -> float:
        """How unusual the point is; 1 is the alert level.

        Args:
            value: The value, in any unit.
            at_ms: When it was, milliseconds since the epoch.

        Returns:
            The score, from 0 to 15; 0 in the rest after an alarm, and before there are enough points.
        """
        return 0.0 if self._resting else self.level_one(value, at_ms)

    def level_one(self, value: float, at_ms: int) -> float:
        """The score as if there were no rest."""
        judged = self._judged
        if judged is not None and judged.value == value and judged.at_ms == at_ms:
            return judged.level
        if not -VALUE_MAX <= value <= VALUE_MAX:
            return 0.0
        return self._judge(value, at_ms).level

    def learn_one(self, value: float, at_ms: int) -> None:
        """Takes the point; one whose score is 1 or more, outside of a rest, begins a rest."""
        if not -VALUE_MAX <= value <= VALUE_MAX:
            return
        judged = self._judged
        if judged is None or judged.value != value or judged.at_ms != at_ms:
            judged = self._judge(value, at_ms)
        self._judged = None
        if self._resting:
            self._resting -= 1
        elif judged.level >= 1:
            self._resting = self._tuning.rest
        self._learn(judged)

    def usual(self, at_ms: int) -> float:
        """The level of the time of day; nan before the first point."""
        return self._shifts.usual(at_ms)

    def state(self) -> bytes:
        """What `restore` needs to go on as if nothing had been stopped; at most 150 kB by default."""
        packer = Packer()
        packer.put("I", (_VERSION, self.KIND, self._tuning.past, self._resting))
        self._pack(packer)
        return packer.packed()

    @classmethod
    def restore(cls, state: bytes, tuning: Tuning | None = None) -> Self:
        """The recipe that `state` was taken of.

        Args:
            state: What `state` gave.
            tuning: As it was given to that recipe.

        Raises:
            BrokenStateError: It is the state of another version, recipe or tuning, or damaged.
        """
        made = cls(tuning)
        unpacker = Unpacker(state)
        version, kind, past, resting = unpacker.integers("I", 4)
        if (version, kind, past) != (_VERSION, cls.KIND, made._tuning.past):
            raise BrokenStateError(
                "the state is of another detector or version: start it anew from the ledger"
            )
        made._resting = resting
        made._unpack(unpacker)
        unpacker.end()
        return made

    def _judge(self, value: float, at_ms: int) -> _Judged:
        """Finds out about a usable point, and remembers it."""
        shifts = self._shifts.of(value, at_ms)
        added, more = self._more(value, shifts)
        judged = _Judged(value, at_ms, (sum(shifts.features) + added) / self.LEVEL, shifts, more)
        self._judged = judged
        return judged

    def _more(self, value: float, shifts: Shifts) -> tuple[float, tuple[float, ...]]:  # noqa: ARG002 - none
        """What other features add to the sum, and what they are to learn."""
        return 0.0, ()

    def _learn(self, judged: _Judged) -> None:
        self._shifts.learn(judged.value, judged.shifts)

    def _pack(self, packer: Packer) -> None:
        self._shifts.pack(packer)

    def _unpack(self, unpacker: Unpacker) -> None:
        self._shifts.unpack(unpacker)


class GeneralRecipe(LightRecipe):
    """The light recipe with nearest neighbours, and with the surprise of two scores in their own tails.

    The score is (ss4 + sh20 + sh36 + ssw12 + kNN^ + ss12^) / `GENERAL_LEVEL`, where ^ is -log10 of the tail
    probability / `SURPRISE_SCALE`.
    Source: chosen on the Numenta Anomaly Benchmark.

    Args:
        tuning: What is told about the series.
    """

    KIND: ClassVar[int] = 2
    LEVEL: ClassVar[float] = GENERAL_LEVEL

    def __init__(self, tuning: Tuning | None = None) -> None:
        super().__init__(tuning)
        self._whole12 = BlockShift(Shape(12, self._tuning.past, self._tuning.floor))
        self._nearest = NearestWindows(self._tuning.floor)
        self._shift_tail = GeneralisedParetoTail()
        self._distance_tail = GeneralisedParetoTail()

    def _more(self, value: float, shifts: Shifts) -> tuple[float, tuple[float, ...]]:
        rises_only = self._tuning.rises_only
        shift = self._whole12.shift(shifts.residual, shifts.usual.level)
        shift = min(max(shift, 0.0) if rises_only else abs(shift), SHIFT_MAX)
        distance = self._nearest.distance(value)
        added = min(self._shift_tail.surprise(shift) / SURPRISE_SCALE, CLIP)
        if not rises_only or shifts.features[0] > 0:
            added += min(self._distance_tail.surprise(distance) / SURPRISE_SCALE, CLIP)
        return added, (shift, distance)

    def _learn(self, judged: _Judged) -> None:
        super()._learn(judged)
        self._whole12.learn(judged.shifts.residual)
        if self._nearest.ready:
            shift, distance = judged.more
            self._shift_tail.learn(shift)
            self._distance_tail.learn(distance)
        self._nearest.learn(judged.value)

    def _pack(self, packer: Packer) -> None:
        super()._pack(packer)
        for part in (self._whole12, self._nearest, self._shift_tail, self._distance_tail):
            part.pack(packer)

    def _unpack(self, unpacker: Unpacker) -> None:
        super()._unpack(unpacker)
        for part in (self._whole12, self._nearest, self._shift_tail, self._distance_tail):
            part.unpack(unpacker)
