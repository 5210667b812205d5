"""The lines of a journal: how reservations and settlements are written, and read back."""

import ast
import json
from json.encoder import encode_basestring_ascii
from typing import Any, Final, TypeAlias

from spanbudget.exporter.admission.reservation import Outcome, Reservation
from spanbudget.exporter.admission.routes import Route
from spanbudget.exporter.ledger.records import Record
from spanbudget.exporter.ledger.rows import labels_of, labels_text
from spanbudget.processors.call import Usage

OPENED: Final = "o"
SENT: Final = "t"
RELEASED: Final = "r"
SETTLED: Final = "s"

_PLAIN: Final = (None, None, False, (), "exact", None)
Ids: TypeAlias = tuple[int, int, int]


def route_record(route: Route) -> Record:
    """What a reservation's line names by a number: everything that is the same for many calls."""
    return {
        "route": route.number,
        "provider": route.provider,
        "model": route.model,
        "request_model": route.request_model,
        "operation": route.operation,
        "tier": route.tier,
        "labels": labels_text(route.labels),
        "orphan": sorted({budget.policies.on_orphan for budget in route.budgets}),
        "charge_max": route.charge_max,
    }


def route_of(record: Record) -> Route:
    """The route that a record tells; it asks no budget."""
    route = Route(
        (), labels_of(record["labels"]), record["provider"], record["model"], record["request_model"],
        record["operation"], record["tier"], None, (), (), (),
    )  # fmt: skip
    route.charge_max = record["charge_max"]
    return route


def opened_text(reservation: Reservation) -> bytes:
    """The line that a reservation writes before it counts."""
    return b'{"o":[%d,%d,%d,%d,%d,%d,"%x","%x","%x"]}' % (
        reservation.id, reservation.route.number, reservation.cost, reservation.start_ns,
        reservation.expires_ns, reservation.sent, reservation.trace_id, reservation.span_id,
        reservation.parent_id,
    )  # fmt: skip


def opened_of(values: list[Any], route: Route) -> Reservation:
    """The reservation that a line tells, without anything that is held for it."""
    number, _, cost, start_ns, expires_ns, sent, trace, span, parent = values
    reservation = Reservation(
        None,
        route,
        (),
        cost,
        start_ns,
        expires_ns,
        bool(sent),
        int(trace, 16),
        int(span, 16),
        int(parent, 16),
    )
    reservation.id = number
    return reservation


def sent_text(reservation: Reservation) -> bytes:
    """The line that says that a request is on its way."""
    return b'{"t":[%d]}' % reservation.id


def released_text(reservation: Reservation) -> bytes:
    """The line that says that nothing was spent."""
    return b'{"r":[%d]}' % reservation.id


def settled_text(reservation: Reservation, outcome: Outcome, end_ns: int) -> bytes:
    """The line that a settlement writes before it returns."""
    cost, usage, response_id, response_model, tier, failed, reasons, confidence = outcome
    more = ""
    if cost is not None or tier or failed or reasons or confidence != "exact" or reservation.link:
        more = "," + json.dumps([cost, tier, failed, reasons, confidence, reservation.link])
    counts = "" if usage is None else tuple.__repr__(usage)
    name = "null" if response_id is None else encode_basestring_ascii(response_id)
    model = "null" if response_model is None else encode_basestring_ascii(response_model)
    return f'{{"s":[{reservation.id},{end_ns},"{counts}",{name},{model}{more}]}}'.encode()


def settled_of(values: list[Any]) -> tuple[Outcome, int, Ids | None]:
    """The outcome, the end and the linked span that a line tells."""
    _, end_ns, counts, response_id, response_model, *more = values
    cost, tier, failed, reasons, confidence, link = more[0] if more else _PLAIN
    usage = Usage(*ast.literal_eval(counts)) if counts else None
    outcome: Any = (cost, usage, response_id, response_model, tier, failed, tuple(reasons), confidence)
    return outcome, end_ns, None if link is None else (link[0], link[1], link[2])
