"""The layer around the SDKs of OpenAI and Anthropic.

All methods of an SDK (`create`, `parse`, `stream`, the raw and the beta ones) go through one method of its
client, `request`, and from there to a transport of httpx or httpx2. The layer sees to it that this transport
is guarded: one that sends by other means than httpx (aiohttp, a `MockTransport`) is wrapped where it is, in
the client that uses it. One that leads to a transport which is guarded already (a cache, a transport that
retries) is left alone, so that each billed attempt is held once, and what a cache answers is not held at all.

A refused call is the SDK's own typed error after one attempt; its `__cause__` is the `BudgetExceeded`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from spanbudget.exporter.guard.gate import Gate
from spanbudget.exporter.guard.patches import AsyncTransportPatch, TransportPatch
from spanbudget.exporter.guard.refusal import refusal_of
from spanbudget.exporter.guard.transports import AsyncGuardTransport, GuardTransport

DEPTH_MAX: Final = 4
"""How many transports are looked through, each inside the one before."""
_METHODS: Final = ("handle_request", "handle_async_request")


def call_sdk(
    gate: Gate,
    wrapped: Callable[..., Any],
    client: Any,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """Calls an SDK's `request`.

    Args:
        gate: The gate.
        wrapped: The SDK's method, bound.
        client: The SDK's client.
        arguments: As they were given.
        keywords: As they were given.
    """
    with gate.faults:
        cover(client, gate, GuardTransport)
    try:
        return wrapped(*arguments, **keywords)
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise error from refusal


async def call_async_sdk(
    gate: Gate,
    wrapped: Callable[..., Awaitable[Any]],
    client: Any,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """Calls an asynchronous SDK's `request`; see `call_sdk`."""
    with gate.faults:
        cover(client, gate, AsyncGuardTransport)
    try:
        return await wrapped(*arguments, **keywords)
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise error from refusal


def cover(client: Any, gate: Gate, kind: type[GuardTransport | AsyncGuardTransport]) -> None:
    """Sees to it that all transports of an SDK's client are guarded.

    Args:
        client: The SDK's client.
        gate: The gate.
        kind: What a transport is wrapped into.
    """
    http = client._client  # noqa: SLF001 - the SDKs have no public name for it
    http._transport = _covered(http._transport, gate, kind)  # noqa: SLF001 - nor has httpx
    for pattern, transport in http._mounts.items():  # noqa: SLF001
        if transport is not None:
            http._mounts[pattern] = _covered(transport, gate, kind)  # noqa: SLF001


def _covered(transport: Any, gate: Gate, kind: type[GuardTransport | AsyncGuardTransport]) -> Any:
    while isinstance(transport, (GuardTransport, AsyncGuardTransport)) and transport.gate.open:
        transport = transport.inner  # of a guard that was switched off
    return transport if _is_guarded(transport, DEPTH_MAX) else kind.through(gate, transport)


def _is_guarded(transport: Any, depth: int) -> bool:
    """Whether a transport, or one inside it, is guarded."""
    if isinstance(transport, (GuardTransport, AsyncGuardTransport)):
        return True
    if any(
        isinstance(getattr(own.get(method), "_self_wrapper", None), (TransportPatch, AsyncTransportPatch))
        for own in map(vars, type(transport).__mro__)
        for method in _METHODS
    ):
        return True
    inner = vars(transport).values() if depth and hasattr(transport, "__dict__") else ()
    return any(_is_guarded(one, depth - 1) for one in inner if any(hasattr(one, name) for name in _METHODS))
