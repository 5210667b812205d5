"""Transports that guard what goes through them, for httpx and httpx2, in both worlds.

The order is: recognise, reserve, rewrite, mark as sent, send, read the usage as the body passes, settle.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from spanbudget.exporter.guard.attempt import Attempt
from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.guard.gate import Gate, Request, Reserving, Response, library_of
from spanbudget.processors.errors import BudgetExceeded


def send(gate: Gate, inner: Callable[[Request], Response], request: Request) -> Response:
    """Sends a request through the gate.

    Args:
        gate: The gate.
        inner: `handle_request` of the transport that sends.
        request: The request.
    """
    call = gate.recognise(request)
    held = gate.reserve(call) if call is not None else None
    if call is None or held is None:
        return inner(request)
    if isinstance(held, BudgetExceeded):
        return gate.refuse(request, held)
    request, attempt = gate.prepare(request, call, held)
    del call  # it holds the prompt, and the answer may take long
    with attempt:
        response = inner(request)
    return _followed(gate, attempt, response, "SyncByteStream")


async def send_async(
    gate: Gate, inner: Callable[[Request], Awaitable[Response]], request: Request
) -> Response:
    """Sends a request through the gate; see `send`."""
    call = gate.recognise(request)
    held = await gate.reserve_async(call) if call is not None else None
    if call is None or held is None:
        return await inner(request)
    if isinstance(held, BudgetExceeded):
        return gate.refuse(request, held)
    request, attempt = gate.prepare(request, call, held)
    del call
    with attempt:
        response = await inner(request)
    return _followed(gate, attempt, response, "AsyncByteStream")


class _Guarding:
    """A transport around another one, with a gate of its own."""

    def __init__(self, inner: Any, reserving: Reserving, config: GuardConfig | None = None) -> None:
        self.inner = inner
        self.gate = Gate(reserving, config)

    @classmethod
    def through(cls, gate: Gate, inner: Any) -> Self:
        """A transport that shares a gate."""
        transport = cls(inner, gate.reserving, gate.config)
        transport.gate = gate
        return transport


class GuardTransport(_Guarding):
    """Guards one transport of httpx or httpx2, for clients that are not to be guarded as a whole.

    Args:
        inner: The transport that sends; a `MockTransport` as well.
        reserving: Who holds money.
        config: Which hosts are guarded; None takes the known ones.
    """

    def handle_request(self, request: Request) -> Response:
        """Sends a request; a refused one is answered with 402."""
        return send(self.gate, self.inner.handle_request, request)

    def close(self) -> None:
        """Closes the transport that sends."""
        self.inner.close()

    def __enter__(self) -> Self:
        """Opens the transport that sends."""
        self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the transport that sends."""
        self.inner.__exit__(kind, error, trace)


class AsyncGuardTransport(_Guarding):
    """The same for an asynchronous transport; see `GuardTransport` for the arguments."""

    async def handle_async_request(self, request: Request) -> Response:
        """Sends a request; a refused one is answered with 402."""
        return await send_async(self.gate, self.inner.handle_async_request, request)

    async def aclose(self) -> None:
        """Closes the transport that sends."""
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        """Opens the transport that sends."""
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the transport that sends."""
        await self.inner.__aexit__(kind, error, trace)


class _FollowedBytes:
    """The body of an answer, read on its way to the application."""

    def __init__(self, body: Any, attempt: Attempt) -> None:
        self._body = body
        self._attempt = attempt

    def __iter__(self) -> Iterator[bytes]:
        attempt = self._attempt
        try:
            for data in self._body:
                passed = attempt.read(data)
                if passed:
                    yield passed
        except BaseException as error:
            attempt.cut_off(error)
            raise
        rest = attempt.ended()
        if rest:
            yield rest

    def close(self) -> None:
        """Closes the body, and settles what was received if it was not read to its end."""
        try:
            self._body.close()
        finally:
            self._attempt.cut_off()


class _FollowedAsyncBytes:
    """The same for an asynchronous body."""

    def __init__(self, body: Any, attempt: Attempt) -> None:
        self._body = body
        self._attempt = attempt

    async def __aiter__(self) -> AsyncIterator[bytes]:
        attempt = self._attempt
        try:
            async for data in self._body:
                passed = attempt.read(data)
                if passed:
                    yield passed
        except BaseException as error:
            attempt.cut_off(error)
            raise
        rest = attempt.ended()
        if rest:
            yield rest

    async def aclose(self) -> None:
        """Closes the body, and settles what was received if it was not read to its end."""
        try:
            await self._body.aclose()
        finally:
            self._attempt.cut_off()


@lru_cache(maxsize=16)
def _stream_class(response: type[Any], kind: str) -> type[Any]:
    """The class of followed bodies for responses, which accept none that is not of their library's own."""
    followed = _FollowedBytes if kind == "SyncByteStream" else _FollowedAsyncBytes
    return type(followed.__name__.strip("_"), (followed, getattr(library_of(response), kind)), {})


def _followed(gate: Gate, attempt: Attempt, response: Response, kind: str) -> Response:
    """The response with a body that is read as it passes."""
    if not attempt.answered(response.status_code, response.headers):
        return response
    try:
        stream = _stream_class(response.__class__, kind)(response.stream, attempt)
        if response.is_closed:
            response = _reopened(response, stream)
        else:
            response.stream = stream
        if attempt.decodes:
            del response.headers["content-encoding"]
        if attempt.decodes or attempt.shortens:
            response.headers.pop("content-length", None)
    except Exception as fault:  # noqa: BLE001 - the border to the application's call
        gate.faults.take(fault)
    return response


def _reopened(response: Response, stream: Any) -> Response:
    """A response that was made with its whole content, which it would give without asking `stream`."""
    return library_of(type(response)).Response(
        response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
    )
