"""What happens to a request before it is sent: recognised, reserved, rewritten. Both worlds share it."""

import logging
import sys
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

from spanbudget.exporter.admission.context import announced_reservation, current_reservation
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.guard.attempt import Attempt, Reservation, inside
from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.guard.faults import Faults
from spanbudget.exporter.guard.refusal import EXTENSION, STATUS, refusal_body, refusal_headers
from spanbudget.exporter.guard.requests import LLMRequest, Target, Targets, read_request
from spanbudget.exporter.guard.rewriting import Rewriting, rewrite
from spanbudget.processors.errors import BudgetExceeded

Request: TypeAlias = Any
"""A request of httpx or of httpx2; they differ in nothing that is used here."""
Response: TypeAlias = Any
"""A response of httpx or of httpx2."""

RETRY_HEADER: Final = "x-stainless-retry-count"
"""Header in which the SDKs count the further tries of a call."""

_logger = logging.getLogger(__name__)


class Reserving(Protocol):
    """Who holds money for calls; see `exporter.admission`."""

    def reserve(self, request: CallRequest) -> Reservation:
        """Holds the worst case of a call.

        Raises:
            BudgetExceeded: A budget refuses the call.
        """
        ...

    async def reserve_async(self, request: CallRequest) -> Reservation:
        """The same for a coroutine.

        Raises:
            BudgetExceeded: A budget refuses the call.
        """
        ...


class Gate:
    """Where requests go through; one for a guard that is installed, or for a transport that is wrapped.

    Args:
        reserving: Who holds money.
        config: Which hosts are guarded.

    Attributes:
        open: True lets everything pass: the guard is off.
        faults: Faults of ours on the application's threads.
        refused: Calls that were refused.
        unread: Calls that passed because their body cannot be read before it is sent.
    """

    def __init__(self, reserving: Reserving, config: GuardConfig | None = None) -> None:
        self.reserving: Final = reserving
        self.config: Final = config or GuardConfig()
        self.open = False
        self._targets = Targets(self.config)
        self.faults = Faults()
        self.refused = 0
        self.unread = 0

    def recognise(self, request: Request) -> LLMRequest | None:
        """Reads a request; None where it is to pass, because it is no call or somebody holds money for it."""
        if self.open or inside.get() or current_reservation() is not None:
            return None
        try:
            url = request.url
            target = self._targets.find(request.method, url.host, url.port, url.raw_path)
            return None if target is None or _is_covered(request) else self._read(request, target)
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self.faults.take(fault)
            return None

    def _read(self, request: Request, target: Target) -> LLMRequest | None:
        try:
            body = request.content
        except RuntimeError as error:
            if type(error).__name__ != "RequestNotRead":  # httpx and httpx2 each have their own
                raise
            self.unread += 1
            if self.unread == 1:
                _logger.warning("A request to %s is not guarded: its body is an iterator", request.url.host)
            return None
        return read_request(target, body)

    def reserve(self, call: LLMRequest) -> Reservation | BudgetExceeded | None:
        """Holds money; None after a fault of ours: then the call passes."""
        try:
            return self.reserving.reserve(call.asked)
        except BudgetExceeded as refusal:
            return refusal
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self.faults.take(fault)
            return None

    async def reserve_async(self, call: LLMRequest) -> Reservation | BudgetExceeded | None:
        """The same for a coroutine."""
        try:
            return await self.reserving.reserve_async(call.asked)
        except BudgetExceeded as refusal:
            return refusal
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self.faults.take(fault)
            return None

    def refuse(self, request: Request, refusal: BudgetExceeded) -> Response:
        """The answer to a refused call."""
        self.refused += 1
        return library_of(type(request)).Response(
            STATUS,
            headers=refusal_headers(refusal),
            content=refusal_body(refusal),
            extensions={EXTENSION: refusal},
            request=request,
        )

    def prepare(
        self, request: Request, call: LLMRequest, reservation: Reservation
    ) -> tuple[Request, Attempt]:
        """The request that is sent in the application's place, and what follows it."""
        injects_usage = call.injects_usage
        try:
            max_tokens, model = reservation.max_tokens, reservation.model
            if max_tokens is None and not injects_usage and (model is None or model == call.asked.model):
                request.headers["accept-encoding"] = "identity"  # as nearly all are: nothing else changes
            else:
                rewriting = rewrite(call, request.url.raw_path, max_tokens=max_tokens, model=model)
                request = _rewritten(request, rewriting)
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            injects_usage = False
            self.faults.take(fault)
        return request, Attempt(reservation, call, injects_usage=injects_usage, faults=self.faults)


def library_of(message: type[Any]) -> ModuleType:
    """The module of a class of requests or responses: httpx, httpx2, or one that does like them.

    Raises:
        TypeError: There is none.
    """
    for kind in message.__mro__:
        module = sys.modules.get(kind.__module__.partition(".")[0])
        if module is not None and hasattr(module, "AsyncByteStream"):
            return module
    raise TypeError(f"{message} belongs to no library that is known")


def _is_covered(request: Request) -> bool:
    """Whether the application has made a reservation for this very call."""
    announced = announced_reservation()
    return announced is not None and announced.take(again=request.headers.get(RETRY_HEADER, "0") != "0")


def _rewritten(request: Request, rewriting: Rewriting) -> Request:
    """The request with what is new: the application's own, or another one where its body or path changes."""
    if rewriting.body is None and rewriting.raw_path is None:
        request.headers["accept-encoding"] = "identity"
        return request
    headers = request.headers.copy()
    headers["accept-encoding"] = "identity"
    body = request.content if rewriting.body is None else rewriting.body
    headers["content-length"] = str(len(body))
    url = request.url if rewriting.raw_path is None else request.url.copy_with(raw_path=rewriting.raw_path)
    return type(request)(request.method, url, headers=headers, content=body, extensions=request.extensions)
