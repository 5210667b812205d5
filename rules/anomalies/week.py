"""The last seven days of a figure, an hour each: what detectors call usual."""

import math
from array import array
from enum import IntEnum
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker

HOUR_MS: Final = 3_600_000
WEEK_HOURS: Final = 168
"""Seven days: every hour of a weekly rhythm once."""
DAY_HOURS: Final = 24


class Learning(IntEnum):
    """What becomes of a slot, or of an hour with such slots; the highest of an hour's slots decides.

    Attributes:
        USUAL: It is part of what is usual.
        HELD: It belongs to an open episode: set aside until that ends.
        LEFT_OUT: It is never part of what is usual.
    """

    USUAL = 0
    HELD = 1
    LEFT_OUT = 2


class Week:
    """One figure for each of the last 168 hours, rounded to 32 bits as it is stored.

    Hours are counted from the epoch, and come without gaps and in order.

    Args:
        unknown: What stands for hours of which nothing usual is known.

    Attributes:
        values: The figures, at the number of the hour modulo 168.
    """

    __slots__ = ("_held", "_unknown", "values")

    def __init__(self, unknown: float = math.nan) -> None:
        self.values = array("f", (unknown,)) * WEEK_HOURS
        self._unknown = unknown
        self._held: dict[int, float] = {}

    def put(self, hour: int, figure: float, learning: Learning) -> None:
        """Takes the figure of an hour, which replaces that of a week before."""
        self.values[hour % WEEK_HOURS] = figure if learning == Learning.USUAL else self._unknown
        self._held.pop(hour - WEEK_HOURS, None)
        if learning == Learning.HELD:
            self._held[hour] = figure

    def known(self) -> list[float]:
        """The figures of the hours that are usual, in no order of time; for weeks whose unknown is NaN."""
        return [figure for figure in self.values if figure == figure]  # noqa: PLR0124 - NaN differs from itself

    def at_hour_of_day(self, hour: int) -> list[float]:
        """The known figures of the same hour of each day, at most seven; for weeks whose unknown is NaN."""
        return [figure for figure in self.values[hour % DAY_HOURS :: DAY_HOURS] if figure == figure]  # noqa: PLR0124

    def release(self) -> None:
        """What was held becomes usual."""
        for hour, figure in self._held.items():
            self.values[hour % WEEK_HOURS] = figure
        self._held.clear()

    def leave_out(self, first: int, last: int, now: int) -> None:
        """Forgets hours.

        Args:
            first: The first of them.
            last: The last of them.
            now: The hour that was put last.
        """
        for hour in range(max(first, now - WEEK_HOURS + 1), min(last, now) + 1):
            self.values[hour % WEEK_HOURS] = self._unknown
            self._held.pop(hour, None)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("f", self.values)
        packer.put("q", self._held)
        packer.put("f", self._held.values())

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self.values = array("f", unpacker.take("f", WEEK_HOURS))
        hours = unpacker.integers("q")
        self._held = dict(zip(hours, unpacker.take("f", len(hours)), strict=True))
