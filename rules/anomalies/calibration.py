"""The alert level of a series, which finds itself: so much evidence that it alerts as often as it may."""

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from spanbudget.rules.anomalies.episodes import APART_MS, Signal
from spanbudget.rules.anomalies.packing import Packer, Unpacker

WEEK_MS: Final = 604_800_000
PRIOR_RATES: Final[Mapping[Signal, float]] = {"spend": 0.3, "cost_per_request": 0.1, "silence": 0.1}
"""Episodes per week at evidence 1 of each member, on the series that the benchmark develops on."""
PRIOR_POWER: Final = 2.5
"""Twice the evidence is 2 ** 2.5 times as rare, in the same series."""
LEVEL_MIN: Final = 1.0
"""The lowest alert level: an alert budget is a bound, not a quota."""
LEVEL_MAX: Final = 20.0
"""The highest: beyond it nothing would ever alert."""
MEMORY_WEEKS: Final = 4
"""Weeks whose peaks are remembered."""
PEAKS_MAX: Final = 32
"""Most peaks: the highest ones are kept."""
PEAK_MIN: Final = 0.5
"""Evidence below this is no peak: it is far from any level."""


class Peak(NamedTuple):
    """The highest evidence of a stretch of time.

    Attributes:
        first_ms: When evidence was first above `PEAK_MIN`, milliseconds since the epoch.
        last_ms: When it was last.
        evidence: How high it was.
    """

    first_ms: int
    last_ms: int
    evidence: float


class AlertLevel:
    """Begins where alerts are rare enough in other series, and rises where this series needs it.

    Other series are above an evidence `u` as often as the sum of `PRIOR_RATES` divided by `u **
    PRIOR_POWER`. Own peaks raise the level until no more of the last four weeks were above it than the alert
    budget allows, and one at least. All members of a series share the one level, and thereby the one budget:
    their evidence is scaled alike.

    Args:
        per_week: Episodes per week that are alerted at most in the long run, more than 0.
        members: What the series is looked at for.

    Attributes:
        level: The evidence that alerts.
    """

    __slots__ = ("_peaks", "_per_week", "_prior", "_since_ms", "level")

    def __init__(self, per_week: float, members: Iterable[Signal]) -> None:
        self._per_week = per_week
        rate = sum(PRIOR_RATES[member] for member in members)
        self._prior = (rate / per_week) ** (1 / PRIOR_POWER)
        self._peaks: list[Peak] = []
        self._since_ms: int | None = None
        self.level = min(max(LEVEL_MIN, self._prior), LEVEL_MAX)

    def see(self, at_ms: int, evidence: float) -> None:
        """Takes the evidence of a slot in, milliseconds since the epoch."""
        if self._since_ms is None:
            self._since_ms = at_ms
        if evidence < PEAK_MIN:
            return
        last = self._peaks[-1] if self._peaks else None
        if last is None or at_ms - last.last_ms >= APART_MS:
            self._peaks.append(Peak(at_ms, at_ms, evidence))
        else:
            self._peaks[-1] = Peak(last.first_ms, at_ms, max(last.evidence, evidence))
        self._forget(at_ms)

    def settle(self, at_ms: int) -> None:
        """Finds the level anew; to be called now and then, and not while an episode is open."""
        seen_ms = 0 if self._since_ms is None else max(0, at_ms - self._since_ms)
        oldest = at_ms - MEMORY_WEEKS * WEEK_MS
        peaks = sorted((one.evidence for one in self._peaks if one.last_ms >= oldest), reverse=True)
        allowed = max(1, math.ceil(self._per_week * min(seen_ms / WEEK_MS, MEMORY_WEEKS)))
        own = peaks[allowed] if len(peaks) > allowed else 0.0
        self.level = min(max(LEVEL_MIN, self._prior, own), LEVEL_MAX)

    def leave_out(self, start_ms: int, end_ms: int) -> None:
        """Peaks that touch this time say nothing about false alerts."""
        self._peaks = [one for one in self._peaks if one.last_ms < start_ms or one.first_ms >= end_ms]

    def _forget(self, at_ms: int) -> None:
        """Drops old peaks, and the lowest where there are too many."""
        oldest = at_ms - MEMORY_WEEKS * WEEK_MS
        if self._peaks[0].last_ms < oldest:
            self._peaks = [one for one in self._peaks if one.last_ms >= oldest]
        if len(self._peaks) > PEAKS_MAX:
            self._peaks.remove(min(self._peaks[:-1], key=lambda one: one.evidence))

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("q", (-1 if self._since_ms is None else self._since_ms,))
        packer.put("q", (at for one in self._peaks for at in (one.first_ms, one.last_ms)))
        packer.put("d", (*(one.evidence for one in self._peaks), self.level))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        (since,) = unpacker.integers("q", 1)
        self._since_ms = None if since < 0 else since
        times = unpacker.integers("q")
        *evidence, self.level = unpacker.take("d", len(times) // 2 + 1)
        self._peaks = [Peak(*one) for one in zip(times[::2], times[1::2], evidence, strict=True)]
