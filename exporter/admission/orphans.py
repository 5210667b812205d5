"""What dead processes have left: read from their journals, or charged from their leases."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanbudget.exporter.admission.journal import FoundJournal, find_journals, values_of
from spanbudget.exporter.admission.settling import HELD_PRICE, SCOPE, orphan_of, settled_of
from spanbudget.exporter.ledger.records import Record
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.budgets import BUDGET_LABEL, CHILD_LABEL, ORPHANED_LEASE, BudgetBook
from spanbudget.processors.call import NO_USAGE, LLMCall, PricedCall
from spanbudget.processors.holds import Owner
from spanbudget.processors.ledger import Entry, entry_id
from spanbudget.processors.limits import Amount, Pot


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

    routes: dict[int, Record] = field(default_factory=dict)
    opened: dict[int, tuple[list[Any], Record]] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    settled: list[Observed] = field(default_factory=list)
    torn: int = 0

    def take(self, record: Record) -> None:
        if "route" in record:
            self.routes[record["route"]] = record
        elif (values := values_of(record, "o")) is not None:
            self.opened[values[0]] = (values, self.routes[values[1]])
            if values[5]:
                self.sent.add(values[0])
        elif (values := values_of(record, "t")) is not None:
            self.sent.add(values[0])
        elif (values := values_of(record, "r")) is not None:
            self.opened.pop(values[0], None)
        elif (values := values_of(record, "s")) is not None:
            opened = self.opened.pop(values[0], None)
            if opened is not None:
                self.settled.append(settled_of(values, opened[1]))


def read_journals(beside: Path) -> Iterator[Found]:
    """What all dead owners beside a ledger have left.

    A call that one journal settles is no orphan of another: a process that lost its holds goes on in a new
    journal, and both may be found.

    Args:
        beside: Where journals lie.

    Raises:
        LedgerError: The folder cannot be read.
    """
    read = [(journal, _read(journal)) for journal in find_journals(beside)]
    settled = {_ids(one) for _, reading in read for one in reading.settled}
    for journal, reading in read:
        tallies: Counter[tuple[str, str]] = Counter()
        observed = list(reading.settled)
        for number, (values, route) in reading.opened.items():
            charged = _is_charged(route, sent=number in reading.sent)
            orphan = orphan_of(values, route)
            if _ids(orphan) in settled:
                continue
            tallies[names.RESERVATIONS_ORPHANED.name, "charged" if charged else "released"] += 1
            if charged:
                observed.append(orphan)
        yield Found(journal.owner, journal, observed, tallies)


def _read(journal: FoundJournal) -> _Reading:
    reading = _Reading()
    for record in journal.records():
        try:
            reading.take(record)
        except (KeyError, ValueError, TypeError, IndexError):
            reading.torn += 1  # a line of another version: what it opened stays charged to the lease
    return reading


def _is_charged(route: Record, *, sent: bool) -> bool:
    policies = set(route["orphan"]) or {"auto"}
    return "charge" in policies or ("auto" in policies and sent)


def _ids(observed: Observed) -> tuple[int, int]:
    call = observed.what
    return call.trace_id, call.span_id


def lease_charges(owner: Owner, budgets: BudgetBook, now_ns: int) -> list[Entry]:
    """Charges for what an expired owner held and nobody accounts for, one for each pot.

    Its journal is on another machine, or lost: what of a lease was spent cannot be told from what was not.
    Each charge counts in its own budget only.
    """
    entries = []
    for number, (pot, amount) in enumerate(sorted(owner.holds.items()), 1):
        if amount.cost:
            call = _charged_call(owner, number, pot, amount, now_ns)
            priced = PricedCall(call, amount.cost, 0, 0, 0, 0, HELD_PRICE, "estimated", (ORPHANED_LEASE,))
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
