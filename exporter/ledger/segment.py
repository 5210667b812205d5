"""One file of the spool: records as checked lines, locked by the process that owns it."""

import errno
import fcntl
import json
import mmap
import os
import zlib
from pathlib import Path
from typing import Final

from spanbudget.exporter.ledger.records import Record

_CHECK_BYTES: Final = 9
"""Eight hex digits of the CRC-32 and a blank, before the JSON."""

_READ_BYTES: Final = 1 << 16
MAP_BYTES: Final = 1 << 20
"""Room that is allocated at once for a file in memory (1 MiB)."""


def line_of(record: Record) -> bytes:
    """Writes a record as one line: CRC-32 in hex, a blank, JSON without line breaks."""
    text = json.dumps(record, separators=(",", ":")).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def record_of(line: bytes) -> Record | None:
    """Reads a line without its line break; None where it is torn."""
    text = line[_CHECK_BYTES:]
    if line[:_CHECK_BYTES] != b"%08x " % zlib.crc32(text):
        return None
    record: Record = json.loads(text)
    return record


class Segment:
    """A spool file that this process holds locked until it is deleted or released.

    Args:
        path: Where the file is.
        descriptor: Its open and locked descriptor; the segment closes it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size_bytes = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._read_bytes = 0
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls, path: Path) -> "Segment | None":
        """Makes a new file with mode 0600; None where another process adopted it before it was locked.

        Raises:
            OSError: The file cannot be made.
        """
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return cls._locked(path, descriptor)

    @classmethod
    def claim(cls, path: Path, new_path: Path) -> "Segment | None":
        """Takes over the file of a dead process by renaming it; None where its owner lives.

        Raises:
            OSError: The file cannot be opened or renamed.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        segment = cls._locked(path, descriptor)
        if segment is not None:
            path.rename(new_path)
            segment.path = new_path
        return segment

    def rename(self, path: Path) -> None:
        """Gives the file another name.

        Raises:
            OSError: It cannot be renamed.
        """
        self.path.rename(path)
        self.path = path

    @classmethod
    def _locked(cls, path: Path, descriptor: int) -> "Segment | None":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The name may mean another file by now: one that was adopted in between has moved away.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return cls(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def append(self, lines: bytes) -> None:
        """Appends whole lines with one write; what is written in part is taken back.

        Raises:
            OSError: The disk is full or failed; the file is as it was.
        """
        if self._map is not None:
            end = self.size_bytes + len(lines)
            if end > len(self._map):
                self._extend(end)
            self._map[self.size_bytes : end] = lines
            self.size_bytes = end
            return
        written = os.write(self._descriptor, lines)
        if written != len(lines):
            os.ftruncate(self._descriptor, self.size_bytes)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size_bytes += written

    def map(self) -> None:
        """Lets `append` write to memory that the file shares, without a call of the system.

        The room is allocated first: memory of a file that the disk has no room for kills the process. Where
        that does not work, `append` goes on writing to the file.
        """
        try:
            os.posix_fallocate(self._descriptor, 0, MAP_BYTES)
            self._map = mmap.mmap(self._descriptor, MAP_BYTES)
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)

    def _extend(self, end: int) -> None:
        size = -(-end // MAP_BYTES) * MAP_BYTES
        os.posix_fallocate(self._descriptor, 0, size)
        larger = mmap.mmap(self._descriptor, size)
        old, self._map = self._map, larger
        if old is not None:
            old.close()

    def read(self, limit: int) -> tuple[list[Record], int, int]:
        """Reads on from the last confirmed position.

        Args:
            limit: Most records to read, 1 or more.

        Returns:
            The records, the position behind them in bytes, and how many torn lines were skipped. Fewer
            records than `limit` mean that the end was reached.

        Raises:
            OSError: The file cannot be read.
        """
        records: list[Record] = []
        torn = 0
        position = self._read_bytes
        rest = b""
        while len(records) < limit:
            block = os.pread(self._descriptor, _READ_BYTES, position + len(rest))
            *lines, rest = (rest + block).split(b"\n")
            if not block:
                if rest.strip(b"\0"):  # room that was allocated and not used is no line
                    torn += 1
                return records, position + len(rest), torn
            for line in lines:
                if len(records) == limit:
                    return records, position, torn
                position += len(line) + 1
                record = record_of(line)
                if record is None:
                    torn += 1
                else:
                    records.append(record)
        return records, position, torn

    def confirm(self, position: int) -> bool:
        """Moves past what was read; True where nothing is left to read."""
        self._read_bytes = position
        return position >= self.size_bytes

    def delete(self) -> None:
        """Deletes the file.

        Raises:
            OSError: The file cannot be deleted.
        """
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Lets go of the file, so that any process may adopt it; letting go twice does nothing."""
        mapped, self._map = self._map, None
        if mapped is not None:
            mapped.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
