"""From what is known after a call to the entry that books it, and back from the journal."""

import json
from typing import Any, Final

from spanbudget.exporter.admission.reservation import Outcome, Reservation
from spanbudget.exporter.ledger.records import Record
from spanbudget.exporter.ledger.rows import labels_of
from spanbudget.processors.booking import Observed
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall, Usage
from spanbudget.processors.limits import Amount
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook

SCOPE: Final = "spanbudget"
"""Instrumentation scope of calls that a reservation tells."""
TOLD_PRICE: Final = "told:application"
HELD_PRICE: Final = "held:reservation"
WHOLE: Final = Amount(1 << 100, 1 << 100, 1 << 100)
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def settled_call(
    reservation: Reservation, outcome: Outcome, namer: Namer, prices: PriceBook, now_ns: int
) -> Observed | None:
    """The call that a settlement books, with its price; None where spans inside the reservation tell it.

    The cases, in this order: the application told the cost; the usage is known and priced; spans tell; what was
    held is charged as an estimate.
    """
    route, usage = reservation.route, outcome.usage
    known = usage is not None and outcome.confidence != "unknown"
    if outcome.cost is None and not known and reservation.links and not outcome.failed:
        return None
    trace_id, span_id, parent_id = (
        reservation.links[0]
        if reservation.links
        else (reservation.trace_id, reservation.span_id, reservation.parent_id)
    )
    asked = reservation.model or route.request_model
    named = namer.name(route.provider, asked, outcome.response_model)
    call = LLMCall(
        trace_id, span_id, parent_id, SCOPE, named.provider, named.model, asked,
        outcome.response_model, route.operation, False, outcome.tier or route.tier, usage or NO_USAGE,
        outcome.confidence if usage is not None else "unknown", outcome.reasons, reservation.start_ns,
        max(now_ns, reservation.start_ns), outcome.failed, outcome.response_id, route.labels,
    )  # fmt: skip
    if outcome.cost is not None:
        told = call._replace(reported_cost=outcome.cost)
        return Observed(told, False, _flat(told, outcome.cost, TOLD_PRICE, "exact", ()))
    if known:
        priced = prices.price(call)
        if priced.cost is not None or route.unpriced != "charge_max":
            return Observed(call, False, priced)
    return Observed(
        call, False, held(reservation, call, "settled_without_usage" if not known else "charge_max")
    )


def held(reservation: Reservation, call: LLMCall, reason: str) -> PricedCall:
    """A call at what its reservation held, as an estimate; unpriced where that is not known."""
    if not reservation.cost:
        return PricedCall(call, None, 0, 0, 0, 0, None, "unpriced", (reason,))
    return _flat(call, reservation.cost, HELD_PRICE, "estimated", (reason,))


def orphaned_call(reservation: Reservation) -> Observed:
    """The call of a reservation that nobody settled, at what it held.

    It ends when it began, so that whoever finds it books the same entry, in the window of the reservation.
    """
    route = reservation.route
    call = LLMCall(
        reservation.trace_id, reservation.span_id, reservation.parent_id, SCOPE, route.provider, route.model,
        route.request_model, None, route.operation, False, route.tier, NO_USAGE, "unknown", ("orphaned",),
        reservation.start_ns, reservation.start_ns, True, None, route.labels,
    )  # fmt: skip
    return Observed(call, False, held(reservation, call, "orphaned"))


def used_of(observed: Observed | None) -> Amount:
    """What a settled call takes of what was held; the whole where spans tell it."""
    if observed is None or observed.priced is None:
        return WHOLE
    priced = observed.priced
    return Amount(priced.cost or 0, priced.call.usage.total, 1)


def settlement_text(reservation: Reservation, observed: Observed | None) -> bytes:
    """The line of the journal that a settlement writes."""
    if observed is None or observed.priced is None:
        return b'{"r":[%d]}' % reservation.id
    call, cost, cost_input, cost_read, cost_write, cost_output, price_id, sure, why = observed.priced
    values = [
        reservation.id, f"{call.trace_id:x}", f"{call.span_id:x}", f"{call.parent_id:x}", call.provider,
        call.model, call.request_model, call.response_model, call.tier, call.usage, call.usage_confidence,
        call.reasons, call.start_ns, call.end_ns, call.failed, call.response_id, call.reported_cost, cost,
        cost_input, cost_read, cost_write, cost_output, price_id, sure, why,
    ]  # fmt: skip
    return b'{"s":%b}' % _encode(values).encode()


def settled_of(values: list[Any], route: Record) -> Observed:
    """Reads what `settlement_text` wrote.

    Raises:
        ValueError, TypeError, KeyError: The line is not one of ours.
    """
    (_, trace, span, parent, provider, model, asked, answered, tier, usage, confidence, reasons, start_ns,
     end_ns, failed, response_id, reported, cost, *parts, price_id, sure, why) = values  # fmt: skip
    call = LLMCall(
        int(trace, 16), int(span, 16), int(parent, 16), SCOPE, provider, model, asked, answered,
        route["operation"], False, tier, Usage(*usage), confidence, tuple(reasons), start_ns, end_ns,
        bool(failed), response_id, labels_of(route["labels"]), reported,
    )  # fmt: skip
    price = (cost, *parts, price_id, sure, tuple(why))
    return Observed(call, False, PricedCall(call, *price))


def orphan_of(values: list[Any], route: Record) -> Observed:
    """The call of a reservation that a dead process opened, from its line in the journal."""
    _, _, cost, start_ns, _, _, trace, span, parent = values
    call = LLMCall(
        int(trace, 16), int(span, 16), int(parent, 16), SCOPE, route["provider"], route["model"],
        route["request_model"], None, route["operation"], False, route["tier"], NO_USAGE, "unknown",
        ("orphaned",), start_ns, start_ns, True, None, labels_of(route["labels"]),
    )  # fmt: skip
    if not cost:
        return Observed(call, False, PricedCall(call, None, 0, 0, 0, 0, None, "unpriced", ("orphaned",)))
    return Observed(call, False, _flat(call, cost, HELD_PRICE, "estimated", ("orphaned",)))


def _flat(call: LLMCall, cost: int, price_id: str, sure: Any, why: tuple[str, ...]) -> PricedCall:
    return PricedCall(call, cost, 0, 0, 0, 0, price_id, sure, why)
