"""The last values of a series, in one piece of memory."""

from typing import Final

import numpy as np
import numpy.typing as npt

from spanbudget.rules.anomalies.packing import Packer, Unpacker

_PIECES: Final = 2
"""Lengths of memory: the last values move to the front once in a length, which is O(1) per value."""


class Tape:
    """The last values, rounded to 32 bits as they are stored, held in 64 so that their squares are finite.

    Args:
        length: How many are kept, at least 1.
    """

    __slots__ = ("_end", "_length", "_values")

    def __init__(self, length: int) -> None:
        self._length = length
        self._values = np.zeros(_PIECES * length)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self._length)

    def append(self, value: float) -> None:
        """Adds a value of at most 1e38 in magnitude."""
        if self._end == len(self._values):
            self._values[: self._length] = self._values[-self._length :]
            self._end = self._length
        self._values[self._end] = np.float32(value)
        self._end += 1

    def last(self, count: int) -> npt.NDArray[np.float64]:
        """A view of the last `count` values, oldest first, of fewer where there are fewer."""
        return self._values[self._end - min(count, len(self)) : self._end]

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("f", self.last(self._length))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote for the same length."""
        values = unpacker.take("f")[-self._length :]
        self._end = len(values)
        self._values[: self._end] = values
