"""Reservations as an application sees them: amounts in USD, blocks, and decorators."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, ParamSpec, Protocol, TypeAlias, TypeVar, cast

from spanbudget.exporter.admission.context import inside
from spanbudget.exporter.admission.reservation import COST_MAX, Reservation
from spanbudget.exporter.usage_given import usage_given
from spanbudget.processors.call import TOKENS_MAX, Usage
from spanbudget.processors.errors import AmountError
from spanbudget.processors.money import pico_to_usd, usd_to_pico

Money: TypeAlias = Decimal | float | int | str
P = ParamSpec("P")
R = TypeVar("R")
LABELS_MAX: Final = 32
LABEL_CHARS_MAX: Final = 256


class Reserving(Protocol):
    """Who makes reservations: a `BudgetManager`."""

    @property
    def reserve(self) -> Callable[..., "BudgetReservation"]:
        """See `BudgetManager.reserve`."""
        ...

    @property
    def reserve_async(self) -> Callable[..., Awaitable["BudgetReservation"]]:
        """See `BudgetManager.reserve_async`."""
        ...


class BudgetReservation:
    """Money that one call may spend; made by `BudgetManager.reserve`.

    Attributes:
        max_tokens: The limit of one answer that the request must carry, where a budget has shortened it;
            None: send it as it is.
        model: The model to send: as asked, or the cheaper one that a budget downgrades to.
    """

    __slots__ = ("_inner", "max_tokens", "model")

    def __init__(self, inner: Reservation) -> None:
        self._inner = inner
        self.max_tokens = inner.max_tokens
        self.model = inner.model

    @property
    def id(self) -> str:
        """Unique among all processes: the holder and a number."""
        return f"{self._inner.owner.hex()}-{self._inner.id}"

    @property
    def state(self) -> str:
        """`open`, `settled`, `released`, or `orphaned` once it has expired."""
        return self._inner.state

    @property
    def cost(self) -> Decimal:
        """The worst case that is held, USD."""
        return pico_to_usd(self._inner.cost)

    @property
    def overshoot(self) -> Decimal:
        """How much more than what is held the call may cost, USD: not 0 under `guarantee: expected`."""
        return pico_to_usd(self._inner.overshoot)

    def settle(
        self,
        cost: Money | None = None,
        usage: Usage | Mapping[str, Any] | None = None,
        *,
        response_id: str | None = None,
        response_model: str | None = None,
    ) -> None:
        """Books what the call cost and gives the rest back; exactly once.

        It returns when the settlement is in a file that survives `kill -9`. Without `cost` the usage is
        priced. Without both, spans that ended inside the reservation tell; else what was held is charged as
        an estimate.

        Args:
            cost: USD, 0 or more.
            usage: Tokens: a `Usage`, or a mapping as OpenAI, Anthropic or Gemini answer it.
            response_id: The id that the provider gave to the answer.
            response_model: The model that answered.

        Raises:
            AmountError: The cost or the usage makes no sense; the reservation is still open.
            ReservationError: It was settled or released before, has expired, or is another process's.
        """
        self._inner.settle(
            cost=None if cost is None else amount_of(cost, "cost"),
            usage=None if usage is None else usage_given(usage),
            response_id=response_id,
            response_model=response_model,
        )

    def release(self) -> None:
        """Gives everything back: nothing was spent.

        Raises:
            ReservationError: It was settled or released before, has expired, or is another process's.
        """
        self._inner.release()

    def mark_sent(self) -> None:
        """Says that the request is on its way, for a reservation that was made with `sent=False`."""
        self._inner.mark_sent()


class CallGuard:
    """Reserves for a block, or for each call of a function; made by `BudgetManager.guard`.

    At the end of the block an open reservation is settled: by the spans that ended inside it, or else at what
    was held.
    """

    def __init__(self, manager: Reserving, arguments: dict[str, Any]) -> None:
        self._manager = manager
        self._arguments = arguments
        self._open: list[tuple[BudgetReservation, Any]] = []

    def __enter__(self) -> BudgetReservation:
        return self._entered(self._manager.reserve(**self._arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reservation, block = self._open.pop()
        block.__exit__(kind, error, trace)
        if reservation.state == "open":
            reservation.settle()

    async def __aenter__(self) -> BudgetReservation:
        return self._entered(await self._manager.reserve_async(**self._arguments))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guards each call of a function, or of a coroutine function."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with CallGuard(self._manager, self._arguments):
                    return await cast("Callable[P, Awaitable[Any]]", function)(*args, **kwargs)

            return cast("Callable[P, R]", guarded_async)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with CallGuard(self._manager, self._arguments):
                return function(*args, **kwargs)

        return guarded

    def _entered(self, reservation: BudgetReservation) -> BudgetReservation:
        block = inside(reservation._inner)  # noqa: SLF001 - two halves of one reservation
        block.__enter__()
        self._open.append((reservation, block))
        return reservation


def amount_of(amount: Money, what: str) -> int:
    """An amount in USD as pico-USD.

    Raises:
        AmountError: It is negative, not finite, absurdly large, or no amount.
    """
    try:
        pico = usd_to_pico(amount if isinstance(amount, Decimal) else Decimal(str(amount)))
    except (ArithmeticError, ValueError, TypeError):
        raise AmountError(f"{what}: {str(amount)[:40]!r} is not a finite amount in USD") from None
    if not 0 <= pico <= COST_MAX:
        raise AmountError(f"{what}: must be 0 to {pico_to_usd(COST_MAX)} USD, got {str(amount)[:40]}")
    return pico


def count_of(count: int | None, what: str) -> int | None:
    """A count of tokens.

    Raises:
        AmountError: It is negative, absurdly large, or no whole number.
    """
    if count is None:
        return None
    if not _is_count(count):
        raise AmountError(f"reserve: {what} must be 0 to {TOKENS_MAX}, got {str(count)[:40]}")
    return count


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= TOKENS_MAX


def labels_of(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels as calls have them: sorted, values cut at 256 characters.

    Raises:
        AmountError: There are more than 32.
    """
    if len(labels) > LABELS_MAX:
        raise AmountError(f"reserve: at most {LABELS_MAX} labels, got {len(labels)}")
    return tuple(sorted((str(name), str(value)[:LABEL_CHARS_MAX]) for name, value in labels.items()))
