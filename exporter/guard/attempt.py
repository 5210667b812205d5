"""One request on its way: reserved, sent, answered, settled exactly once."""

import os
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Protocol

from spanbudget.exporter.guard.answers import Answer
from spanbudget.exporter.guard.faults import Faults
from spanbudget.exporter.guard.requests import OPERATIONS, LLMRequest
from spanbudget.exporter.guard.responses import AnswerReader
from spanbudget.exporter.guard.usage import read_usage
from spanbudget.processors.call import Usage, UsageConfidence
from spanbudget.processors.errors import ReservationError

inside: Final[ContextVar[bool]] = ContextVar("spanbudget_guarded", default=False)
"""True while a guarded transport sends: one below it sees the same request, and lets it pass."""

# httpx and httpx2 have errors of the same names.
_NOT_SENT: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "LocalProtocolError"}
)
"""Errors that come before the first byte of a request is written."""
_TIMEOUTS: Final = frozenset({"TimeoutException", "TimeoutError"})
_OK: Final = range(200, 300)


class Reservation(Protocol):
    """Money that is held for one call; see `exporter.admission`."""

    @property
    def max_tokens(self) -> int | None:
        """Most tokens that one answer may have; None: as the request has it."""
        ...

    @property
    def model(self) -> str | None:
        """The model to send the request to."""
        ...

    def mark_sent(self) -> None:
        """Says that from here on the provider may bill the call."""
        ...

    def settle(
        self,
        *,
        cost: int | None = None,
        usage: Usage | None = None,
        response_id: str | None = None,
        response_model: str | None = None,
        tier: str | None = None,
        failed: bool = False,
        reasons: tuple[str, ...] = (),
        confidence: UsageConfidence = "exact",
    ) -> None:
        """Takes what the call has cost in the place of what was held; once."""
        ...

    def release(self) -> None:
        """Gives back what was held: nothing was spent."""
        ...


class Attempt:
    """The reservation of one request, from the moment it is sent.

    Around the sending it is a context manager: what goes wrong there ends it. Its other methods are called by
    whoever reads the answer, and never raise what is a fault of ours.

    Args:
        reservation: What is held.
        request: The request; nothing of its text is kept.
        injects_usage: Whether the usage of the stream was asked for on the application's behalf.
        faults: Where faults are counted.
    """

    __slots__ = (
        "_api", "_embeddings", "_faults", "_injects_usage", "_open", "_pid", "_provider", "_reader",
        "_reservation", "_stream", "_token",
    )  # fmt: skip

    def __init__(
        self, reservation: Reservation, request: LLMRequest, *, injects_usage: bool, faults: Faults
    ) -> None:
        self._reservation = reservation
        self._api = request.target.api
        self._provider = request.target.host.provider
        self._embeddings = OPERATIONS[self._api] == "embeddings"
        self._stream = request.stream
        self._injects_usage = injects_usage
        self._faults = faults
        self._reader: AnswerReader | None = None
        self._open = True
        self._pid = os.getpid()
        self._token: Token[bool] | None = None

    def __enter__(self) -> None:
        """Marks the request as sent, just before it is."""
        try:
            self._reservation.mark_sent()
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self._faults.take(fault)
        self._token = inside.set(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the attempt where no answer came."""
        if self._token is not None:
            inside.reset(self._token)
        if error is None:
            return
        if _names(error) & _NOT_SENT:
            self._release()
        else:
            self._settle_cut_off(error)

    def answered(self, status: int, headers: Mapping[str, str]) -> bool:
        """Takes the head of the answer.

        Returns:
            True where the body is to be passed through `read`; False where nothing can be learned from it.
        """
        if status not in _OK:  # refused or failed: not billed
            self._release()
            return False
        try:
            self._reader = reader = AnswerReader(
                self._api,
                # A look-up takes microseconds, so only what can be there is looked for.
                headers.get("content-type", "") if self._stream else "",
                encoding=headers.get("content-encoding", ""),
                drops_usage=self._injects_usage,
                faults=self._faults,
            )
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self._faults.take(fault)
            return False
        if not reader.readable:
            self._settle_whole()
        return reader.readable

    @property
    def decodes(self) -> bool:
        """Whether what `read` returns is no longer compressed."""
        return self._reader is not None and self._reader.decodes

    @property
    def shortens(self) -> bool:
        """Whether what `read` returns may be shorter than what it took."""
        return self._injects_usage

    def read(self, data: bytes) -> bytes:
        """Takes bytes of the body, and returns what the application is to get."""
        reader = self._reader
        if reader is None:
            return data
        try:
            return reader.feed(data)
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self._reader = None
            self._faults.take(fault)
            return data

    def ended(self) -> bytes:
        """Settles after the whole body; returns what is still to be handed on."""
        reader = self._reader
        rest = b""
        if reader is not None:
            try:
                rest = reader.finish()
            except Exception as fault:  # noqa: BLE001 - the border to the application's call
                self._faults.take(fault)
        self._settle_whole()
        return rest

    def cut_off(self, error: BaseException | None = None) -> None:
        """Settles where the body will not be read to its end; does nothing after `ended`.

        Args:
            error: What happened; None where the application closed the answer.
        """
        reader = self._reader
        if reader is not None and (reader.answer.final or reader.answer.finished):
            self._settle_whole()  # SDKs close a stream at its last event, before the end of the body
        else:
            self._settle_cut_off(error)

    def _settle_whole(self) -> None:
        if not self._close():
            return
        answer = self._reader.answer if self._reader is not None else None
        try:
            if answer is None or not answer.usage:
                reason = "stream_without_usage" if self._stream else "no_usage"
                self._settle(None, "unknown", (reason,))
                return
            usage, confidence, reasons = read_usage(answer.usage, self._provider, embeddings=self._embeddings)
            self._settle(usage, confidence, reasons)
        except Exception as fault:  # noqa: BLE001 - the border to the application's call
            self._faults.take(fault)

    def _settle_cut_off(self, error: BaseException | None) -> None:
        """Settles with the usage that was received; without one, what is held is the best estimate."""
        if not self._close():
            return
        with self._faults:
            answer = self._reader.answer if self._reader is not None else None
            usage: Usage | None = None
            reasons: tuple[str, ...] = ()
            if answer is not None and answer.usage:
                usage, _, reasons = read_usage(answer.usage, self._provider, embeddings=self._embeddings)
                usage = usage._replace(output=max(usage.output or 0, answer.visible_tokens))
            failed = isinstance(error, Exception)
            self._settle(usage, "estimated", (_reason(error), *reasons), failed=failed)

    def _settle(
        self,
        usage: Usage | None,
        confidence: UsageConfidence,
        reasons: tuple[str, ...],
        *,
        failed: bool = False,
    ) -> None:
        answer = self._reader.answer if self._reader is not None else Answer()
        try:
            self._reservation.settle(
                usage=usage if usage is not None and usage.input is not None else None,
                response_id=answer.response_id,
                response_model=answer.model,
                tier=answer.tier,
                failed=failed or answer.failed,
                reasons=reasons,
                confidence=confidence,
            )
        except ReservationError:
            return  # expired meanwhile: it was charged with what it held, and that stands

    def _release(self) -> None:
        if self._close():
            with self._faults, suppress(ReservationError):
                self._reservation.release()

    def _close(self) -> bool:
        """True once, and never in a forked child: the reservation is the parent's."""
        was_open, self._open = self._open, False
        return was_open and os.getpid() == self._pid


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _reason(error: BaseException | None) -> str:
    if error is None or not isinstance(error, Exception):
        return "aborted_stream"  # closed, or the generator or task was ended
    return "timeout" if _names(error) & _TIMEOUTS else "connection_error"
