"""Empty SQLite ledgers, quicker than the migrations make them: they run once, and their file is copied."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from spanbudget.exporter.ledger import open_ledger


@cache
def _empty() -> bytes:
    """The file of a new ledger that was closed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        open_ledger(f"sqlite:///{path}").close()
        return path.read_bytes()


def put_ledger(path: Path) -> Path:
    """Writes an empty ledger where there is none; what opens it finds a ledger that is up to date.

    Args:
        path: A file that is not there yet.
    """
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_empty())
    return path
