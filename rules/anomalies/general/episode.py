"""When what is unusual is told, and when it is a part of what was told before, or too soon after it."""

from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, SLOT_MS

MERGED_MS: Final = 6 * HOUR_SLOTS * SLOT_MS
"""Unusual slots that are closer, 6 hours, are one episode."""
REST_MS: Final = 100 * SLOT_MS
"""Time from the begin of an episode in which no other one begins. Source: the rest of the recipe."""


class EpisodeClock:
    """The times of the last episode of a series."""

    def __init__(self) -> None:
        self._start_ms: int | None = None
        self._last_ms = 0

    def tells(self, at_ms: int) -> bool:
        """Takes an unusual slot.

        Returns:
            Whether it is told: as a part of the open episode, or as the begin of one.
        """
        if self._start_ms is None or at_ms >= max(self._last_ms + MERGED_MS, self._start_ms + REST_MS):
            self._start_ms = at_ms
        elif self.start_ms(at_ms) is None:
            return False
        self._last_ms = at_ms
        return True

    def start_ms(self, at_ms: int) -> int | None:
        """The begin of the episode that is open at a moment; None where there is none."""
        return self._start_ms if at_ms < self._last_ms + MERGED_MS else None

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("q", () if self._start_ms is None else (self._start_ms, self._last_ms))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        times = unpacker.integers("q")
        if times:
            self._start_ms, self._last_ms = times
