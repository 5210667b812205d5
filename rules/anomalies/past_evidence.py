"""What a detector has already seen of its own evidence: the same again says less."""

from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.week import DAY_HOURS, WEEK_HOURS, Learning, Week

SHARE: Final = 0.3
"""Part of the highest evidence of the week that is taken off new evidence."""
AGE_HOURS: Final = 2 * DAY_HOURS
"""Only evidence that is older counts, so that a slow rise does not hide itself."""
WARM_HOURS: Final = 3 * DAY_HOURS
"""Hours of data before evidence is remembered: what comes earlier is the detector's own learning."""


class PastEvidence:
    """The highest evidence of each hour of the week.

    Attributes:
        week: It, by hour.
    """

    __slots__ = ("_closed", "_highest", "_hour", "_now", "week")

    def __init__(self) -> None:
        self.week = Week(0.0)
        self._now = 0.0
        self._closed = 0
        self._hour = 0
        self._highest = 0.0

    def beyond(self, evidence: float) -> float:
        """What new evidence says beyond the old; never below 0."""
        return max(0.0, evidence - SHARE * self._highest)

    def see(self, evidence: float) -> None:
        """Takes the evidence of a slot in."""
        self._now = max(self._now, evidence)

    def close(self, hour: int, learning: Learning) -> None:
        """Books an hour, counted from the epoch."""
        self._closed += 1
        self.week.put(hour, self._now if self._closed > WARM_HOURS else 0.0, learning)
        self._hour, self._now = hour, 0.0
        self.derive()

    def derive(self) -> None:
        """What the stored hours say together."""
        oldest = (self._hour + 1) % WEEK_HOURS
        end = oldest + WEEK_HOURS - AGE_HOURS
        values = self.week.values
        self._highest = max(values[oldest:end])
        if end > WEEK_HOURS:
            self._highest = max(self._highest, *values[: end - WEEK_HOURS])

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        self.week.pack(packer)
        packer.put("d", (self._now,))
        packer.put("q", (self._closed, self._hour))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self.week.unpack(unpacker)
        (self._now,) = unpacker.take("d", 1)
        self._closed, self._hour = unpacker.integers("q", 2)
        self.derive()
