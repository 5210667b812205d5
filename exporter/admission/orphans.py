"""What dead processes have left: read from their journals, or charged from their leases."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spanbudget.exporter.admission import notes
from spanbudget.exporter.admission.journal import FoundJournal, find_journals
from spanbudget.exporter.admission.reservation import Outcome, Reservation
from spanbudget.exporter.admission.routes import Route
from spanbudget.exporter.admission.settling import SCOPE, orphaned_call, settled_call
from spanbudget.exporter.ledger.records import Record
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.budgets import BUDGET_LABEL, CHILD_LABEL, ORPHANED_LEASE, BudgetBook
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall
from spanbudget.processors.holds import Owner
from spanbudget.processors.ledger import Entry, entry_id
from spanbudget.processors.limits import Amount, Pot
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook


@dataclass(slots=True)
class Found:
    """What the journal of one dead owner tells.

    Attributes:
        owner: Id of the owner.
        journal: Its files, locked.
        observed: The calls that it settled, and those that it left in flight and that are charged.
        tallies: (metric name, reason) → count.
    """

    owner: bytes
    journal: FoundJournal
    observed: list[Observed]
    tallies: Counter[tuple[str, str]]


@dataclass(slots=True)
class _Reading:
    """One journal while it is read."""

    routes: dict[int, tuple[Route, Record]] = field(default_factory=dict)
    opened: dict[int, tuple[Reservation, Record]] = field(default_factory=dict)
    settled: list[tuple[Reservation, Outcome, int]] = field(default_factory=list)
    torn: int = 0

    def take(self, record: Record) -> None:
        if "route" in record:
            self.routes[record["route"]] = (notes.route_of(record), record)
        elif notes.OPENED in record:
            values = record[notes.OPENED]
            route, told = self.routes[values[1]]
            self.opened[values[0]] = (notes.opened_of(values, route), told)
        elif notes.SENT in record:
            self.opened[record[notes.SENT][0]][0].sent = True
        elif notes.RELEASED in record:
            self.opened.pop(record[notes.RELEASED][0], None)
        elif notes.SETTLED in record:
            outcome, end_ns, link = notes.settled_of(record[notes.SETTLED])
            reservation, _ = self.opened.pop(record[notes.SETTLED][0])
            reservation.link = link
            self.settled.append((reservation, outcome, end_ns))


def read_journals(beside: Path, namer: Namer, prices: PriceBook) -> Iterator[Found]:
    """What all dead owners beside a ledger have left.

    A call that one journal settles is no orphan of another: a process that lost its holds goes on in a new
    journal, and both may be found.

    Args:
        beside: Where journals lie.
        namer: Names the models that answered.
        prices: Prices what was settled.

    Raises:
        LedgerError: The folder cannot be read.
    """
    read = [(journal, _read(journal)) for journal in find_journals(beside)]
    known = {_ids(reservation) for _, reading in read for reservation, _, _ in reading.settled}
    for journal, reading in read:
        tallies: Counter[tuple[str, str]] = Counter()
        observed = [settled_call(one, outcome, namer, prices, end) for one, outcome, end in reading.settled]
        for reservation, record in reading.opened.values():
            if _ids(reservation) in known:
                continue
            charged = _is_charged(record, sent=reservation.sent)
            tallies[names.RESERVATIONS_ORPHANED.name, "charged" if charged else "released"] += 1
            if charged:
                observed.append(orphaned_call(reservation))
        yield Found(journal.owner, journal, observed, tallies)


def _read(journal: FoundJournal) -> _Reading:
    reading = _Reading()
    for record in journal.records():
        try:
            reading.take(record)
        except (KeyError, ValueError, TypeError, IndexError):
            reading.torn += 1  # what another version wrote, or what the line before it would have opened
    return reading


def _is_charged(record: Record, *, sent: bool) -> bool:
    policies = set(record["orphan"]) or {"auto"}
    return "charge" in policies or ("auto" in policies and sent)


def _ids(reservation: Reservation) -> tuple[int, int]:
    return reservation.trace_id, reservation.span_id


def lease_charges(owner: Owner, budgets: BudgetBook, now_ns: int) -> list[Entry]:
    """Charges for what an expired owner held and nobody accounts for, one for each pot.

    Its journal is on another machine, or lost: what of a lease was spent cannot be told from what was not.
    Each charge counts in its own budget only.
    """
    entries = []
    for number, (pot, amount) in enumerate(sorted(owner.holds.items()), 1):
        if amount.cost:
            call = _charged_call(owner, number, pot, amount, now_ns)
            priced = PricedCall(
                call, amount.cost, 0, 0, 0, 0, names.HELD_PRICE, "estimated", (ORPHANED_LEASE,)
            )
            entries.append(Entry(entry_id(call), "call", priced, budgets.windows_of(call)))
    return entries


def lease_reversals(charges: Sequence[Entry], budgets: BudgetBook) -> list[Entry]:
    """Takes lease charges back, in the windows that they were put into."""
    return [
        Entry(
            entry_id(one.priced.call, "reversal"), "reversal", one.priced, budgets.windows_of(one.priced.call)
        )
        for one in charges
    ]


def _charged_call(owner: Owner, number: int, pot: Pot, amount: Amount, now_ns: int) -> LLMCall:
    labels = tuple(sorted({BUDGET_LABEL: pot.budget, CHILD_LABEL: pot.child}.items()))
    trace_id = int.from_bytes(owner.id, "big")
    # It has a parent, though none is known: a root might be taken for the other half of some call.
    return LLMCall(
        trace_id, number, 1, SCOPE, None, None, None, None, ORPHANED_LEASE, False, None,
        NO_USAGE._replace(input=amount.tokens) if amount.tokens else NO_USAGE, "unknown", (ORPHANED_LEASE,),
        now_ns, now_ns, True, None, labels,
    )  # fmt: skip
