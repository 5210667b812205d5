"""What is usual at a time of day: an exponentially weighted level per part of the day."""

from array import array
from math import isnan, nan
from typing import Final, NamedTuple

from spanbudget.rules.anomalies.packing import Packer, Unpacker

DAY_MS: Final = 86_400_000
"""Milliseconds of a day in UTC."""
BINS_MAX: Final = 288
"""Most parts of a day, of 5 minutes each: finer ones take longer to fill than they tell."""
ALPHA: Final = 0.25
"""Weight of the newest day in the level of a part of the day: half of a level is from its last 2.4 days."""
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday, where Monday is 0."""
_SATURDAY: Final = 5


class Usual(NamedTuple):
    """What is usual at one moment.

    Attributes:
        part: The part of the day.
        split_part: The part of the day, where Saturday and Sunday have parts of their own.
        level: The level of the part on all days; nan before the first point.
        split_level: The level of the part on days of its kind.
    """

    part: int
    split_part: int
    level: float
    split_level: float


class DayLevels:
    """The levels of the parts of the day, in UTC: over all days, and apart for weekdays and weekends.

    A part that was not seen yet has the level of the last points, whatever their time.

    Args:
        slot_ms: Distance of points, milliseconds; a part of the day is as long, or 1/288 of a day if longer.
    """

    __slots__ = ("_bins", "_latest", "_levels", "_split_levels")

    def __init__(self, slot_ms: int) -> None:
        self._bins = max(1, min(BINS_MAX, DAY_MS // max(1, slot_ms)))
        self._levels = array("f", [nan]) * self._bins
        self._split_levels = array("f", [nan]) * (2 * self._bins)
        self._latest = nan

    def usual(self, at_ms: int) -> Usual:
        """What is usual at a moment."""
        day, within = divmod(at_ms, DAY_MS)
        part = split_part = within * self._bins // DAY_MS
        if (day + _EPOCH_WEEKDAY) % 7 >= _SATURDAY:
            split_part += self._bins
        level, split_level = self._levels[part], self._split_levels[split_part]
        return Usual(
            part,
            split_part,
            self._latest if isnan(level) else level,
            self._latest if isnan(split_level) else split_level,
        )

    def learn(self, value: float, usual: Usual) -> None:
        """Takes a finite value of the moment that `usual` was asked for."""
        level, split_level = self._levels[usual.part], self._split_levels[usual.split_part]
        self._levels[usual.part] = value if isnan(level) else level + ALPHA * (value - level)
        self._split_levels[usual.split_part] = (
            value if isnan(split_level) else split_level + ALPHA * (value - split_level)
        )
        latest = self._latest
        self._latest = value if isnan(latest) else latest + ALPHA * (value - latest)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("d", (self._latest,))
        packer.put("f", self._levels)
        packer.put("f", self._split_levels)

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote for the same parts of the day."""
        (self._latest,) = unpacker.take("d", 1)
        self._levels = array("f", unpacker.take("f", len(self._levels)))
        self._split_levels = array("f", unpacker.take("f", len(self._split_levels)))
