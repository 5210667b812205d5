"""Puts the guard into a process, and takes it out again.

Libraries are patched when the application imports them, or at once where it has: a library that is not used
is not imported, and costs nothing. Patches stay where they are, because others may have put theirs around
them; without a guard they only pass on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import wrapt

from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.guard.gate import Gate, Reserving
from spanbudget.exporter.guard.patches import AsyncTransportPatch, TransportPatch
from spanbudget.exporter.guard.sdk import call_async_sdk, call_sdk

_HTTP: Final = ("httpx", "httpx2")
_SDKS: Final = ("openai", "anthropic")


class Guard:
    """A guard that is installed.

    Attributes:
        gate: Where the requests go through; it counts refusals and faults.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate: Final = gate

    @property
    def active(self) -> bool:
        """Whether calls are guarded; False after `uninstall`."""
        return not self.gate.open

    @property
    def faults(self) -> int:
        """Faults of ours on the application's threads so far."""
        return self.gate.faults.count

    @property
    def refused(self) -> int:
        """Calls that were refused so far."""
        return self.gate.refused

    @property
    def unread(self) -> int:
        """Calls so far that passed because their body cannot be read before it is sent."""
        return self.gate.unread


@dataclass(slots=True)
class _Installation:
    """What a process has once.

    Attributes:
        guard: The guard; None where there is none.
        hooked: Whether the libraries are patched, or will be when they are imported.
    """

    guard: Guard | None = None
    hooked: bool = False

    def gate(self) -> Gate | None:
        """Where requests go through now."""
        return self.guard.gate if self.guard else None


_installation: Final = _Installation()
"""The one mutable state of this package at module level: a class is patched for the whole process. It holds
no lock and no thread, so a forked child goes on with it as it is."""


def install(reserving: Reserving, config: GuardConfig | None = None) -> Guard:
    """Guards the calls of this process from now on.

    A process has one guard: the same arguments give the one that is there, others replace it.

    Args:
        reserving: Who holds money.
        config: Which hosts are guarded; None takes the known ones.
    """
    guard = _installation.guard
    if guard and guard.gate.reserving is reserving and guard.gate.config == (config or GuardConfig()):
        return guard
    uninstall()
    _installation.guard = guard = Guard(Gate(reserving, config))
    if not _installation.hooked:
        _installation.hooked = True
        _hook()
    return guard


def uninstall() -> None:
    """Guards nothing any more; calls that are under way are settled as if it did."""
    guard, _installation.guard = _installation.guard, None
    if guard is not None:
        guard.gate.open = True


def _hook() -> None:
    for library in _HTTP:
        wrapt.register_post_import_hook(_patch_transports, library)
    for library in _SDKS:
        wrapt.register_post_import_hook(_patch_sdk, f"{library}._base_client")


def _patch_transports(library: Any) -> None:
    _wrap(library, "HTTPTransport.handle_request", TransportPatch(_installation.gate))
    _wrap(library, "AsyncHTTPTransport.handle_async_request", AsyncTransportPatch(_installation.gate))


def _patch_sdk(library: Any) -> None:
    _wrap(library, "SyncAPIClient.request", _request)
    _wrap(library, "AsyncAPIClient.request", _request_async)


def _wrap(library: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Patches a method; a library that has none of this name is left as it is, and its import goes on."""
    gate = _installation.gate()
    try:
        wrapt.wrap_function_wrapper(library, name, wrapper)
    except AttributeError as error:
        if gate is not None:
            with gate.faults:
                raise RuntimeError(f"{library.__name__} has no {name}: its calls are not guarded") from error


def _request(
    wrapped: Callable[..., Any], client: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Any:
    gate = _installation.gate()
    if gate is None:
        return wrapped(*arguments, **keywords)
    return call_sdk(gate, wrapped, client, arguments, keywords)


def _request_async(
    wrapped: Callable[..., Any], client: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Any:
    gate = _installation.gate()
    if gate is None:
        return wrapped(*arguments, **keywords)
    return call_async_sdk(gate, wrapped, client, arguments, keywords)
