"""What is put around `handle_request` of transport classes, as wrapt calls it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from spanbudget.exporter.guard.gate import Gate, Request, Response
from spanbudget.exporter.guard.transports import send, send_async

CurrentGate: TypeAlias = Callable[[], Gate | None]
"""The gate of the guard that is installed now; None where there is none."""


class TransportPatch:
    """Sends through the gate of the guard that is installed, if one is.

    Args:
        gate: Asked at every request.
    """

    def __init__(self, gate: CurrentGate) -> None:
        self._gate = gate

    def __call__(
        self,
        wrapped: Callable[[Request], Response],
        _: Any,
        arguments: tuple[Request, ...],
        keywords: Mapping[str, Request],
    ) -> Response:
        """Sends a request; `wrapped` is the bound method."""
        gate = self._gate()
        request = arguments[0] if arguments else keywords["request"]
        return wrapped(request) if gate is None else send(gate, wrapped, request)


class AsyncTransportPatch:
    """The same for `handle_async_request`.

    Args:
        gate: Asked at every request.
    """

    def __init__(self, gate: CurrentGate) -> None:
        self._gate = gate

    def __call__(
        self,
        wrapped: Callable[[Request], Awaitable[Response]],
        _: Any,
        arguments: tuple[Request, ...],
        keywords: Mapping[str, Request],
    ) -> Awaitable[Response]:
        """Sends a request; `wrapped` is the bound method."""
        gate = self._gate()
        request = arguments[0] if arguments else keywords["request"]
        return wrapped(request) if gate is None else send_async(gate, wrapped, request)
