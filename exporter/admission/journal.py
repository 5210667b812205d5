"""What a process has reserved and settled, in a file that outlives it.

A line is written before a reservation counts and before a settlement returns, so that after `kill -9` the
next process knows of every call that was in flight. Nothing is synced to the disk: the file survives the
process, not a power cut. It holds names, ids, tokens and money, and no text of a prompt or an answer.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from spanbudget.exporter.ledger.filesystem import allocates
from spanbudget.exporter.ledger.records import Record
from spanbudget.exporter.ledger.segment import Segment, line_of
from spanbudget.processors.errors import LedgerError

ROTATE_BYTES: Final = 4 << 20
"""A journal longer than this is begun anew once everything in it is in the ledger (4 MiB)."""
_READ_RECORDS: Final = 4096


class Journal:
    """The journal of one owner; its methods are called under the engine's lock.

    Args:
        beside: The file of the ledger, or one in a folder of this machine; the journal lies beside it.
        owner: Id of the owner.

    Raises:
        LedgerError: The file cannot be made.
    """

    def __init__(self, beside: Path, owner: bytes) -> None:
        self._beside = beside
        self._owner = owner
        self._number = 0
        self._segment: Segment | None = None
        self._append: Callable[[bytes], None] = _closed
        self._old: list[Segment] = []
        self.rotate(())

    @property
    def path(self) -> str:
        """Where the journal begins; later files differ in their number."""
        return str(self._beside.with_name(f"{self._beside.name}.{self._owner.hex()}"))

    @property
    def size_bytes(self) -> int:
        """Length of the file that is written to."""
        return self._segment.size_bytes if self._segment else 0

    def write(self, text: bytes) -> None:
        """Appends one record, which is JSON without line breaks.

        Raises:
            OSError: The disk is full or failed; the file is as it was.
        """
        self._append(b"%08x %b\n" % (crc32(text), text))

    def add(self, record: Record) -> None:
        """Appends one record; see `write`."""
        self._append(line_of(record))

    def rotate(self, records: Iterable[Record]) -> None:
        """Goes on in a new file that begins with some records; the old one stays until `forget_old`.

        Raises:
            LedgerError: The file cannot be made.
        """
        self._number += 1
        path = Path(f"{self.path}-{self._number:06}.journal")
        segment = None
        try:
            # It gets its name once it is locked: who looks for journals of the dead never sees it unlocked.
            segment = Segment.create(path.with_name(f"{path.name}.new"))
            if segment is None:
                raise LedgerError(f"journal {path}: another process has taken it; start again")
            segment.append(b"".join(map(line_of, ({"owner": self._owner.hex()}, *records))))
            segment.rename(path)
        except OSError as error:
            if segment is not None:
                segment.delete()
            raise LedgerError(
                f"journal {path}: {error.strerror or error}; give this user write access and space there"
            ) from error
        if allocates(self._beside.parent):
            segment.map()
        if self._segment is not None:
            self._old.append(self._segment)
        self._segment, self._append = segment, segment.append

    def forget_old(self) -> None:
        """Deletes the files before the present one: all that they tell is in the ledger or in it."""
        for segment in self._old:
            segment.delete()
        self._old.clear()

    def close(self, *, keep: bool) -> None:
        """Lets go of the files; deletes them unless they are to be kept."""
        for segment in [*self._old, *([self._segment] if self._segment else [])]:
            if keep:
                segment.release()
            else:
                segment.delete()
        self._old.clear()
        self._segment, self._append = None, _closed


def _closed(_: bytes) -> None:
    raise OSError("the journal is closed")


class FoundJournal:
    """The files of a dead owner, locked by this process.

    Attributes:
        owner: Id of the owner.
    """

    def __init__(self, owner: bytes, segments: list[Segment]) -> None:
        self.owner = owner
        self._segments = segments

    def records(self) -> Iterator[Record]:
        """All records, oldest first; torn lines are skipped."""
        for segment in self._segments:
            while True:
                records, position, _ = segment.read(_READ_RECORDS)
                segment.confirm(position)
                yield from records
                if len(records) < _READ_RECORDS:
                    break

    def delete(self) -> None:
        """Deletes the files: everything in them is in the ledger."""
        for segment in self._segments:
            segment.delete()

    def release(self) -> None:
        """Lets go of the files; another process may take them."""
        for segment in self._segments:
            segment.release()


def find_journals(beside: Path) -> Iterator[FoundJournal]:
    """The journals of dead owners beside a ledger; those of live ones are locked and left alone.

    Raises:
        LedgerError: The folder cannot be read.
    """
    owners: dict[bytes, list[Path]] = {}
    prefix = f"{beside.name}."
    try:
        names = sorted(path.name for path in beside.parent.iterdir())
    except OSError as error:
        raise LedgerError(f"journals beside {beside}: {error.strerror or error}") from error
    for name in names:
        middle = name.removeprefix(prefix).removesuffix(".journal")
        owner = middle.partition("-")[0]
        if name.startswith(prefix) and name.endswith(".journal") and _is_owner(owner):
            owners.setdefault(bytes.fromhex(owner), []).append(beside.parent / name)
    for owner_id, paths in owners.items():
        segments = _claimed(paths)
        if segments:
            yield FoundJournal(owner_id, segments)


def _claimed(paths: list[Path]) -> list[Segment]:
    """All files of one owner, or none where one of them is locked."""
    segments: list[Segment] = []
    for path in paths:
        segment = Segment.claim(path, path)
        if segment is None and path.exists():
            for taken in segments:
                taken.release()
            return []
        if segment is not None:
            segments.append(segment)
    return segments


def _is_owner(text: str) -> bool:
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text)
