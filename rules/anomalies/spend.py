"""Spend beyond what the last seven days have seen: the detector of loops, retry storms and jumps."""

import math
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, Slot
from spanbudget.rules.anomalies.week import DAY_HOURS, HOUR_MS, Learning, Week

HOUR_UNIT: Final = 0.3
"""Evidence 1 is an hour so far above the dearest hour of the week, in logarithms: 1.35 times. The development
series of the benchmark, of busy and of sparse tenants, had half an alert per series and week there."""
SLOT_UNIT: Final = 0.6
"""The same for ten minutes, which scatter about twice as much as hours: 1.82 times."""
POWER: Final = 1 / 3
"""Evidence is this power of the distance: spend has a heavy tail, twice the distance is little rarer."""


class SpendDetector:
    """Compares ten minutes and the hour that ends with them to the maximum of the last seven days.

    Hours count to the maximum from one hour (slots) or two (hour sums) after their end on, so that what has
    just begun is not its own measure. Source: the trailing maximum was the best single detector of LLM spend
    at equal noise; without a decay inside the week it finds more than with one, and dividing by how much the
    daily maxima scatter blinds it to sparse series.

    Attributes:
        learning: What becomes of the slots that are learnt next.
    """

    __slots__ = (
        "_cost", "_cost_now", "_expected", "_hour", "_hours", "_late", "_mode", "_slots", "_tail",
        "_top_hour", "_top_hour_now", "_top_slot", "_top_slot_now", "learning",
    )  # fmt: skip

    def __init__(self) -> None:
        self.learning = Learning.USUAL
        self._slots, self._hours, self._cost = Week(0.0), Week(0.0), Week()
        self._tail = [0.0] * (HOUR_SLOTS - 1)
        self._hour: int | None = None
        self._mode = Learning.USUAL
        self._top_slot_now = self._top_hour_now = self._cost_now = 0.0
        self._late: tuple[float, Learning] = (0.0, Learning.LEFT_OUT)
        self._top_slot = self._top_hour = 0.0
        self._expected: dict[int, tuple[float, float]] = {}

    def score_one(self, slot: Slot) -> float:
        """How far a slot, or the hour that ends with it, is above the week; 0 within it, 1 may alert."""
        if slot.cost_usd <= 0 or self._top_slot <= 0 or self._top_hour <= 0:
            return 0.0
        hour = math.log((slot.cost_usd + sum(self._tail)) / self._top_hour) / HOUR_UNIT
        ten = math.log(slot.cost_usd / self._top_slot) / SLOT_UNIT
        return math.pow(max(0.0, hour, ten), POWER)

    def learn_one(self, slot: Slot) -> None:
        """Takes a slot in; slots come without gaps and in order."""
        hour = slot.start_ms // HOUR_MS
        if hour != self._hour:
            self._close(hour)
        cost = slot.cost_usd
        total = cost + sum(self._tail)
        self._tail.append(cost)
        del self._tail[0]
        self._top_slot_now = max(self._top_slot_now, cost)
        self._top_hour_now = max(self._top_hour_now, total)
        self._cost_now += cost
        self._mode = max(self._mode, self.learning)

    def expected_usd(self, slot: Slot) -> tuple[float, float]:
        """What a slot is expected to cost, and the least that its hour of day cost in the week, for a slot.

        Expected is the mean over the week of its hour of day and the hours beside it.
        """
        hour = slot.start_ms // HOUR_MS % DAY_HOURS
        found = self._expected.get(hour)
        if found is None:
            days = self._cost.at_hour_of_day(hour)
            near = days + self._cost.at_hour_of_day(hour - 1) + self._cost.at_hour_of_day(hour + 1)
            near = near or self._cost.known()
            usual = sum(near) / len(near) / HOUR_SLOTS if near else 0.0
            found = self._expected[hour] = usual, min(days, default=0.0) / HOUR_SLOTS
        return found

    def limit_usd(self, level: float) -> float:
        """What reaches the evidence `level` in the next slot; 0 while nothing is known."""
        if self._top_slot <= 0 or self._top_hour <= 0:
            return 0.0
        steps = min(level ** (1 / POWER), 50.0)
        ten = self._top_slot * math.exp(SLOT_UNIT * steps)
        hour = self._top_hour * math.exp(HOUR_UNIT * steps) - sum(self._tail)
        return max(0.0, min(ten, hour))

    def settle(self) -> None:
        """The episode is over: what was held aside is usual from now on."""
        if self._mode == Learning.HELD:
            self._mode = Learning.USUAL
        if self._late[1] == Learning.HELD:
            self._late = (self._late[0], Learning.USUAL)
        for week in (self._slots, self._hours, self._cost):
            week.release()
        self._derive()

    def leave_out(self, first: int, last: int) -> None:
        """Hours, counted from the epoch, that are not usual."""
        if self._hour is None:
            return
        for week in (self._slots, self._hours, self._cost):
            week.leave_out(first, last, self._hour - 1)
        if first <= self._hour <= last:
            self._mode = Learning.LEFT_OUT
        if first <= self._hour - 1 <= last:
            self._late = (0.0, Learning.LEFT_OUT)
        self._derive()

    def _close(self, hour: int) -> None:
        """Books the hour that is over."""
        if self._hour is not None:
            self._slots.put(self._hour, self._top_slot_now, self._mode)
            self._cost.put(self._hour, self._cost_now, self._mode)
            self._hours.put(self._hour - 1, *self._late)
            self._late = (self._top_hour_now, self._mode)
        self._hour, self._mode = hour, Learning.USUAL
        self._top_slot_now = self._top_hour_now = self._cost_now = 0.0
        self._derive()

    def _derive(self) -> None:
        """What the stored hours say together."""
        self._expected.clear()
        self._top_slot = max(self._slots.values)
        self._top_hour = max(self._hours.values)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        for week in (self._slots, self._hours, self._cost):
            week.pack(packer)
        packer.put("d", (*self._tail, self._top_slot_now, self._top_hour_now, self._cost_now, self._late[0]))
        packer.put("q", (-1 if self._hour is None else self._hour, self._mode, self._late[1]))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        for week in (self._slots, self._hours, self._cost):
            week.unpack(unpacker)
        *self._tail, self._top_slot_now, self._top_hour_now, self._cost_now, late = unpacker.take(
            "d", HOUR_SLOTS + 3
        )
        hour, mode, late_mode = unpacker.integers("q", 3)
        self._hour, self._mode, self._late = (
            (None if hour < 0 else hour),
            Learning(mode),
            (late, Learning(late_mode)),
        )
        self._derive()
