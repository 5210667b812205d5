"""The level at which a series alarms, so that it does not do so more often than somebody wants to be told."""

from math import exp
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, SLOT_MS

BLOCK_MS: Final = 6 * HOUR_SLOTS * SLOT_MS
"""Milliseconds of a block, 6 hours: alarms closer than that are one episode."""
BLOCKS: Final = 8 * 28
"""Blocks that are kept, 8 weeks."""
REST_BLOCKS: Final = 3
"""Blocks from one alarm to the next at the least: the rest of 100 slots, as whole blocks."""
PRIOR_WEEKS: Final = 2.0
"""How many weeks of its own a series needs for them to weigh as much as what is known of others."""
LEVELS: Final = tuple(0.7 + 0.05 * step for step in range(67))
"""Levels to choose from, 0.7 to 4: below, no alarm is sure enough, however quiet the series was."""
PRIOR_AT_ONE: Final = 1.0
"""Alarms a week of an ordinary series at the level 1."""
PRIOR_SLOPE: Final = 3.0
"""How fast they get rarer with the level: e-fold for each third of a level."""
_WEEK_BLOCKS: Final = 28


class AlertLevel:
    """The lowest level that keeps to an alert budget.

    Alarms a week at a level are estimated from the highest score of each block of 6 hours in the last 8
    weeks, and from `PRIOR_WEEKS` of an ordinary series, which has `PRIOR_AT_ONE` × e^(-`PRIOR_SLOPE` × (level
    - 1)).

    Args:
        per_week: Alarms a week that are wanted at most, above 0.
    """

    def __init__(self, per_week: float) -> None:
        self._per_week = per_week
        self._blocks: dict[int, float] = {}
        self.level = self._choose()

    def record(self, at_ms: int, score: float) -> None:
        """Takes a score, where 1 is the level at which an ordinary series alarms."""
        block = at_ms // BLOCK_MS
        known = self._blocks.get(block)
        self._blocks[block] = score if known is None else max(known, score)
        if known is None:
            while len(self._blocks) > BLOCKS:
                del self._blocks[min(self._blocks)]
            self.level = self._choose()

    def drop(self, start_ms: int, end_ms: int) -> None:
        """Forgets the blocks that a time overlaps, half-open: what happened in it was no false alarm."""
        kept = {
            block: score
            for block, score in self._blocks.items()
            if not start_ms - BLOCK_MS < block * BLOCK_MS < end_ms
        }
        if len(kept) < len(self._blocks):
            self._blocks = kept
            self.level = self._choose()

    def _alarms(self, level: float) -> int:
        """How often the blocks would have alarmed."""
        alarms = 0
        rested = joined = -REST_BLOCKS
        for block in sorted(block for block, score in self._blocks.items() if score >= level):
            if not alarms or (block > joined and block >= rested):
                alarms += 1
                rested = block + REST_BLOCKS
            joined = block + 1
        return alarms

    def _choose(self) -> float:
        weeks = PRIOR_WEEKS + len(self._blocks) / _WEEK_BLOCKS
        for level in LEVELS:
            ordinary = PRIOR_WEEKS * PRIOR_AT_ONE * exp(PRIOR_SLOPE * (1 - level))
            if ordinary + self._alarms(level) <= self._per_week * weeks:
                return level
        return LEVELS[-1]

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("q", self._blocks)
        packer.put("d", (*self._blocks.values(), self.level))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        blocks = unpacker.integers("q")
        *scores, self.level = unpacker.take("d", len(blocks) + 1)
        self._blocks = dict(zip(blocks, scores, strict=True))
