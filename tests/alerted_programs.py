"""Programs that spend, as processes of their own, and a receiver of what is told of it."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("alerted_child.py")
SECONDS_MAX = 90.0
"""Far longer than anything takes, the 15 s of a killed leader's lease included."""
ALL = "{name: all, max_cost: 1, period: total, alerts: {thresholds: [50, 80]}}"
"""A call costs 10 cents, so the fifth and the eighth one cross a threshold."""


def until(settled: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
    """Looks again until it is so; fails at the bound, which is far away."""
    deadline = time.monotonic() + seconds
    while not settled():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass
class Told:
    """What a receiver was told.

    Attributes:
        port: Where it listens.
        letters: (path, id, body) of each request, in the order of their arrival; repeats as well.
    """

    port: int
    letters: list[tuple[str, str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def thresholds(self, path: str = "/ok") -> list[str]:
        """What was told of thresholds, one word for each notification and alert: repeats count once."""
        first = {id_: body for where, id_, body in reversed(self.letters) if where == path}
        return [
            f"{alert['status']} {alert['labels']['llm_budget_threshold']}"
            for body in reversed(first.values())
            for alert in body["alerts"]
        ]


@contextmanager
def receiver(port: int = 0) -> Iterator[Told]:
    """A server that takes what comes to /ok, and misbehaves on /hang, /500, /garbage and /redirect."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.letters.append((self.path, self.headers["webhook-id"], body))
            if self.path == "/hang":
                told.over.wait(SECONDS_MAX)
            if self.path in ("/garbage", "/hang"):
                self.wfile.write(b"\x00\xff\x16 no HTTP at all\r\n\r\n" * 100)
                return
            self.send_response({"/500": 500, "/redirect": 307}.get(self.path, 200))
            self.send_header("Location", "/ok")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed, or that gave up, is what these tests are about."""

    server = Quiet(("127.0.0.1", port), Handler)
    told = Told(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        told.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def webhook(port: int, path: str = "/ok", *, name: str = "team") -> str:
    """A receiver of the configuration."""
    where = f"{{url: 'http://127.0.0.1:{port}{path}', allow_private: true, timeout_seconds: 60}}"
    return f"{{name: {name}, repeat_interval: 1d, webhook: {where}}}"


def written(folder: Path, *receivers: str, url: str = "", budget: str = ALL, more: str = "") -> Path:
    """A configuration; without a URL, on a SQLite ledger in the same folder."""
    path = folder / "budgets.yaml"
    path.write_text(
        f"ledger: {{url: '{url or f'sqlite:///{folder}/ledger.db'}'}}\nmetrics: {{exporter: none}}\n"
        f"budgets: [{budget}]\nreceivers: [{', '.join(receivers)}]\n{more}"
    )
    return path


class Program:
    """A process of `alerted_child.py`.

    Args:
        config: Its configuration.
    """

    def __init__(self, config: Path) -> None:
        self.log = config.with_name("stderr.txt")
        self.process: Any
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, CHILD, config],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n", self.log.read_text()

    def ask(self, *words: object) -> str:
        """Tells it something; its answer."""
        self.tell(*words)
        return str(self.process.stdout.readline()).strip()

    def tell(self, *words: object) -> None:
        """Tells it something that it does not answer."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def spend(self, calls: int) -> None:
        """Makes calls of 10 cents; the ledger has them when this returns."""
        assert self.ask("spend", calls) == "spent True"

    def leads(self) -> bool:
        """Whether it evaluates the rules."""
        return self.ask("leads") == "leads True"

    def end(self) -> None:
        """Lets it end as programs do."""
        self.tell("end")
        assert self.process.wait(SECONDS_MAX) == 0

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def programs(config: Path) -> Iterator[Callable[[], Program]]:
    """Starts programs on a configuration; those that are left at the end are killed."""
    begun: list[Program] = []

    def start() -> Program:
        begun.append(Program(config))
        return begun[-1]

    try:
        yield start
    finally:
        for one in begun:
            one.kill()


def leader(running: list[Program]) -> Program:
    """The one that evaluates the rules, as soon as there is one."""
    found: list[Program] = []

    def look() -> bool:
        found[:] = [one for one in running if one.leads()]
        return bool(found)

    until(look)
    return found[0]


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
