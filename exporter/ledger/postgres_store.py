"""Opens the database of a PostgreSQL ledger: how it is reached, how long to wait, which schema it has.

An up-to-date ledger is opened with psycopg alone; SQLAlchemy and Alembic are imported where a schema must be
created or migrated.
"""

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from spanbudget.exporter.ledger.postgres_values import IntegerLoader
from spanbudget.exporter.ledger.server_url import driver_url, shown
from spanbudget.exporter.ledger.store import SCHEMA_VERSION, VERSION_TABLE
from spanbudget.processors.errors import LedgerError, LedgerSchemaError

_T = TypeVar("_T")

_SERVER_MIN: Final = 130000
"""The first server that tells what became of a transaction: `pg_xact_status`."""
_GRACE_SECONDS: Final = 5.0
"""What a statement may take on top of waiting for locks; twice that, and the server is given up."""
_CONNECT_SECONDS_MIN: Final = 2
_KEEPALIVE: Final = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}

_WAYS_OUT: Final = {
    "08": "the connection is lost; it is opened again at the next use",
    "57P": "the server is stopping or starting; it is tried again at the next use",
    "28": "it refuses this user; check the user and the password of the URL, and the server's pg_hba.conf",
    "3D000": "there is no such database; create it with `createdb`, or name another one",
    "42501": "this user may not do that; GRANT it CREATE on the schema, and ownership of the tables",
    "42P07": "another program has a table of that name here; name another database, or another schema with"
    " ?options=-csearch_path%3Dspanbudget",
    "42P01": "its tables are gone; restore them from a backup, or name another database",
    "25006": "it is a standby and read-only; name the primary server",
    "53100": "the server has no space left; free some, the append can be tried again",
    "53300": "the server has no connection left; raise its max_connections, or stop other clients",
    "55P03": "another process holds it locked for longer than the busy timeout; try again, or find it in"
    " pg_stat_activity",
    "57014": "the server takes longer than the busy timeout; try again, or look at its load",
    "40": "it was in the way of other processes too often; try again",
    "25P03": "this process stood still inside a transaction, which the server has ended; try again",
    "22003": "a total left the range that a ledger can hold; the entries are absurd",
    "23514": "a total left the range that a ledger can hold; the entries are absurd",
}
"""By SQLSTATE, or its beginning; see appendix A of PostgreSQL's manual."""

_UNREACHED: Final = (
    "the server cannot be used; is it running there, and are the user, the password and the database right?"
)


class Statement(NamedTuple):
    """One statement and its values.

    Attributes:
        sql: The text, `%s` for each value.
        values: The values.
    """

    sql: bytes
    values: Sequence[object] = ()


class Answer(NamedTuple):
    """What one statement answered.

    Attributes:
        rows: Its rows; none where it has none to give.
        affected: How many rows it found or changed.
    """

    rows: list[tuple[Any, ...]]
    affected: int


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for no answer longer than its patience, not even where the server hangs."""

    patience_seconds = 2 * _GRACE_SECONDS

    def wait(self, gen: Generator[Any, Any, _T], *args: Any, **kwargs: Any) -> _T:
        """See `psycopg.Connection.wait`."""
        return super().wait(self._limited(gen), *args, **kwargs)

    def run(self, *statements: Statement) -> list[Answer]:
        """Runs statements in one round trip; the first that fails is the last.

        They travel as one text. A pipeline would be as quick, but psycopg ends it with a message after which
        the server no longer minds a session that is idle inside a transaction, with all its locks.
        """
        answers: list[Answer] = []
        with psycopg.ClientCursor(self) as cursor:
            cursor.execute(b";".join(cursor.mogrify(*one).encode() for one in statements))
            while len(answers) < len(statements):
                answers.append(Answer(cursor.fetchall() if cursor.description else [], cursor.rowcount))
                cursor.nextset()
        return answers

    @contextlib.contextmanager
    def patient(self, seconds: float) -> Iterator[None]:
        """Waits so long for each answer; the server has a limit of its own, `statement_timeout`."""
        usual = self.patience_seconds
        self.patience_seconds = seconds
        try:
            yield
        finally:
            self.patience_seconds = usual

    def _limited(self, gen: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        give_up_at = time.monotonic() + self.patience_seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > give_up_at:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer in {self.patience_seconds:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: _T = end.value
            return answer


def explained(name: str, error: psycopg.Error) -> LedgerError:
    """The error with the name of the ledger and the way out.

    Args:
        name: The URL as people may see it.
        error: What the driver says.
    """
    code = error.sqlstate or ""
    way_out = next((text for state, text in _WAYS_OUT.items() if code.startswith(state)), "")
    if not way_out:
        lost = isinstance(error, psycopg.OperationalError)
        way_out = _UNREACHED if lost else "PostgreSQL refused"
    said = (error.diag.message_primary or str(error).strip() or type(error).__name__).splitlines()[0]
    return LedgerError(f"ledger {name}: {way_out} ({said}{f', {code}' if code else ''})")


def open_store(url: str, *, busy_timeout_seconds: float, create: bool = True) -> Connection:
    """Opens a ledger, creates its tables where there are none, and migrates them where they are old.

    Args:
        url: `postgresql://user:password@host/database`; options of libpq may follow.
        busy_timeout_seconds: How long to wait for a lock that another process holds, 0 or more.
        create: Whether tables are created where there are none.

    Raises:
        LedgerError: The server cannot be reached or refuses; the message does not show the password.
        LedgerSchemaError: A newer program wrote the ledger; nothing in it was touched.
    """
    settings = _settings(url, busy_timeout_seconds)
    name = shown(url)
    try:
        connection = Connection.connect(autocommit=True, **settings)
        try:
            connection.patience_seconds = busy_timeout_seconds + 2 * _GRACE_SECONDS
            connection.adapters.register_loader("numeric", IntegerLoader)
            _make_ready(connection, name, create=create)
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise explained(name, error) from error
    return connection


def schema_version(connection: Connection) -> int | None:
    """The version of the schema; None where there is no ledger yet."""
    known = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (VERSION_TABLE,)).fetchone()
    if not (known and known[0]):
        return None
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}".encode()).fetchone()
    return int(row[0]) if row and str(row[0]).isdigit() else 0


def _settings(url: str, busy_timeout_seconds: float) -> dict[str, Any]:
    """The parameters of the connection; those of the URL go before ours."""
    asked: dict[str, Any] | None = None
    with contextlib.suppress(psycopg.ProgrammingError):  # its message may quote any part of the URL
        asked = conninfo_to_dict(driver_url(url))
    if asked is None:
        way_out = "write it as postgresql://user:password@host:5432/database"
        raise LedgerError(f"ledger {shown(url)}: the driver cannot read this URL; {way_out}")
    lock_ms = max(1, round(busy_timeout_seconds * 1000))
    statement_ms = lock_ms + round(_GRACE_SECONDS * 1000)
    limits = {
        "lock_timeout": lock_ms,
        "statement_timeout": statement_ms,
        # A process that was stopped in the middle of a transaction stops nobody else.
        "idle_in_transaction_session_timeout": statement_ms,
        # And a machine that is gone takes none of its locks along.
        "tcp_user_timeout": statement_ms,
        **{f"tcp_{name}": value for name, value in _KEEPALIVE.items()},
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return {
        "application_name": "spanbudget",
        "connect_timeout": max(_CONNECT_SECONDS_MIN, round(busy_timeout_seconds)),
        "tcp_user_timeout": statement_ms,
        **_KEEPALIVE,
        **asked,
        "client_encoding": "utf8",
        "options": f"{options} {asked.get('options') or ''}".strip(),
    }


def _make_ready(connection: Connection, name: str, *, create: bool) -> None:
    if connection.info.server_version < _SERVER_MIN:
        found = connection.info.parameter_status("server_version")
        raise LedgerError(f"ledger {name}: PostgreSQL {found} is too old; 13 or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise LedgerError(
            f"ledger {name}: its encoding is {encoding}; create the database with"
            " ENCODING 'UTF8' TEMPLATE template0"
        )
    version = _known_version(connection, name)
    if version is None and not create:
        raise LedgerError(f"ledger {name}: there is no ledger in this database yet; name another one")
    if version != SCHEMA_VERSION:
        # A heavy import, rarely needed.
        from spanbudget.exporter.ledger.migrate import migrate_server  # noqa: PLC0415

        migrate_server(connection, lambda: schema_version(connection))
        _known_version(connection, name)  # another process may have been first, and newer


def _known_version(connection: Connection, name: str) -> int | None:
    version = schema_version(connection)
    if version is not None and version > SCHEMA_VERSION:
        raise LedgerSchemaError(
            f"ledger {name}: a newer SpanBudget wrote it (schema {version}, this program knows up to"
            f" {SCHEMA_VERSION}); upgrade SpanBudget, or name another ledger. Nothing in it was touched."
        )
    return version
