"""A reservation: money that one call may spend, until it is settled or released."""

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from spanbudget.processors.call import TOKENS_MAX, Usage, UsageConfidence
from spanbudget.processors.errors import ReservationError

if TYPE_CHECKING:
    from spanbudget.exporter.admission.context import Nested
    from spanbudget.exporter.admission.routes import Route
    from spanbudget.processors.limits import Amount

COST_MAX: Final = 10**18
"""Most that one call is believed to cost, pico-USD: a million USD."""
State: TypeAlias = Literal["open", "settled", "released", "orphaned"]


class Settler(Protocol):
    """Who takes a reservation's end."""

    def settle(self, reservation: "Reservation", outcome: "Outcome") -> None:
        """Settles a reservation; see `Reservation.settle`."""
        ...

    def release(self, reservation: "Reservation") -> None:
        """Releases a reservation; see `Reservation.release`."""
        ...

    def sent(self, reservation: "Reservation") -> None:
        """Takes note that the request of a reservation is sent."""
        ...


class Outcome:
    """What is known of a call after it was made; see `Reservation.settle` for the attributes."""

    __slots__ = ("confidence", "cost", "failed", "reasons", "response_id", "response_model", "tier", "usage")

    def __init__(
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
        self.cost = cost
        self.usage = usage
        self.response_id = response_id
        self.response_model = response_model
        self.tier = tier
        self.failed = failed
        self.reasons = reasons
        self.confidence = confidence


def check_outcome(outcome: Outcome) -> None:
    """Refuses amounts that no call can have.

    Raises:
        ReservationError: The cost is negative or absurd, or a count of tokens is.
    """
    if outcome.cost is not None and not 0 <= outcome.cost <= COST_MAX:
        raise ReservationError(
            f"settle: a cost of {outcome.cost} pico-USD is not 0 to {COST_MAX}; the reservation is still open"
        )
    for name, count in zip(Usage._fields, outcome.usage or (), strict=False):
        if count is not None and not 0 <= count <= TOKENS_MAX:
            raise ReservationError(
                f"settle: {name} of {count} is not 0 to {TOKENS_MAX} tokens; the reservation is still open"
            )


class Reservation:
    """Money that one call may spend.

    Attributes:
        id: Grows with each reservation of its process.
        owner: Id of the process's holds.
        cost: The worst case of the call, pico-USD, as far as it is known; an orphan is charged with it.
        overshoot: How much more than what is held the call may cost, pico-USD: not 0 where a budget holds
            what is expected.
        max_tokens: The limit of one answer that the request must carry; None: send it as it is.
        model: The model to send: as asked, or the cheaper one that a budget downgrades to.
        state: `open` until it is settled, released, or charged because it expired.
    """

    __slots__ = (
        "_settler", "amounts", "cost", "expires_ns", "id", "links", "max_tokens", "model", "nested", "overshoot",
        "owner", "parent_id", "route", "sent", "span_id", "start_ns", "state", "trace_id",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        settler: Settler,
        route: "Route",
        amounts: "tuple[Amount, ...]",
        *,
        start_ns: int,
        expires_ns: int,
        sent: bool,
        trace_id: int,
        span_id: int,
        parent_id: int,
    ) -> None:
        self._settler = settler
        self.route = route
        self.amounts = amounts
        self.start_ns = start_ns
        self.expires_ns = expires_ns
        self.sent = sent
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.links: list[tuple[int, int, int]] = []
        self.nested: Nested | None = None
        self.id = 0
        self.owner = b""
        self.cost = 0
        self.overshoot = 0
        self.max_tokens: int | None = None
        self.model: str | None = route.request_model
        self.state: State = "open"

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
            cost: pico-USD, 0 or more.
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
        self._settler.settle(
            self,
            Outcome(
                cost=cost,
                usage=usage,
                response_id=response_id,
                response_model=response_model,
                tier=tier,
                failed=failed,
                reasons=reasons,
                confidence=confidence,
            ),
        )

    def release(self) -> None:
        """Gives everything back: nothing was spent.

        Raises:
            ReservationError: It was settled or released before, has expired, or is another process's.
        """
        self._settler.release(self)

    def mark_sent(self) -> None:
        """Says that the request is on its way: from here on an unsettled reservation is charged."""
        if not self.sent:
            self._settler.sent(self)

    def link(self, trace_id: int, span_id: int, parent_id: int) -> None:
        """Takes note of a span that started inside: it describes this very call, or encloses it."""
        self.links.append((trace_id, span_id, parent_id))

    def ended(self) -> ReservationError:
        """The error for whoever ends it again."""
        told = {
            "settled": "it was settled before",
            "released": "it was released before",
            "orphaned": "it has expired and was charged or released; give a longer ttl_seconds",
        }
        why = told.get(self.state, "it belongs to another process")
        return ReservationError(f"reservation {self.id}: {why}; nothing has changed")
