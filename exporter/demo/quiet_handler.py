"""What both servers of the demo do alike: a client that leaves, or is killed, is no error to tell of."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Final

POLL_SECONDS: Final = 0.01
"""How long stopping a server takes, at most; looking a hundred times a second costs next to nothing."""


class QuietHandler(BaseHTTPRequestHandler):
    """Answers requests over kept connections, and writes nothing to the standard error."""

    protocol_version = "HTTP/1.1"

    @property
    def length(self) -> int:
        """How long the body of the request is, bytes."""
        return int(self.headers.get("content-length", 0))

    def body(self) -> bytes:
        """The body of the request.

        Raises:
            ConnectionResetError: The client left before it had sent all of it.
        """
        body = self.rfile.read(self.length)
        if len(body) < self.length:
            raise ConnectionResetError
        return body

    def handle(self) -> None:
        """Serves one client until it leaves, be it in the middle of a request or of an answer."""
        with suppress(ConnectionResetError, BrokenPipeError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Says nothing."""
