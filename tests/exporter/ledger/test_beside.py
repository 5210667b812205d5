import os
from pathlib import Path

import pytest

from spanbudget.exporter.ledger.beside import path_beside
from spanbudget.processors.errors import LedgerError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_files_of_a_ledger_in_a_file_lie_beside_it():
    assert path_beside("sqlite:///spend.db") == Path("spend.db")
    assert path_beside("sqlite:////var/spend.db") == Path("/var/spend.db")


def test_those_of_a_servers_ledger_lie_in_a_folder_of_the_user_and_are_found_again(temporary):
    """Another user or password is still the same ledger; another database or schema is not."""
    path = path_beside("postgresql://me:secret@host/spend")
    assert path.parent == temporary / f"spanbudget-{os.getuid()}"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path_beside("postgresql+psycopg://you:changed@host/spend?sslmode=require") == path
    assert path_beside("postgresql://me:secret@host/spend?options=-csearch_path%3Dother") != path
    assert path_beside("postgresql://me:secret@host/other") != path
    assert "secret" not in str(path)


def test_those_of_a_ledger_in_memory_are_this_processs_own(temporary):
    own = temporary / f"spanbudget-{os.getuid()}" / f"{os.getpid()}.db"
    assert path_beside("sqlite://") == path_beside("sqlite:///:memory:") == own


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_folder_that_is_not_this_users_alone_is_refused(temporary, kind):
    folder = temporary / f"spanbudget-{os.getuid()}"
    match kind:
        case "open":
            folder.mkdir()
            folder.chmod(0o777)
        case "link":
            (temporary / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(temporary / "elsewhere")
        case _:
            folder.touch()
    with pytest.raises(LedgerError, match=r"TMPDIR"):
        path_beside("postgresql://host/spend")
