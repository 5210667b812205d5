"""Opens the file of a SQLite ledger: what it may be, who may read it, which schema it has.

An up-to-date ledger is opened with sqlite3 alone; SQLAlchemy and Alembic are imported where a schema must be
created or migrated.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from spanbudget.exporter.ledger.filesystem import refuse_network_filesystem
from spanbudget.processors.errors import LedgerError, LedgerSchemaError

SCHEMA_VERSION: Final = 4
"""The schema this program writes; the number of the newest file in `migrations/versions`."""

VERSION_TABLE: Final = "spanbudget_schema"
"""Where Alembic keeps the version; its name also tells a ledger from other SQLite files."""

MEMORY: Final = ":memory:"

_SQLITE_MIN: Final = (3, 35, 0)
"""The first SQLite that has RETURNING."""

_PRAGMAS: Final = (
    "PRAGMA synchronous = NORMAL",  # survives kill -9; a power cut may take the last commits
    "PRAGMA cache_size = -65536",  # 64 MiB: the pages of two random indexes over about 1M calls
    "PRAGMA wal_autocheckpoint = 16384",  # 64 MiB: a checkpoint writes pages that many batches share
    "PRAGMA journal_size_limit = 67108864",
)

_WAYS_OUT: Final = {
    "SQLITE_BUSY": "another process holds it locked for longer than the busy timeout; try again, or find it"
    " with `fuser`",
    "SQLITE_FULL": "there is no space left; free some, the append can be tried again",
    "SQLITE_READONLY": "it is read-only; give this user write access to the file and its folder",
    "SQLITE_PERM": "access is denied; give this user write access to the file and its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; give this user write access to the file and its folder",
    "SQLITE_NOTADB": "it is not a SQLite file; name another file, or move this one away",
    "SQLITE_CORRUPT": "it is damaged; stop all writers, keep a copy, and try `sqlite3 FILE .recover`",
    "SQLITE_IOERR": "the disk failed; look at the system's log",
    "SQLITE_CONSTRAINT": "a total left the range that a ledger can hold; the entries are absurd",
}


def explained(path: str, error: sqlite3.Error) -> LedgerError:
    """The error with the name of the ledger and the way out."""
    name = getattr(error, "sqlite_errorname", "")
    way_out = next((text for code, text in _WAYS_OUT.items() if name.startswith(code)), "")
    return LedgerError(f"ledger {path}: {way_out or 'SQLite refused'} ({error}{f', {name}' if name else ''})")


@contextlib.contextmanager
def explaining(path: str) -> Iterator[None]:
    """Turns errors of SQLite and of the system into `LedgerError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(path, error) from error
    except OSError as error:
        way_out = "give this user write access to the file and its folder"
        raise LedgerError(f"ledger {path}: {error.strerror or error}; {way_out}") from error


def open_store(path: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Opens a ledger file, creates it where it is missing, and migrates it where it is old.

    Args:
        path: A path, or ":memory:".
        busy_timeout_seconds: How long to wait for another writer, 0 or more.

    Raises:
        LedgerError: The file is a folder, on a network file system, not writable, not a ledger or damaged.
        LedgerSchemaError: A newer program wrote it; nothing in it was touched.
    """
    if sqlite3.sqlite_version_info < _SQLITE_MIN:
        raise LedgerError(
            f"ledger {path}: SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed"
        )
    with explaining(path):
        if path != MEMORY:
            _prepare_file(Path(path))
        connection = sqlite3.connect(
            MEMORY if path == MEMORY else f"file:{quote(str(Path(path).absolute()))}?mode=rw",
            uri=path != MEMORY,
            timeout=busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _make_ready(connection, path, busy_timeout_seconds)
        except BaseException:
            connection.close()
            raise
    return connection


def schema_version(connection: sqlite3.Connection) -> int | None:
    """The version of the schema; None where the file is empty.

    Raises:
        LedgerError: The file has tables, and they are not a ledger's.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if VERSION_TABLE not in tables:
        raise LedgerError(f"it is a SQLite file of another program (it has {', '.join(sorted(tables)[:3])})")
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return int(row[0]) if row and str(row[0]).isdigit() else 0


def _prepare_file(path: Path) -> None:
    if path.is_dir():
        raise LedgerError(
            f"ledger {path}: it is a folder; name a file in it, such as {path / 'spanbudget.db'}"
        )
    if not path.parent.is_dir():
        raise LedgerError(f"ledger {path}: the folder {path.parent} does not exist; create it first")
    refuse_network_filesystem(path)
    with contextlib.suppress(FileExistsError):
        # Only a file that nobody can have open is opened here: closing a descriptor of a file drops every
        # lock that this process holds on it. SQLite gives its -wal and -shm files the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    if not os.access(path, os.W_OK):
        raise LedgerError(f"ledger {path}: it is read-only; give this user write access to the file")


def _make_ready(connection: sqlite3.Connection, path: str, busy_timeout_seconds: float) -> None:
    try:
        version = schema_version(connection)
    except LedgerError as error:
        raise LedgerError(f"ledger {path}: {error}; name another file") from None
    if version is not None and version > SCHEMA_VERSION:
        raise LedgerSchemaError(
            f"ledger {path}: a newer SpanBudget wrote it (schema {version}, this program knows up to"
            f" {SCHEMA_VERSION}); upgrade SpanBudget, or name another ledger. Nothing in it was touched."
        )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    _write_ahead(connection, time.monotonic() + busy_timeout_seconds)
    if version != SCHEMA_VERSION:
        from spanbudget.exporter.ledger.migrate import migrate  # noqa: PLC0415 - a heavy import, rarely needed

        migrate(connection)


def _write_ahead(connection: sqlite3.Connection, deadline_seconds: float) -> None:
    """Switches to write-ahead logging; SQLite does not wait here where others are opening the file."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() >= deadline_seconds:
                raise
            time.sleep(0.005)
        else:
            return
