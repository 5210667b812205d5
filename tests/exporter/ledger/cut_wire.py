"""A wire between a ledger and its server that can be cut at a chosen word, as networks do."""

import contextlib
import socket
import threading


class CutWire:
    """Carries bytes between one client at a time and a port of the loopback interface.

    Args:
        port: Where the server listens.

    Attributes:
        port: Where the wire begins.
        cut_after: Once the client has sent this, the server still gets it, and no answer comes back; then
            both ends are closed. Empty for never; it is used once.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cut_after = b""
        self._thread = threading.Thread(target=self._carry_all, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _carry_all(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
                self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        cut = threading.Event()
        answers = threading.Thread(target=self._answer, args=(client, server, cut))
        answers.start()
        while sent := client.recv(65_536):
            if self.cut_after and self.cut_after in sent:
                self.cut_after = b""
                cut.set()
                server.sendall(sent)
                break
            server.sendall(sent)
        server.shutdown(socket.SHUT_WR)
        answers.join()  # until the server has done what it was sent, and hung up

    @staticmethod
    def _answer(client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while answer := server.recv(65_536):
                if not cut.is_set():
                    client.sendall(answer)
