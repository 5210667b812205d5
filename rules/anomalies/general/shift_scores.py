"""The four block-mean shifts of a series, in plain Python."""

from math import isnan
from typing import Final, NamedTuple

from spanbudget.rules.anomalies.general.block_shift import BlockShift, Shape
from spanbudget.rules.anomalies.general.seasonal import DayLevels, Usual
from spanbudget.rules.anomalies.packing import Packer, Unpacker

VALUE_MAX: Final = 1e30
"""Largest magnitude of a value: its 32-bit form, and the square of its 64-bit form, are still finite."""
CLIP: Final = 6.0
"""Most that one feature adds to the score: one that is infinite must not hide how many others agree."""
SCALES: Final = (6.2, 6.2, 6.7, 6.9)
"""Standard deviations that count as 1 in the score, of `ss4`, `sh20`, `sh36`, `ssw12`.

Source: chosen on the Numenta Anomaly Benchmark.
"""


class Tuning(NamedTuple):
    """What a recipe is told about its series.

    Attributes:
        slot_ms: Usual distance of points, milliseconds; it sets the parts of the day.
        past: Earlier block means that are kept, at least 108.
        rest: Points after an alarm in which there is no other; 0 for none.
        rises_only: Whether only what is above the usual counts.
        floor: Least standard deviation that block means are taken to have, in the unit of the values.
    """

    slot_ms: int = 600_000
    past: int = 4_000
    rest: int = 100
    rises_only: bool = False
    floor: float = 0.0


class Shifts(NamedTuple):
    """The features of one point, each 1 at about half of an alarm.

    Attributes:
        usual: What was usual at the moment of the point.
        residual: The value without the level of its time of day.
        split_residual: The same, where weekdays and weekends have levels of their own.
        features: `ss4`, `sh20`, `sh36` and `ssw12`, from 0 to `CLIP`.
    """

    usual: Usual
    residual: float
    split_residual: float
    features: list[float]


class ShiftScores:
    """The block-mean shifts of a series, raw (`sh`) and against the time of day (`ss`, `ssw`).

    Args:
        tuning: What is told about the series.
    """

    __slots__ = ("_levels", "_raw20", "_raw36", "_rises_only", "_split12", "_whole4")

    def __init__(self, tuning: Tuning) -> None:
        self._rises_only = tuning.rises_only
        self._levels = DayLevels(tuning.slot_ms)
        shapes = (Shape(block, tuning.past, tuning.floor) for block in (4, 20, 36, 12))
        self._whole4, self._raw20, self._raw36, self._split12 = map(BlockShift, shapes)

    def of(self, value: float, at_ms: int) -> Shifts:
        """The features of a point; the residuals of the first one are 0."""
        usual = self._levels.usual(at_ms)
        if isnan(usual.level):
            return Shifts(usual, 0.0, 0.0, [0.0] * len(SCALES))
        residual, split = value - usual.level, value - usual.split_level
        shifts = (
            self._whole4.shift(residual, usual.level) / SCALES[0],
            self._raw20.shift(value) / SCALES[1],
            self._raw36.shift(value) / SCALES[2],
            self._split12.shift(split, usual.split_level) / SCALES[3],
        )
        if self._rises_only:
            features = [shift if shift > 0 else 0.0 for shift in shifts]
        else:
            features = [abs(shift) for shift in shifts]
        if max(features) > CLIP:
            features = [min(feature, CLIP) for feature in features]
        return Shifts(usual, residual, split, features)

    def learn(self, value: float, shifts: Shifts) -> None:
        """Takes a point with its own features."""
        self._whole4.learn(shifts.residual)
        self._raw20.learn(value)
        self._raw36.learn(value)
        self._split12.learn(shifts.split_residual)
        self._levels.learn(value, shifts.usual)

    def usual(self, at_ms: int) -> float:
        """The level of the time of day; nan before the first point."""
        return self._levels.usual(at_ms).level

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        for part in (self._levels, self._whole4, self._raw20, self._raw36, self._split12):
            part.pack(packer)

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote under the same tuning."""
        for part in (self._levels, self._whole4, self._raw20, self._raw36, self._split12):
            part.unpack(unpacker)
