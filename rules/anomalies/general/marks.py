"""Times that somebody marked: expected, or an incident that must not become usual."""

from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import SLOT_MS

MARKS_MAX: Final = 200
"""Marks that are kept; the oldest is forgotten for a new one."""


class Marks:
    """Half-open times that are left out of what is usual; in some of them nothing is told either."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, int, int]] = []

    def add(self, start_ms: int, end_ms: int, *, silent: bool) -> None:
        """Adds a time.

        Args:
            start_ms: Its begin, milliseconds since the epoch.
            end_ms: Its end; nothing is marked where that is not later.
            silent: Whether nothing is told in it.
        """
        if end_ms > start_ms:
            self._marks = [*self._marks, (start_ms, end_ms, int(silent))][-MARKS_MAX:]

    def leaves_out(self, slot_ms: int) -> bool:
        """Whether the slot that begins then overlaps a marked time."""
        return any(start < slot_ms + SLOT_MS and slot_ms < end for start, end, _ in self._marks)

    def silences(self, slot_ms: int) -> bool:
        """Whether it overlaps one in which nothing is told."""
        return any(
            start < slot_ms + SLOT_MS and slot_ms < end for start, end, silent in self._marks if silent
        )

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("q", (number for mark in self._marks for number in mark))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        numbers = unpacker.integers("q")
        self._marks = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
