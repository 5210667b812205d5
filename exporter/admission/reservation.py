"""A reservation: money that one call may spend, until it is settled or released."""

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from spanbudget.processors.call import Usage, UsageConfidence
from spanbudget.processors.errors import ReservationError

if TYPE_CHECKING:
    from spanbudget.exporter.admission.context import Nested
    from spanbudget.exporter.admission.routes import Route
    from spanbudget.processors.limits import Amount

COST_MAX: Final = 10**18
"""Most that one call is believed to cost, pico-USD: a million USD."""
State: TypeAlias = Literal["open", "settled", "released", "orphaned"]
Outcome: TypeAlias = tuple[
    int | None, Usage | None, str | None, str | None, str | None, bool, tuple[str, ...], UsageConfidence
]
"""What is known of a call after it was made: the arguments of `Reservation.settle`, in their order."""


class Settler(Protocol):
    """Who takes a reservation's end."""

    def settle(self, reservation: "Reservation", outcome: Outcome) -> None:
        """Settles a reservation; see `Reservation.settle`."""
        ...

    def release(self, reservation: "Reservation") -> None:
        """Releases a reservation; see `Reservation.release`."""
        ...

    def sent(self, reservation: "Reservation") -> None:
        """Takes note that the request of a reservation is sent."""
        ...


class Reservation:
    """Money that one call may spend.

    Attributes:
        id: Grows with each reservation of its process.
        owner: Id of the process's holds.
        cost: The worst case of the call, pico-USD, as far as it is known; an orphan is charged with it.
        overshoot: How much more than what is held the call may cost, pico-USD: not 0 where a budget holds
            what is expected.
        max_tokens: The limit of one answer that the request must carry; None: send it as it is.
        link: Trace, span and parent id of the first span that started inside: it is the call, or encloses it.
        state: `open` until it is settled, released, or charged because it expired.
    """

    __slots__ = (
        "_settler", "amounts", "cost", "expires_ns", "id", "link", "max_tokens", "nested",
        "overshoot", "owner", "parent_id", "route", "sent", "span_id", "start_ns", "state", "trace_id",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, for every call
        self,
        settler: Settler | None,
        route: "Route",
        amounts: "tuple[Amount, ...]",
        cost: int,
        start_ns: int,
        expires_ns: int,
        sent: bool,  # noqa: FBT001
        trace_id: int,
        span_id: int,
        parent_id: int,
    ) -> None:
        self._settler = settler
        self.route = route
        self.amounts = amounts
        self.cost = cost
        self.start_ns = start_ns
        self.expires_ns = expires_ns
        self.sent = sent
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.link: tuple[int, int, int] | None = None
        self.nested: Nested | None = None
        self.id = 0
        self.owner = b""
        self.overshoot = 0
        self.max_tokens: int | None = None
        self.state: State = "open"

    @property
    def model(self) -> str | None:
        """The model to send: as asked, or the cheaper one that a budget downgrades to."""
        return self.route.request_model

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
        """Books what the call cost and gives the rest back; exactly once.

        It returns when the settlement is in a file that survives `kill -9`. Without `cost` the usage is
        priced. Without both, spans that ended inside the reservation tell; else the amount that was held is
        charged as an estimate.

        Args:
            cost: pico-USD, 0 to `COST_MAX`.
            usage: Token counts in disjoint buckets.
            response_id: The id that the provider gave to the answer.
            response_model: The model that answered, as the response spells it.
            tier: The service tier that the response tells.
            failed: Whether the call ended in an error.
            reasons: Why the usage is not exact.
            confidence: Whether the usage is exact, estimated or unknown.

        Raises:
            ReservationError: It was settled or released before, has expired, or is another process's.
        """
        if self._settler is None:
            raise self.ended()
        outcome = (cost, usage, response_id, response_model, tier, failed, reasons, confidence)
        self._settler.settle(self, outcome)

    def release(self) -> None:
        """Gives everything back: nothing was spent.

        Raises:
            ReservationError: It was settled or released before, has expired, or is another process's.
        """
        if self._settler is None:
            raise self.ended()
        self._settler.release(self)

    def mark_sent(self) -> None:
        """Says that the request is on its way: from here on an unsettled reservation is charged."""
        if not self.sent and self._settler is not None:
            self._settler.sent(self)

    def ended(self) -> ReservationError:
        """The error for whoever ends it again."""
        told = {
            "settled": "it was settled before",
            "released": "it was released before",
            "orphaned": "it has expired and was charged or released; give a longer ttl_seconds",
        }
        why = told.get(self.state, "it belongs to another process")
        return ReservationError(f"reservation {self.id}: {why}; nothing has changed")
