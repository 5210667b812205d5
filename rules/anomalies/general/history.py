"""The last values of a signal with their times, kept for the case that a time is marked afterwards."""

from array import array
from collections.abc import Iterator
from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import SLOT_MS

KEPT: Final = 4_000
"""Values that are kept, as many as the recipe knows: 28 days of 10 minutes."""
_SLACK: Final = 500
"""Values beyond those until the oldest are cut off together, so that adding one stays O(1)."""


class History:
    """Values as 32-bit floats, each with its slot: 8 bytes per value."""

    def __init__(self) -> None:
        self._slots = array("i")
        self._values = array("f")

    def __len__(self) -> int:
        return min(len(self._values), KEPT)

    def append(self, at_ms: int, value: float) -> None:
        """Adds a value of the slot that begins then."""
        if len(self._values) >= KEPT + _SLACK:
            del self._slots[:_SLACK], self._values[:_SLACK]
        self._slots.append(at_ms // SLOT_MS)
        self._values.append(value)

    def points(self) -> Iterator[tuple[int, float]]:
        """Begin of the slot, milliseconds since the epoch, and value, oldest first."""
        for slot, value in zip(self._slots[-KEPT:], self._values[-KEPT:], strict=True):
            yield slot * SLOT_MS, value

    def last(self, count: int) -> list[float]:
        """The last values, at least one, oldest first; fewer where there are fewer."""
        return self._values[-count:].tolist()

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("i", self._slots[-KEPT:])
        packer.put("f", self._values[-KEPT:])

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._slots = array("i", unpacker.integers("i"))
        self._values = array("f", unpacker.take("f", len(self._slots)))
