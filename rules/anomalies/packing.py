"""Detector state as bytes: counted runs of numbers, little endian, so that it restores on any machine."""

import struct
from collections.abc import Iterable
from typing import Final

_COUNT: Final = struct.Struct("<I")
_SIZES: Final = {"f": 4, "d": 8, "I": 4, "i": 4, "q": 8, "B": 1}


class BrokenStateError(ValueError):
    """The bytes are no state of this detector: of another version, another kind, or cut short."""


class Packer:
    """Collects runs of numbers."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def put(self, kind: str, numbers: Iterable[float]) -> None:
        """Appends one run.

        Args:
            kind: Code of `struct`: `f` or `d` for floats of 4 or 8 bytes, `I`, `i` or `q` for integers, `B`
                for bytes.
            numbers: The numbers, each in the range of the kind.
        """
        run = tuple(numbers)
        self._parts += (_COUNT.pack(len(run)), struct.pack(f"<{len(run)}{kind}", *run))

    def packed(self) -> bytes:
        """All runs, in the order in which they came."""
        return b"".join(self._parts)


class Unpacker:
    """Reads runs of numbers in the order in which they were packed.

    Args:
        data: What `Packer.packed` gave.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _skip(self, size: int) -> int:
        """Moves over `size` bytes and tells where they began."""
        at = self._at
        if at + size > len(self._data):
            raise BrokenStateError("the state of a detector is cut short: start it anew from the ledger")
        self._at = at + size
        return at

    def take(self, kind: str, count: int | None = None) -> tuple[float, ...]:
        """The next run.

        Args:
            kind: As it was packed.
            count: How many numbers there must be; None for any.

        Raises:
            BrokenStateError: There is no such run.
        """
        found: int = _COUNT.unpack_from(self._data, self._skip(_COUNT.size))[0]
        if count is not None and found != count:
            raise BrokenStateError(
                f"the state of a detector has {found} numbers where {count} belong: start it anew"
            )
        return struct.unpack_from(f"<{found}{kind}", self._data, self._skip(found * _SIZES[kind]))

    def integers(self, kind: str, count: int | None = None) -> tuple[int, ...]:
        """As `take`, for a run of integers."""
        return tuple(map(int, self.take(kind, count)))

    def end(self) -> None:
        """Checks that everything was read.

        Raises:
            BrokenStateError: Something follows.
        """
        if self._at != len(self._data):
            raise BrokenStateError("the state of a detector goes on where it should end: start it anew")
