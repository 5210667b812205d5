"""Silence where there is usually traffic, by the likelihood of so many empty slots."""

import math
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.past_evidence import PastEvidence
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, Slot
from spanbudget.rules.anomalies.week import HOUR_MS, Learning, Week

UNIT: Final = 65.0
"""Evidence 1 in nats: two and a half hours of a series that never pauses, five of one that is there 9 times
in 10. Shorter holes were outages of the whole trace in the development series, several per week."""
POWER: Final = 2
"""Evidence is this power of the nats: runs of empty slots have a light tail, somewhat longer is much
rarer."""
PRESENCE_MAX: Final = 0.99
"""The presence in a slot is never held to be more certain: a week has 42 slots of an hour of the day."""
PRESENCE_MIN: Final = 0.7
"""Hours of the day with less presence say nothing: where traffic comes and goes, empty slots come in runs."""


class SilenceDetector:
    """Adds up -log(1 - p) over the empty slots of a run, p being the presence at that hour of day.

    What the week has already seen of such runs is taken off.

    Attributes:
        learning: What becomes of the slots that are learnt next.
        run: Empty slots so far, of the run that the learnt slots end with.
    """

    __slots__ = (
        "_active",
        "_count",
        "_hour",
        "_mode",
        "_muted",
        "_nats",
        "_past",
        "_presence",
        "learning",
        "run",
    )

    def __init__(self) -> None:
        self.learning = Learning.USUAL
        self.run = 0
        self._active = Week()
        self._past = PastEvidence()
        self._hour: int | None = None
        self._mode = Learning.USUAL
        self._count = 0
        self._nats = 0.0
        self._muted = False
        self._presence: float | None = None

    def score_one(self, slot: Slot) -> float:
        """How unlikely the empty slots are that end with this one; 1 is the prior alert level."""
        if slot.requests > 0 or slot.cost_usd > 0 or self._muted:
            return 0.0
        return self._past.beyond((self._nats + self._surprise(slot)) / UNIT) ** POWER

    def learn_one(self, slot: Slot) -> None:
        """Takes a slot in; slots come without gaps and in order."""
        hour = slot.start_ms // HOUR_MS
        if hour != self._hour:
            self._close(hour)
        if slot.requests > 0 or slot.cost_usd > 0:
            self._count += 1
            self.run, self._nats, self._muted = 0, 0.0, False
        else:
            self.run += 1
            self._nats += self._surprise(slot)
            if not self._muted:
                self._past.see(self._nats / UNIT)
        self._mode = max(self._mode, self.learning)

    def forgive(self) -> None:
        """The silence that lasts is expected: it says nothing until there is traffic again."""
        self.run, self._nats, self._muted = 0, 0.0, True

    def settle(self) -> None:
        """The episode is over: what was held aside is usual from now on."""
        if self._mode == Learning.HELD:
            self._mode = Learning.USUAL
        self._active.release()
        self._past.week.release()
        self._past.derive()

    def leave_out(self, first: int, last: int) -> None:
        """Hours, counted from the epoch, that are not usual."""
        if self._hour is None:
            return
        for week in (self._active, self._past.week):
            week.leave_out(first, last, self._hour - 1)
        if first <= self._hour <= last:
            self._mode = Learning.LEFT_OUT
        self._past.derive()

    def _surprise(self, slot: Slot) -> float:
        """Nats of one empty slot."""
        hour = slot.start_ms // HOUR_MS
        if self._presence is None or hour != self._hour:
            days = self._active.at_hour_of_day(hour)
            share = (sum(days) + 0.5) / (HOUR_SLOTS * len(days) + 1)
            nats = -math.log(1 - min(share, PRESENCE_MAX)) if share >= PRESENCE_MIN else 0.0
            if hour != self._hour:
                return nats
            self._presence = nats
        return self._presence

    def _close(self, hour: int) -> None:
        """Books the hour that is over."""
        if self._hour is not None:
            self._active.put(self._hour, self._count, self._mode)
            self._past.close(self._hour, self._mode)
        self._hour, self._mode, self._count = hour, Learning.USUAL, 0
        self._presence = None

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        self._active.pack(packer)
        self._past.pack(packer)
        packer.put("d", (self._nats,))
        hour = -1 if self._hour is None else self._hour
        packer.put("q", (hour, self._mode, self._count, self._muted, self.run))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._active.unpack(unpacker)
        self._past.unpack(unpacker)
        (self._nats,) = unpacker.take("d", 1)
        hour, mode, self._count, muted, self.run = unpacker.integers("q", 5)
        self._hour, self._mode, self._muted = (None if hour < 0 else hour), Learning(mode), bool(muted)
        self._presence = None
