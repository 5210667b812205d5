"""Refuses network file systems, on which SQLite's write-ahead log loses data."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from spanbudget.processors.errors import LedgerError

NETWORK_FILESYSTEMS: Final = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "ceph",
            "lustre",
            "beegfs",
            "gpfs",
            "davfs",
        ),
        *(
            "glusterfs",
            "fuse.glusterfs",
            "fuse.ceph",
            "fuse.sshfs",
            "fuse.davfs2",
            "fuse.s3fs",
            "fuse.rclone",
        ),
        *("fuse.gcsfuse", "fuse.juicefs", "fuse.mount-s3", "fuse.blobfuse2", "fuse.goofys"),
    }
)
"""Types in /proc/mounts whose locks and shared memory do not reach every machine."""

_IN_PLACE: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs"})
"""Types that write where a file is; others copy on write, and may have no room for that."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def filesystem_type(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds a path.

    Args:
        path: An absolute path without links.
        mounts: The text of /proc/mounts; the last mount on a folder is the one that is seen.
    """
    best_length, best_type = -1, None
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        if len(point) >= best_length and path.is_relative_to(point):
            best_length, best_type = len(point), fields[2]
    return best_type


def mounted() -> str | None:
    """The text of /proc/mounts; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def allocates(path: Path) -> bool:
    """Whether room that was allocated for a file there is there when it is written to."""
    mounts = mounted()
    return mounts is not None and filesystem_type(Path(os.path.realpath(path)), mounts) in _IN_PLACE


def refuse_network_filesystem(path: Path, mounts: str | None = None) -> None:
    """Raises where a path is on a network file system.

    Args:
        path: The file that is to be opened.
        mounts: The text of /proc/mounts; None reads it, and knows nothing where there is none.

    Raises:
        LedgerError: The file system is one of `NETWORK_FILESYSTEMS`.
    """
    if mounts is None:
        mounts = mounted()
    if mounts is None:
        return
    kind = filesystem_type(Path(os.path.realpath(path)), mounts)
    if kind in NETWORK_FILESYSTEMS:
        raise LedgerError(
            f"ledger {path}: it is on a network file system ({kind}), where SQLite can lose data;"
            " name a file on a local disk"
        )
