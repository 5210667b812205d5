"""Is the ledger quick enough, is there room for it, and who can read it?"""

import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from spanbudget.exporter.checks.clock import skew
from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.checks.latency import Latency, latency_of, measure
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.filesystem import refuse_network_filesystem
from spanbudget.exporter.ledger.server_url import driver_url, shown
from spanbudget.processors.errors import LedgerError

AREA: Final = "ledger"
SLOW_MS: Final = 50.0
"""A hold or a settlement above this (50 ms) is felt in a call: a slow or busy disk, or a far server."""
_FREE_WARN: Final = 1 << 30
_FREE_FAIL: Final = 100 << 20
_SQLITE: Final = "sqlite:///"
_MEMORY: Final = ("", ":memory:")


def check_store(url: str) -> Iterator[Finding]:
    """Checks the ledger that a URL names, without writing to it."""
    if not url.startswith("sqlite:"):
        yield from _check_server(url)
        return
    place = url.removeprefix(_SQLITE).removeprefix("sqlite://").partition("?")[0]
    if place in _MEMORY:
        yield Finding(AREA, url, "warn", "in memory: no other process sees it, and it is gone with this one")
        return
    yield from _check_file(Path(place).absolute())


def ledger_file(url: str) -> Path | None:
    """The file of a ledger; None where it is none, or not there yet."""
    place = url.removeprefix(_SQLITE).partition("?")[0]
    path = Path(place).absolute()
    return path if url.startswith(_SQLITE) and place not in _MEMORY and path.is_file() else None


def _check_file(path: Path) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        yield Finding(AREA, str(path), "fail", f"the folder {folder} does not exist; create it")
        return
    try:
        refuse_network_filesystem(path)
    except LedgerError as error:
        yield Finding(AREA, "file system", "fail", str(error))
        return
    yield _access(path)
    yield _room(folder)
    yield _speed(folder)


def _access(path: Path) -> Finding:
    if not path.exists():
        return Finding(AREA, str(path), "info", "not there yet; it is made with mode 0600 at the first use")
    files = [one for one in (path, path.with_name(path.name + "-wal")) if one.exists()]
    mode = 0
    for file in files:
        mode |= stat.S_IMODE(file.stat().st_mode)
    numbers = {"mode": f"{mode:04o}", "bytes": sum(file.stat().st_size for file in files)}
    size = f"{numbers['bytes']:,} bytes, mode {mode:04o}"
    if mode & 0o077:
        names = " ".join(map(str, files))
        told = f"{size}: others can {_rights(mode)} who has spent what; chmod 600 {names}"
        return Finding(AREA, str(path), "warn", told, numbers)
    return Finding(AREA, str(path), "pass", f"{size}: only its owner can read it", numbers)


def _rights(mode: int) -> str:
    return "change" if mode & 0o022 else "read"


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):,.1f} GiB free beside the ledger"
    numbers = {"free_bytes": free}
    if free < _FREE_FAIL:
        return Finding(
            AREA, "disk", "fail", f"{told}: spend will go to the spool, and that needs room too", numbers
        )
    return Finding(AREA, "disk", "warn" if free < _FREE_WARN else "pass", told, numbers)


def _speed(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryDirectory(prefix=".spanbudget-doctor-", dir=folder) as scratch:
            ledger = open_ledger(f"{_SQLITE}{scratch}/scratch.db")
            try:
                found = measure(ledger, time.time_ns())
            finally:
                ledger.close()
    except (OSError, LedgerError) as error:
        told = f"no ledger can be written in {folder}: {error}; give this user write access"
        return Finding(AREA, "speed", "fail", told)
    return _judged("speed", found)


def _judged(subject: str, measured: Mapping[str, Latency]) -> Finding:
    numbers = {
        f"{name}_{rank}_ms": round(getattr(one, rank), 3)
        for name, one in measured.items()
        for rank in ("p50", "p99")
    }
    told = ", ".join(f"{name} {one.p50:.2f} ms (p99 {one.p99:.2f})" for name, one in measured.items())
    if any(one.p50 > SLOW_MS for one in measured.values()):
        return Finding(AREA, subject, "warn", f"{told}: slow, every call waits for it", numbers)
    return Finding(AREA, subject, "pass", told, numbers)


def _check_server(url: str) -> Iterator[Finding]:
    """Asks a server for its clock, and writes to a temporary table, which goes with the connection."""
    name = shown(url)
    try:
        import psycopg  # noqa: PLC0415 - only who has such a ledger has the driver
    except ImportError:
        yield Finding(AREA, name, "fail", "its driver is missing; pip install 'spanbudget[postgres]'")
        return
    try:
        with psycopg.connect(driver_url(url), connect_timeout=10, autocommit=True) as connection:
            ask = connection.execute
            ask("CREATE TEMPORARY TABLE spanbudget_doctor (number int PRIMARY KEY, told text)")
            trip = latency_of(lambda _: ask("SELECT 1").fetchone())
            write = latency_of(
                lambda one: ask("INSERT INTO spanbudget_doctor VALUES (%s, %s)", (one, "x" * 200))
            )
            before = time.time()
            row = ask("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            ahead = (row[0] if row else before) - (before + time.time()) / 2
    except (psycopg.Error, LedgerError) as error:
        yield Finding(AREA, name, "fail", f"cannot be used: {str(error).splitlines()[0]}")
        return
    yield _judged(name, {"round trip": trip, "write": write})
    yield skew(name, ahead)
