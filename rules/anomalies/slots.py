"""Slots: what one series did in ten minutes, the unit that detectors see."""

from typing import Final, NamedTuple

SLOT_MS: Final = 600_000
"""Milliseconds of a slot, 10 minutes: short enough to catch a runaway loop, long enough to hold some
calls."""
HOUR_SLOTS: Final = 6
"""Slots of an hour."""
DAY_SLOTS: Final = 144
"""Slots of a day."""


class Slot(NamedTuple):
    """The ended calls of one series in ten minutes; all figures are sums.

    Attributes:
        start_ms: Begin of the slot, milliseconds since the epoch, a multiple of `SLOT_MS`.
        cost_usd: What the calls cost, in US dollars, at least 0.
        requests: How many calls ended, failed ones among them.
        failed: How many of them failed.
        tokens: Tokens of all kinds that were used.
        duration_s: Seconds that the calls took, added up.
    """

    start_ms: int
    cost_usd: float = 0.0
    requests: int = 0
    failed: int = 0
    tokens: int = 0
    duration_s: float = 0.0


def slot_start(at_ms: int) -> int:
    """The begin of the slot that a moment belongs to, both in milliseconds since the epoch."""
    return at_ms - at_ms % SLOT_MS
