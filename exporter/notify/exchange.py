"""One HTTP request and its answer: to a checked address, within a time, of bounded size.

Redirects are not followed, and proxies of the environment are not used: both would lead to where nobody has
looked.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanbudget.exporter.notify.addresses import Target, addresses_of
from spanbudget.exporter.notify.errors import DeliveryError

ANSWER_BYTES_MAX: Final = 65_536
RETRY_AFTER_SECONDS_MAX: Final = 3_600.0
"""What a receiver may ask to wait at most."""
_CHUNK_BYTES: Final = 16_384
_RETRIED: Final = (408, 425, 429)
"""Answers below 500 after which another attempt may succeed."""


class Reach(NamedTuple):
    """How a receiver may be reached.

    Attributes:
        timeout_seconds: For the whole exchange, the look-up of the host included.
        allow_private: Whether addresses that are not public are allowed.
        ca_file: PEM file of the authorities that its certificate is checked by; None for the system's.
    """

    timeout_seconds: float = 10.0
    allow_private: bool = False
    ca_file: Path | None = None


DEFAULT_REACH: Final = Reach()


class Answer(NamedTuple):
    """What a receiver answered.

    Attributes:
        status: Of HTTP.
        retry_after: The header of that name; "" where there is none.
        body: Its beginning, at most `ANSWER_BYTES_MAX`.
    """

    status: int
    retry_after: str
    body: bytes


def post(target: Target, body: bytes, headers: Mapping[str, str], reach: Reach) -> Answer:
    """Sends a POST request and reads the answer, whatever its status is.

    Raises:
        DeliveryError: There is no answer, or none of HTTP.
    """
    deadline = time.monotonic() + reach.timeout_seconds
    tls = _tls_context(target, reach)
    connection = _Connection(target, reach, deadline, tls)
    try:
        connection.request("POST", target.path, body=body, headers={"Host": target.host_header, **headers})
        response = connection.getresponse()
        status = response.status
        retry_after = response.getheader("Retry-After") or ""
        return Answer(status, retry_after, _beginning(response))
    except DeliveryError:
        raise
    except TimeoutError:
        said = f"no complete answer within {reach.timeout_seconds:g} seconds"
        raise DeliveryError(f"{target.origin}: {said}", retry=True) from None
    except ssl.SSLCertVerificationError as error:
        said = f"its certificate is not accepted: {error.verify_message}; an authority is added by `ca_file`"
        raise DeliveryError(f"{target.origin}: {said}", retry=True) from None
    except OSError as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise DeliveryError(f"{target.origin}: {said}", retry=True) from None
    except (http.client.HTTPException, ValueError) as error:
        said = f"answered something that is not HTTP ({type(error).__name__})"
        raise DeliveryError(f"{target.origin}: {said}", retry=True) from None
    finally:
        connection.close()


def check(answer: Answer, target: Target, detail: str = "") -> None:
    """Accepts any answer of 200 to 299.

    Raises:
        DeliveryError: It is another one.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    said = f"{target.origin}: answered {status} {http.client.responses.get(status, '')}".rstrip() + detail
    if 300 <= status < 400:
        raise DeliveryError(f"{said}; redirects are not followed, configure the final URL", retry=False)
    retry = status >= 500 or status in _RETRIED
    raise DeliveryError(said, retry=retry, retry_after_seconds=retry_after_seconds(answer) if retry else None)


def retry_after_seconds(answer: Answer) -> float | None:
    """What the header `Retry-After` says, at most `RETRY_AFTER_SECONDS_MAX`; None where it says nothing."""
    text = answer.retry_after.strip()[:64]
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_SECONDS_MAX)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    """The beginning of the body; the status says it all, so a body that breaks off is as good as none."""
    try:
        return response.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException, ValueError):
        return b""


def _tls_context(target: Target, reach: Reach) -> ssl.SSLContext | None:
    if target.scheme == "http":
        return None
    try:
        return ssl.create_default_context(cafile=str(reach.ca_file) if reach.ca_file else None)
    except OSError as error:  # ssl.SSLError is one
        said = f"`ca_file` cannot be read: {error.strerror or type(error).__name__}"
        raise DeliveryError(f"{target.origin}: {said}", retry=True) from None


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address that ends at a moment, however slowly the other side goes on."""

    def __init__(self, target: Target, reach: Reach, deadline: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port)
        self._target = target
        self._reach = reach
        self._deadline = deadline
        self._tls = tls
        self.response_class = self._response  # type: ignore[assignment]  # only ever called

    def connect(self) -> None:
        addresses = addresses_of(
            self._target,
            allow_private=self._reach.allow_private,
            timeout_seconds=_left(self._deadline),
        )
        plain = self._first_that_answers(addresses)
        self.sock = plain
        if self._tls is not None:
            # The certificate is that of the name, though the connection goes to the address.
            wrapped = self._tls.wrap_socket(
                plain, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self.sock = wrapped
            wrapped.settimeout(_left(self._deadline))
            wrapped.do_handshake()

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK_BYTES):
            sock.settimeout(_left(self._deadline))
            sock.sendall(view[start : start + _CHUNK_BYTES])

    def _first_that_answers(self, addresses: list[str]) -> socket.socket:
        for index, address in enumerate(addresses):
            share = _left(self._deadline) / (len(addresses) - index)
            try:
                return socket.create_connection((address, self._target.port), share)
            except OSError:
                if index == len(addresses) - 1:
                    raise
        raise TimeoutError

    def _response(self, sock: socket.socket, *args: Any, **options: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **options)
        response.fp = io.BufferedReader(_Reader(response.fp.detach(), sock, self._deadline))
        return response


class _Reader(io.RawIOBase):
    """What arrives on a socket until a moment."""

    def __init__(self, raw: Any, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()  # the socket stays open for as long as this is
        super().close()


def _left(deadline: float) -> float:
    """Seconds until a moment.

    Raises:
        TimeoutError: It has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
