"""Who made the excess of an episode: which model, user, service or caller."""

from collections.abc import Mapping
from typing import Final, NamedTuple

TOP: Final = 3
"""Contributors of each dimension that are told."""


class Contributor(NamedTuple):
    """Who made a part of an excess.

    Attributes:
        dimension: `model`, `user`, `service`, …
        value: Which one.
        excess_usd: Its part of the excess, US dollars; below 0 where spend is missing.
        observed_usd: What it cost in the episode.
    """

    dimension: str
    value: str
    excess_usd: float
    observed_usd: float


def contributors(
    observed: Mapping[tuple[str, str], float],
    expected: Mapping[tuple[str, str], float],
    excess_usd: float,
    top: int = TOP,
) -> tuple[Contributor, ...]:
    """The values that made an excess, the largest part first.

    Each dimension divides the same money in its own way. Within one, the differences that point the way of
    the excess share it: where they come to more than it, since others spent less than usual, they are scaled
    to it.

    Args:
        observed: What each (dimension, value) cost in the episode, US dollars.
        expected: What was expected of each; values that are missing here or there count as 0.
        excess_usd: What the episode cost beyond what was expected; below 0 where spend is missing.
        top: Most contributors of each dimension, at least 0.

    Returns:
        In order of their part, then of dimension and value. The parts of a dimension add up to the excess at
        most.
    """
    sign = -1.0 if excess_usd < 0 else 1.0
    room = abs(excess_usd)
    parts: dict[str, list[tuple[float, str]]] = {}
    for dimension, value in sorted({*observed, *expected}):
        key = dimension, value
        gain = sign * (observed.get(key, 0.0) - expected.get(key, 0.0))
        if 0 < gain < float("inf"):
            parts.setdefault(dimension, []).append((gain, value))
    found: list[Contributor] = []
    for dimension, gains in parts.items():
        scale = min(1.0, room / sum(gain for gain, _ in gains))
        largest = sorted(gains, key=lambda one: (-one[0], one[1]))[:top]
        found += (
            Contributor(dimension, value, sign * gain * scale, observed.get((dimension, value), 0.0))
            for gain, value in largest
            if gain * scale > 0
        )
    return tuple(sorted(found, key=lambda one: (-abs(one.excess_usd), one.dimension, one.value)))
