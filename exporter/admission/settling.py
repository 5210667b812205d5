"""From what is known after a call to the entry that books it."""

from typing import Final

from spanbudget.exporter.admission.reservation import Outcome, Reservation
from spanbudget.processors.booking import Observed
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall
from spanbudget.processors.limits import Amount
from spanbudget.processors.model_names import Namer
from spanbudget.processors.names_out import HELD_PRICE, TOLD_PRICE
from spanbudget.processors.overrides import PriceBook

SCOPE: Final = "spanbudget"
"""Instrumentation scope of calls that a reservation tells."""
ORPHANED: Final[Outcome] = (None, None, None, None, None, True, ("orphaned",), "unknown")
"""What is known of a call that nobody settled."""
WHOLE: Final = Amount(1 << 100, 1 << 100, 1 << 100)


def settled_call(
    reservation: Reservation, outcome: Outcome, namer: Namer, prices: PriceBook, end_ns: int
) -> Observed:
    """The call that a settlement books, with its price.

    The cases, in this order: the application told the cost; the usage is known and priced; what was held is
    charged as an estimate. Where a span began inside the reservation, the call stands below it, so that both
    are counted as one, whichever comes first; an estimate gives way to what the span tells.
    """
    cost, usage, response_id, response_model, tier, failed, reasons, confidence = outcome
    route = reservation.route
    trace_id, parent_id, _ = reservation.link or (reservation.trace_id, reservation.parent_id, 0)
    named = namer.name(route.provider, route.request_model, response_model)
    call = LLMCall(
        trace_id, reservation.span_id, parent_id, SCOPE, named.provider, named.model, route.request_model,
        response_model, route.operation, False, tier or route.tier, usage or NO_USAGE,
        confidence if usage is not None else "unknown", reasons, reservation.start_ns,
        max(end_ns, reservation.start_ns), failed, response_id, route.labels, cost,
    )  # fmt: skip
    if cost is not None:
        return Observed(call, False, PricedCall(call, cost, 0, 0, 0, 0, TOLD_PRICE, "exact", ()))
    if usage is not None and confidence != "unknown":
        priced = prices.price(call)
        if priced.cost is not None or not route.charge_max:
            return Observed(call, False, priced)
        return Observed(call, False, held(reservation, call, "charge_max"))
    reason = "orphaned" if "orphaned" in reasons else "settled_without_usage"
    return Observed(call, False, held(reservation, call, reason))


def held(reservation: Reservation, call: LLMCall, reason: str) -> PricedCall:
    """A call at what its reservation held, as an estimate; unpriced where that is not known."""
    if not reservation.cost:
        return PricedCall(call, None, 0, 0, 0, 0, None, "unpriced", (reason,))
    return PricedCall(call, reservation.cost, 0, 0, 0, 0, HELD_PRICE, "estimated", (reason,))


def orphaned_call(reservation: Reservation) -> Observed:
    """The call of a reservation that nobody settled, at what it held.

    It ends when it began, so that whoever finds it books the same entry, in the window of the reservation.
    """
    route = reservation.route
    call = LLMCall(
        reservation.trace_id, reservation.span_id, reservation.parent_id, SCOPE, route.provider, route.model,
        route.request_model, None, route.operation, False, route.tier, NO_USAGE, "unknown",
        ("orphaned",), reservation.start_ns, reservation.start_ns, True, None, route.labels,
    )  # fmt: skip
    return Observed(call, False, held(reservation, call, "orphaned"))


def used_of(observed: Observed | None) -> Amount:
    """What a settled call takes of what was held; the whole where it has no price."""
    if observed is None or observed.priced is None:
        return WHOLE
    priced = observed.priced
    return Amount(priced.cost or 0, priced.call.usage.total, 1)
