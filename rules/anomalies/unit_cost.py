"""Cost per request that has risen: a dearer model, a growing prompt, more output."""

import math
from operator import mul
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.past_evidence import PastEvidence
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, Slot
from spanbudget.rules.anomalies.week import HOUR_MS, WEEK_HOURS, Learning, Week

FAST_SLOTS: Final = HOUR_SLOTS
"""The block that finds a jump: one hour."""
SLOW_SLOTS: Final = 4 * HOUR_SLOTS
"""The block that finds a slow rise: four hours."""
FAST_UNIT: Final = 1.2
"""Evidence 1 in standard deviations, for the hour; single hours scatter more than blocks of four."""
SLOW_UNIT: Final = 1.125
"""Evidence 1 in standard deviations, for four hours: 1.57 times the usual cost where hours are alike."""
SPREAD_FLOOR: Final = 0.4
"""Standard deviation of log cost per request, below which differences are everyday ones."""
CALL_VARIANCE: Final = 2.25
"""Variance of the cost of one request, as a multiple of its squared mean (a coefficient of variation of
1.5)."""
HOURS_MIN: Final = 12
"""Hours with requests before there is a usual cost."""
IMPACT: Final = 0.3
"""Share of a usual hour's spend that the excess of the last hour must reach for the evidence to count
fully."""

IMPACT_POWER: Final = 0.5
"""A quarter of that excess leaves half of the evidence."""


class UnitCostDetector:
    """Compares log cost per request, of one hour and of four, to the hours of the last seven days.

    Only rises count. Evidence counts fully where the last hour's excess is a fair share of what an hour
    usually costs, and what the week has already seen of such evidence is taken off.

    Attributes:
        learning: What becomes of the slots that are learnt next.
        stake_usd: The excess against the usual cost per request in the last four hours, of the slot scored
            last.
    """

    __slots__ = (
        "_costs", "_evidence", "_hour", "_hour_cost", "_hour_requests", "_mean", "_mode", "_past",
        "_requests", "_sd", "_seen", "_usual_hour", "_week", "learning", "stake_usd",
    )  # fmt: skip

    def __init__(self) -> None:
        self.learning = Learning.USUAL
        self.stake_usd = 0.0
        self._week = Week()
        self._past = PastEvidence()
        self._costs = [0.0] * (SLOW_SLOTS - 1)
        self._requests = [0] * (SLOW_SLOTS - 1)
        self._hour: int | None = None
        self._mode = Learning.USUAL
        self._hour_cost, self._hour_requests = 0.0, 0
        self._usual_hour, self._seen = 0.0, 0
        self._mean: float | None = None
        self._sd = self._evidence = 0.0

    def score_one(self, slot: Slot) -> float:
        """How far the cost per request is above the week's; 1 is the prior alert level."""
        self._evidence = self._deviation(slot)
        return self._past.beyond(self._evidence)

    def usual_usd(self, slot: Slot) -> float:
        """What the requests of a slot cost at the usual rate; its own cost while none is known."""
        return slot.cost_usd if self._mean is None else slot.requests * math.exp(self._mean)

    def learn_one(self, slot: Slot) -> None:
        """Takes a slot in, right after it was scored; slots come without gaps and in order."""
        hour = slot.start_ms // HOUR_MS
        if hour != self._hour:
            self._close(hour)
        self._past.see(self._evidence)
        self._costs.append(slot.cost_usd)
        self._requests.append(slot.requests)
        del self._costs[0], self._requests[0]
        self._hour_cost += slot.cost_usd
        self._hour_requests += slot.requests
        self._mode = max(self._mode, self.learning)

    def settle(self) -> None:
        """The episode is over: what was held aside is usual from now on."""
        if self._mode == Learning.HELD:
            self._mode = Learning.USUAL
        self._week.release()
        self._past.week.release()
        self._derive()

    def forget_before(self, hour: int) -> None:
        """A new level is there to stay: hours before this one are not usual any more."""
        if self._hour is not None:
            self._week.leave_out(self._hour - WEEK_HOURS, hour - 1, self._hour - 1)
            self._derive()

    def leave_out(self, first: int, last: int) -> None:
        """Hours, counted from the epoch, that are not usual."""
        if self._hour is None:
            return
        for week in (self._week, self._past.week):
            week.leave_out(first, last, self._hour - 1)
        if first <= self._hour <= last:
            self._mode = Learning.LEFT_OUT
        self._derive()

    def _deviation(self, slot: Slot) -> float:
        """The evidence before what the week has seen of it."""
        self.stake_usd = 0.0
        if self._mean is None or slot.requests <= 0 or slot.cost_usd <= 0:
            return 0.0
        costs, requests = self._costs, self._requests
        fast_cost = slot.cost_usd + sum(costs[1 - FAST_SLOTS :])
        fast_requests = slot.requests + sum(requests[1 - FAST_SLOTS :])
        usual = math.exp(self._mean)
        excess = fast_cost - fast_requests * usual
        if excess <= 0:
            return 0.0
        slow_cost, slow_requests = slot.cost_usd + sum(costs), slot.requests + sum(requests)
        self.stake_usd = max(excess, slow_cost - slow_requests * usual)
        fast = self._deviations(fast_cost, fast_requests) / FAST_UNIT
        slow = self._deviations(slow_cost, slow_requests) / SLOW_UNIT
        impact = min(1.0, excess / (IMPACT * self._usual_hour)) if self._usual_hour > 0 else 1.0
        return max(0.0, fast, slow) * math.pow(impact, IMPACT_POWER)

    def _deviations(self, cost: float, requests: int) -> float:
        """Standard deviations of a block above the mean of the hours."""
        mean = self._mean or 0.0
        spread = math.sqrt(self._sd**2 + SPREAD_FLOOR**2 + CALL_VARIANCE / requests)
        return (math.log(cost / requests) - mean) / spread

    def _close(self, hour: int) -> None:
        """Books the hour that is over."""
        if self._hour is not None:
            priced = self._hour_cost > 0 and self._hour_requests > 0
            figure = math.log(self._hour_cost / self._hour_requests) if priced else math.nan
            self._week.put(self._hour, figure, self._mode)
            self._past.close(self._hour, self._mode)
            if self._mode == Learning.USUAL:
                self._seen = min(self._seen + 1, WEEK_HOURS)
                self._usual_hour += (self._hour_cost - self._usual_hour) / self._seen
        self._hour, self._mode = hour, Learning.USUAL
        self._hour_cost, self._hour_requests = 0.0, 0
        self._derive()

    def _derive(self) -> None:
        """What the stored hours say together."""
        self._past.derive()
        known = self._week.known()
        self._mean, self._sd = None, 0.0
        if len(known) >= HOURS_MIN:
            mean = sum(known) / len(known)
            self._mean = mean
            self._sd = math.sqrt(max(0.0, sum(map(mul, known, known)) / len(known) - mean * mean))

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        self._week.pack(packer)
        self._past.pack(packer)
        packer.put("d", (*self._costs, self._hour_cost, self._usual_hour))
        hour = -1 if self._hour is None else self._hour
        packer.put("q", (*self._requests, hour, self._mode, self._hour_requests, self._seen))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._week.unpack(unpacker)
        self._past.unpack(unpacker)
        *self._costs, self._hour_cost, self._usual_hour = unpacker.take("d", SLOW_SLOTS + 1)
        *self._requests, hour, mode, self._hour_requests, self._seen = unpacker.integers("q", SLOW_SLOTS + 3)
        self._hour, self._mode = (None if hour < 0 else hour), Learning(mode)
        self._derive()
