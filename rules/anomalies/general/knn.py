"""How far the last few points are from anything seen before: nearest neighbours among past windows."""

from math import sqrt
from typing import Final

import numpy as np

from spanbudget.rules.anomalies.general.tape import Tape
from spanbudget.rules.anomalies.packing import Packer, Unpacker

WINDOW: Final = 8
"""Points of a window."""
NEIGHBOURS: Final = 4
"""Nearest past windows that count: one alone may be an incident of its own."""
WINDOWS: Final = 2_000
"""Past windows that are kept: 14 days of 10 minutes."""
WINDOWS_MIN: Final = 100
"""Past windows before there is a distance."""
DISTANCE_MAX: Final = 1e6
"""Largest distance, in standard deviations: of a series that never moved, and then did."""
_RELATIVE_FLOOR: Final = 1e-3
"""Least standard deviation as a part of the mean, as of `block_shift.RELATIVE_FLOOR`."""


class NearestWindows:
    """Mean distance of the last points to the `NEIGHBOURS` nearest of the last `WINDOWS` windows before them.

    A distance is the root of the mean square of the differences of `WINDOW` points, in standard deviations of
    the past points. Past windows do not overlap with the one that is judged.
    Source: chosen on the Numenta Anomaly Benchmark, as are the lengths.

    Args:
        floor: Least standard deviation, in the unit of the points, at least 0.
    """

    __slots__ = ("_floor", "_points")

    def __init__(self, floor: float = 0.0) -> None:
        self._floor = floor
        self._points = Tape(WINDOWS + 2 * (WINDOW - 1))

    @property
    def ready(self) -> bool:
        """Whether there are enough past windows for a distance."""
        return len(self._points) >= WINDOWS_MIN + 2 * (WINDOW - 1)

    def distance(self, value: float) -> float:
        """The distance if `value` came next, from 0 to `DISTANCE_MAX`; 0 before there are enough windows."""
        if not self.ready:
            return 0.0
        points = self._points.last(WINDOWS + 2 * (WINDOW - 1))
        past = points[: 1 - WINDOW]
        windows = len(past) - WINDOW + 1
        apart = past[WINDOW - 1 :] - value
        apart *= apart
        squares = apart
        for at, point in enumerate(points[1 - WINDOW :].tolist()):
            apart = past[at : at + windows] - point
            apart *= apart
            squares += apart
        nearest = np.partition(squares, NEIGHBOURS - 1)[:NEIGHBOURS].tolist()
        apart_mean = sum(sqrt(square / WINDOW) for square in nearest) / NEIGHBOURS
        mean = float(past.mean())
        centred = past - mean
        spread = max(sqrt(float(centred @ centred) / len(past)), self._floor, _RELATIVE_FLOOR * abs(mean))
        if apart_mean >= DISTANCE_MAX * spread:
            return DISTANCE_MAX if apart_mean else 0.0
        return apart_mean / spread

    def learn(self, value: float) -> None:
        """Takes `value` as the next point."""
        self._points.append(value)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        self._points.pack(packer)

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._points.unpack(unpacker)
