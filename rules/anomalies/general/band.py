"""The band in which the values of a series usually are."""

from math import isnan, nan
from typing import Final, NamedTuple

import numpy as np

from spanbudget.rules.anomalies.general.tape import Tape
from spanbudget.rules.anomalies.packing import Packer, Unpacker

KEPT: Final = 1_008
"""Values that the band is made of: 7 days of 10 minutes."""
OUTSIDE: Final = 0.01
"""Part of the values that lie above the band, and part that lie below."""
VALUES_MIN: Final = 36
"""Values before there is a band."""


class Range(NamedTuple):
    """What a value usually is, on the scale of the series; nan where that is not known yet.

    Attributes:
        low: Below are 1 % of the values.
        expected: Below are half of them.
        high: Above are 1 % of them.
    """

    low: float = nan
    expected: float = nan
    high: float = nan


class Band:
    """Quantiles of the last values, or of their distance to the time of day where that varies less."""

    def __init__(self) -> None:
        self._values = Tape(KEPT)
        self._residuals = Tape(KEPT)

    def around(self, usual: float) -> Range:
        """The band at a moment.

        Args:
            usual: The level of its time of day; nan where there is none.
        """
        count = len(self._values)
        if count < VALUES_MIN:
            return Range()
        places = [
            int(OUTSIDE * count),
            count // 4,
            count // 2,
            count - 1 - count // 4,
            count - 1 - int(OUTSIDE * count),
        ]
        plain = np.sort(self._values.last(KEPT))[places].tolist()
        seasonal = np.sort(self._residuals.last(KEPT))[places].tolist()
        if isnan(usual) or seasonal[3] - seasonal[1] >= plain[3] - plain[1]:
            return Range(plain[0], plain[2], plain[4])
        return Range(usual + seasonal[0], usual + seasonal[2], usual + seasonal[4])

    def learn(self, value: float, usual: float) -> None:
        """Takes a value and the level of its time of day before it."""
        self._values.append(value)
        self._residuals.append(0.0 if isnan(usual) else value - usual)

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        self._values.pack(packer)
        self._residuals.pack(packer)

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._values.unpack(unpacker)
        self._residuals.unpack(unpacker)
