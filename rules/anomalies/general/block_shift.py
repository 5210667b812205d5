"""How far the mean of the last few points lies from the means of earlier blocks, in O(1) per point."""

from array import array
from collections import deque
from math import copysign, inf, sqrt
from typing import Final, NamedTuple

from spanbudget.rules.anomalies.packing import Packer, Unpacker

RELATIVE_FLOOR: Final = 1e-3
"""Least standard deviation of block means as a part of their mean, for series that are constant."""
BLOCKS_MIN: Final = 3
"""Earlier block means before there is a shift, in lengths of a block: fewer say nothing of their spread."""
_LOST: Final = 1e8
"""A square that leaves and was so many times what stays has taken the digits of what stays with it."""
_FAR: Final = 1e12
"""A square of the mean, measured from the pivot, that is so many times the variance leaves it four digits."""
_NEAR: Final = 1e-9
"""A mean that is nearer to the pivot, as a part of it, cannot be brought closer."""


class Shape(NamedTuple):
    """What kind of shift is looked for.

    Attributes:
        block: Points of a block, at least 2.
        past: Earlier block means that are kept, at least 3 × `block`.
        floor: Least standard deviation of block means, in the unit of the points, at least 0.
    """

    block: int
    past: int
    floor: float = 0.0


class BlockShift:
    """The shift of the last `block` points against the `past` block means that end before them.

    With B(t) the mean of the points t - block + 1 … t, the shift at t is
    (B(t) - mean(B(s))) / std(B(s)) over s = t - block - past + 1 … t - block. Block means are kept as 32-bit
    floats. Values must be finite and fit into 32 bits.
    Source: the feature that did best alone on the Numenta Anomaly Benchmark.

    Args:
        shape: What is looked for.
    """

    __slots__ = (
        "_at", "_block", "_count", "_floor", "_held", "_means", "_needed", "_partial", "_pivot", "_recent",
        "_size", "_squares", "_sum",
    )  # fmt: skip

    def __init__(self, shape: Shape) -> None:
        self._block = shape.block
        self._floor = shape.floor
        self._needed = BLOCKS_MIN * shape.block
        self._size = shape.past + shape.block - 1
        self._means = array("f", bytes(4 * self._size))
        self._recent: deque[float] = deque(maxlen=shape.block - 1)
        self._partial = 0.0
        self._at = self._held = self._count = 0
        self._pivot = self._sum = self._squares = 0.0

    def shift(self, value: float, level: float = 0.0) -> float:
        """The shift if `value` came next, in standard deviations.

        Args:
            value: The point.
            level: What was taken from the point: the least standard deviation is a part of what it really is.

        Returns:
            The shift; 0 before there are enough earlier blocks, infinite only where all are 0, with no floor.
        """
        count = self._count
        if count < self._needed:
            return 0.0
        mean = self._sum / count
        variance = self._squares / count - mean * mean
        spread = sqrt(variance) if variance > 0 else 0.0
        mean += self._pivot
        least = RELATIVE_FLOOR * abs(mean + level)
        if spread < least or spread < self._floor:
            spread = max(least, self._floor)
        apart = (self._partial + value) / self._block - mean
        if spread:
            return apart / spread
        return copysign(inf, apart) if apart else 0.0

    def learn(self, value: float) -> None:
        """Takes `value` as the next point."""
        recent = self._recent
        if len(recent) == self._block - 1:
            self._keep((self._partial + value) / self._block)
        recent.append(value)
        self._partial = sum(recent)

    def _keep(self, mean: float) -> None:
        """Keeps a block mean; the one of `block - 1` points ago joins the earlier ones."""
        means, at = self._means, self._at
        lost = False
        if self._held == self._size:
            leaving = means[at] - self._pivot
            self._sum -= leaving
            self._squares -= leaving * leaving
            self._count -= 1
            lost = leaving * leaving > _LOST * self._squares
        else:
            self._held += 1
        means[at] = mean
        if self._held >= self._block:
            joining = means[at - self._block + 1] - self._pivot
            self._sum += joining
            self._squares += joining * joining
            self._count += 1
        at += 1
        self._at = 0 if at == self._size else at
        if lost or self._at == 0 or self._count == self._needed or self._is_far():
            self._recount()

    def _is_far(self) -> bool:
        """Whether the pivot is so far from the mean that the variance has few digits left."""
        count, total = self._count, self._sum
        square = total * total
        if square <= _FAR * (self._squares * count - square):
            return False
        return abs(total) > _NEAR * count * abs(self._pivot)

    def _recount(self) -> None:
        """Computes the sums anew around the present mean: running sums lose digits."""
        means, at, block = self._means, self._at, self._block
        kept = means[at:] + means[:at] if self._held == self._size else means[: self._held]
        past = kept[: len(kept) - block + 1]
        self._pivot = sum(past) / len(past)
        apart = [mean - self._pivot for mean in past]
        self._sum = sum(apart)
        self._squares = sum(each * each for each in apart)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("I", (self._at, self._held, self._count))
        packer.put("d", (self._pivot, self._sum, self._squares, *self._recent))
        packer.put("f", self._means[: self._held])

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote for the same shape."""
        self._at, self._held, self._count = unpacker.integers("I", 3)
        self._pivot, self._sum, self._squares, *recent = unpacker.take("d")
        self._recent.extend(recent)
        self._partial = sum(self._recent)
        self._means[: self._held] = array("f", unpacker.take("f", self._held))
