"""Slots pooled until there are enough calls for a mean that says something."""

from collections import deque
from typing import Final

from spanbudget.rules.anomalies.general.signals import Part
from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, SLOT_MS

POOL_MS: Final = HOUR_SLOTS * SLOT_MS
"""Longest time that is pooled, an hour: what has fewer calls than that has no mean."""


class Pool:
    """The parts of slots that did not have enough calls yet.

    Args:
        calls_min: Calls of a mean, at least 1.
    """

    def __init__(self, calls_min: int) -> None:
        self._calls_min = max(1, calls_min)
        self._parts: deque[tuple[int, Part]] = deque()

    def add(self, start_ms: int, part: Part) -> Part | None:
        """Adds the part of a slot that began later than those before it.

        Returns:
            All that is pooled, once there are enough calls; the pool is empty then. None before.
        """
        if part.calls <= 0:
            return None
        while self._parts and self._parts[0][0] <= start_ms - POOL_MS:
            self._parts.popleft()
        self._parts.append((start_ms, part))
        pooled = Part(sum(part.total for _, part in self._parts), sum(part.calls for _, part in self._parts))
        if pooled.calls < self._calls_min:
            return None
        self._parts.clear()
        return pooled

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("q", (start_ms for start_ms, _ in self._parts))
        packer.put("d", (part.total for _, part in self._parts))
        packer.put("q", (part.calls for _, part in self._parts))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        starts = unpacker.integers("q")
        totals, counts = unpacker.take("d", len(starts)), unpacker.integers("q", len(starts))
        self._parts.extend(zip(starts, map(Part, totals, counts), strict=True))
