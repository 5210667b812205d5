import pytest

from spanbudget.exporter.ledger import open_ledger, url_of
from spanbudget.exporter.ledger.server_url import driver_url, shown
from spanbudget.processors.errors import LedgerError


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:s%40cret@a:1,b:2/db", "postgresql+psycopg://me:***@a:1,b:2/db"),
        ("postgresql://host/db?password=secret&user=a%40b", "postgresql://host/db"),
        ("postgresql://host/db?password=se@cret", "postgresql://***"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***"),
        ("postgresql://me:sec/ret@host/db", "postgresql://***"),
        ("postgresql://me:sec?ret@host/db", "postgresql://***"),
        ("postgresql://me:sec ret@host/db", "postgresql://***"),
        ("postgresql://me:sec:ret@host/db", "postgresql://***"),
        ("postgresql://me:sec#ret@host/db", "postgresql://***"),
    ],
)
def test_a_url_is_shown_without_its_password(url, told):
    assert shown(url) == told


def test_the_driver_gets_the_url_as_it_is():
    assert driver_url("postgresql+psycopg://me:s%40@host/db?a=b") == "postgresql://me:s%40@host/db?a=b"


@pytest.mark.parametrize("password", ["se@cret", "se/cret", "se:cret", "se cret", "se#cret"])
def test_a_password_that_could_be_taken_for_something_else_is_refused(password):
    with pytest.raises(LedgerError, match=r"percent-encoded.*%40 is @") as caught:
        driver_url(f"postgresql://me:{password}@host/db")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "postgres:me:secret@host"])
def test_an_unsupported_url_is_told_without_its_password(url):
    with pytest.raises(LedgerError, match="supported are") as caught:
        open_ledger(url)
    assert "secret" not in str(caught.value)


def test_a_ledger_is_named_by_a_file_or_a_url(tmp_path):
    assert url_of("postgresql://host/db") == "postgresql://host/db"
    assert url_of(tmp_path / "a b.db") == f"sqlite:///{tmp_path}/a b.db"
