"""A real PostgreSQL for tests: the binaries of the machine, a data folder and a port of its own."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg

USER: Final = "spanbudget"
PASSWORD: Final = "p%ss w@rd/:?#"  # noqa: S105 - every character that a URL cannot have
PASSWORD_IN_URL: Final = "p%25ss%20w%40rd%2F%3A%3F%23"  # noqa: S105
_START_SECONDS: Final = 60.0


def binaries() -> Path | None:
    """The folder of the newest server that is installed; None where there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if installed := shutil.which("postgres"):
        found.append(Path(installed).resolve().parent)
    with_initdb = [path for path in found if (path / "initdb").exists()]
    return max(with_initdb, key=lambda path: float(f"0{path.parent.name}"), default=None)


class PostgresServer:
    """One server on a free port of the loopback interface; a superuser runs it as the user `postgres`.

    Args:
        bin_folder: Where `initdb` and `postgres` are.
    """

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self._as_user: dict[str, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="spanbudget-pg-"))
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._initialise()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def start(self) -> None:
        """Starts the server where it does not run, and waits until it answers."""
        if self._process is not None:
            return
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "deadlock_timeout": "100ms",
            "log_min_messages": "panic",
        }
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *options],
                stdout=log, stderr=log, cwd=self.folder, **self._as_user,
            )  # fmt: skip
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT ends every session, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops and starts."""
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """Stops the server and deletes all it has."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """The URL of a database, with the password."""
        return f"postgresql://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection beside the ledger's, in autocommit mode."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The name of a new database, which is dropped at the end."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield name
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        command = [
            self._bin / "initdb", "--no-sync", "--username", USER, f"--pwfile={secret}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "-D", self.folder / "data",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, check=False, **self._as_user
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
