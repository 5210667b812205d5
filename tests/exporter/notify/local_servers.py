"""Real servers on loopback that answer as a test wants, and notifications to send to them."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.notification import Notification

AT = 1_750_000_000_000


def alert(name: str = "LLMBudget80", *, ended: bool = False, **labels: str) -> Alert:
    return Alert(
        labels_of({"alertname": name, "severity": "warning", "llm_budget_name": "prod", **labels}),
        (("summary", f"{name} of prod"),),
        0.81,
        "inactive" if ended else "firing",
        AT,
        AT,
        AT + 60_000 if ended else None,
    )


def notification(*alerts: Alert, id_: str = "msg_1") -> Notification:
    return Notification(
        id_, "team", '{}:{alertname="LLMBudget80"}', (("alertname", "LLMBudget80"),), alerts or (alert(),), AT
    )


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Heard:
    port: int
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Request]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, seconds)
            return list(self.requests)


@contextmanager
def http_server(
    status: int = 200,
    headers: dict[str, str] | None = None,
    body: bytes = b"ok",
    answers: list[int] | None = None,
    certificate: Path | None = None,
) -> Iterator[Heard]:
    """A server that remembers what it hears; `answers` are the statuses of its first answers."""
    first = list(answers or [])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with heard.arrived:
                heard.requests.append(
                    Request(self.path, {name.lower(): value for name, value in self.headers.items()}, content)
                )
                heard.arrived.notify_all()
            self.send_response(first.pop(0) if first else status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that goes away is what some tests are about

    server = Quiet(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    heard = Heard(server.server_address[1])
    heard.url = f"http://127.0.0.1:{heard.port}/hook?token=s3cret"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_server(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[Heard]:
    """A server that says anything: `speak` gets each connection, and an event that ends it."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    speak(connection, over)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Heard(port := listener.getsockname()[1], url=f"http://127.0.0.1:{port}/hook?token=s3cret")
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
