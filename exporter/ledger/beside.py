"""Where the files lie that belong to a ledger: what waits for it in the spool, and journals of holds."""

import os
import stat
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from spanbudget.exporter.ledger.server_url import shown
from spanbudget.processors.errors import LedgerError

_PLACING: Final = ("host", "hostaddr", "port", "dbname", "service", "options")
"""Parameters of libpq that choose the database, or by `-csearch_path` the schema in it."""


def path_beside(url: str) -> Path:
    """The path beside which the files of a ledger lie: its own, or one in a folder of this user.

    For the ledger of a server it is the same at every start, so that a process finds what another one on this
    machine has left. A ledger in memory shares with nobody.

    Args:
        url: The ledger.

    Raises:
        LedgerError: The folder in the temporary folder is not this user's alone.
    """
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/").partition("?")[0]
    if scheme == "sqlite" and path and path != ":memory:":
        return Path(path)
    if scheme == "sqlite":
        return _own_folder() / f"{os.getpid()}.db"
    return _own_folder() / f"{blake2b(_place(url).encode(), digest_size=8).hexdigest()}.db"


def _place(url: str) -> str:
    """What tells one ledger from another: where it is, not how one gets in."""
    options = sorted(pair for pair in parse_qsl(url.partition("?")[2]) if pair[0] in _PLACING)
    return repr((shown(url).rpartition("@")[2].rpartition("//")[2], options))


def _own_folder() -> Path:
    """A folder that nobody else can put files into; what we put there only this user can read."""
    folder = Path(tempfile.gettempdir()) / f"spanbudget-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise LedgerError(f"{folder}: {error.strerror or error}; set TMPDIR to a folder of yours") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise LedgerError(
            f"{folder}: it is not this user's alone; remove it, or set TMPDIR to another folder"
        )
    return folder
