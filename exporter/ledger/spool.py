"""Keeps records in files beside the ledger while the ledger cannot be written.

It stores what it is given, and nothing else: never give it a prompt or an answer.
"""

import contextlib
import errno
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from spanbudget.exporter.ledger.records import Record
from spanbudget.exporter.ledger.segment import Segment, line_of
from spanbudget.processors.errors import LedgerError

SPOOL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Most bytes that one process keeps, about 250,000 calls."""


class Spool:
    """An append-only queue on disk: many threads append, one drains.

    Records survive `kill -9`, not a power cut: nothing is synced to the disk. Each process writes files of
    its own, `<ledger>.<pid>-<random>.spool`, with mode 0600, and holds them locked. Files of dead processes
    are adopted when a spool is made, and whenever `adopt` is called. What was handed out is deleted after it
    is confirmed, so a record can come twice and never gets lost; the ledger's ids make twice into once.

    Args:
        path: The file of the ledger; the spool's files lie beside it.
        max_bytes: Most bytes that this process keeps, 1 or more; adopted files do not count.

    Attributes:
        torn: Lines that a killed process left half-written, and that were skipped.
        refused: Records that were not kept because of `max_bytes`.
        adopted: Files of dead processes that were taken over.

    Raises:
        LedgerError: The folder cannot be read.
    """

    def __init__(self, path: str | Path, max_bytes: int = SPOOL_BYTES_MAX) -> None:
        self.torn = 0
        self.refused = 0
        self.adopted = 0
        self._path = Path(path).absolute()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._active: Segment | None = None
        self._queue: deque[tuple[Segment, bool]] = deque()
        self._handed: tuple[int, int] | None = None
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(this()))
        self.adopt()

    @property
    def size_bytes(self) -> int:
        """Bytes on disk that this process wrote and that are not confirmed yet."""
        return sum(segment.size_bytes for segment in self._own())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to drain."""
        return self._active is None and not self._queue

    def append(self, record: Record) -> bool:
        """Keeps one record; False, and counted in `refused`, where `max_bytes` is reached.

        Raises:
            LedgerError: The disk is full or failed; the record is not kept.
        """
        return self.extend((record,))

    def extend(self, records: Sequence[Record]) -> bool:
        """Keeps all of some records or none of them; see `append`."""
        lines = b"".join(map(line_of, records))
        with self._lock, self._explaining():
            if self.size_bytes + len(lines) > self._max_bytes:
                self.refused += len(records)
                return False
            if self._active is None:
                self._active = self._create()
            self._active.append(lines)
        return True

    def drain(self, limit: int = 512) -> list[Record]:
        """Hands out the oldest records, in order; the same ones again until `confirm` is called.

        Args:
            limit: Most records to hand out, 1 or more.

        Returns:
            The records; none where the spool is empty.

        Raises:
            LedgerError: A file cannot be read.
        """
        with self._lock, self._explaining():
            while True:
                if not self._queue:
                    if self._active is None:
                        return []
                    self._queue.append((self._active, True))
                    self._active = None
                records, position, torn = self._queue[0][0].read(limit)
                self._handed = position, torn
                if records:
                    return records
                self._confirm()

    def confirm(self) -> None:
        """Deletes what `drain` handed out last; does nothing where it was confirmed already.

        Raises:
            LedgerError: A file cannot be deleted.
        """
        with self._lock, self._explaining():
            self._confirm()

    def adopt(self) -> int:
        """Takes over the files of dead processes, oldest first, and answers how many.

        Raises:
            LedgerError: The folder cannot be read, or a file in it cannot be taken.
        """
        with self._lock, self._explaining():
            mine = {segment.path for segment in self._own()} | {segment.path for segment, _ in self._queue}
            found = []
            for path in self._path.parent.glob(f"{_literal(self._path.name)}.*.spool"):
                with contextlib.suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime_ns, path))
            count = 0
            for _, path in sorted(found):
                segment = None if path in mine else Segment.claim(path, self._new_path())
                if segment is not None:
                    self._queue.append((segment, False))
                    count += 1
            self.adopted += count
            return count

    def close(self) -> None:
        """Lets go of all files, so that the next process adopts them; closing twice does nothing."""
        with self._lock:
            self._release()

    def _own(self) -> list[Segment]:
        own = [segment for segment, is_own in self._queue if is_own]
        return own if self._active is None else [*own, self._active]

    def _confirm(self) -> None:
        if self._handed is None:
            return
        (position, torn), self._handed = self._handed, None
        self.torn += torn
        if self._queue[0][0].confirm(position):
            self._queue[0][0].delete()
            self._queue.popleft()

    def _create(self) -> Segment:
        while True:
            segment = Segment.create(self._new_path())
            if segment is not None:
                return segment

    def _new_path(self) -> Path:
        name = f"{self._path.name}.{os.getpid()}-{secrets.token_hex(6)}.spool"
        return self._path.with_name(name)

    def _release(self) -> None:
        for segment in [*(segment for segment, _ in self._queue), *([self._active] if self._active else [])]:
            segment.release()
        self._queue.clear()
        self._active = None
        self._handed = None

    def _forget(self) -> None:
        """In a forked child: the files belong to the parent, whose lock must not outlive it here."""
        self._lock = threading.Lock()
        self._release()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            way_out = (
                "there is no space left; free some"
                if error.errno in {errno.ENOSPC, errno.EDQUOT}
                else "give this user write access to the folder"
            )
            raise LedgerError(
                f"spool of ledger {self._path}: {way_out} ({error.strerror or error})"
            ) from error


def _literal(name: str) -> str:
    """A file name in which no character means anything to glob."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _forked(spool: Spool | None) -> None:
    if spool is not None:
        spool._forget()  # noqa: SLF001 - the spool's own hook; a method would keep the spool alive
