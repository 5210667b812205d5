"""What this process holds, in memory and in its journal: its leases, and its reservations in flight.

Everything here is under one lock that is held for microseconds, the line in the journal included. The store
is never asked under it; `stored_holdings` does that.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.admission import notes
from spanbudget.exporter.admission.journal import ROTATE_BYTES, Journal
from spanbudget.exporter.admission.leases import FREE, Lease
from spanbudget.exporter.admission.reservation import Outcome, Reservation, State
from spanbudget.exporter.admission.routes import Route
from spanbudget.exporter.ledger.records import Record
from spanbudget.processors.limits import NOTHING, Amount, Pot

if TYPE_CHECKING:
    from spanbudget.processors.booking import Observed

_LEASE_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def lease_clock() -> float:
    """Seconds that no clock change moves, and that go on while the machine sleeps."""
    return time.clock_gettime(_LEASE_CLOCK)


class Settled:
    """A reservation that has ended, on its way into the ledger.

    Attributes:
        reservation: The reservation.
        state: How it ended.
        outcome: What was told; None where nothing was spent, or it was orphaned.
        end_ns: When, nanoseconds since the epoch.
        observed: The call to count, once it is priced; None where nothing was spent, or spans tell it.
        draws: What it has used of each lease, once that is known.
    """

    __slots__ = ("draws", "end_ns", "observed", "outcome", "reservation", "state")

    def __init__(self, reservation: Reservation, state: State, outcome: Outcome | None, end_ns: int) -> None:
        self.reservation = reservation
        self.state: State = state
        self.outcome = outcome
        self.end_ns = end_ns
        self.observed: Observed | None = None
        self.draws: tuple[tuple[Lease, Amount], ...] = ()


class Holdings:
    """What this process holds; safe for threads.

    Args:
        journal_optional: Whether a call may go on where the journal cannot be written.

    Attributes:
        lock: Guards everything here.
        changed: Told whenever something was given back.
        flying: Reservations that are open, by id.
        owner: Id under which the store knows this process; empty before it does.
        journal_errors: Lines that could not be written.
        overshoot: How much more than is held the calls in flight may cost, pico-USD.
    """

    def __init__(self, journal_optional: Callable[[Reservation], bool]) -> None:
        self._journal_optional = journal_optional
        self.begin()

    def begin(self) -> None:
        """The state that a process starts with, and a forked child starts with again."""
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.flying: dict[int, Reservation] = {}
        self.owner = b""
        self.journal_errors = 0
        self.overshoot = 0
        self._leases: dict[tuple[Pot, bool], Lease] = {}
        self._journal: Journal | None = None
        self._page: object = None  # the file that routes are noted in
        self._routes = 0
        self._ended: dict[int, Reservation] = {}  # what they have used is not known yet
        self._undrawn: dict[Pot, Amount] = {}  # used, and not in the ledger yet
        self._unwritten = 0
        self._last_id = 0
        self._safe_until = 0.0

    def lease_of(self, pot: Pot, first: bool) -> Lease:  # noqa: FBT001 - used by `map`
        """The lease of a pot, made where there is none."""
        key = (pot, first)
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease(pot)
        return lease

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All leases."""
        return tuple(self._leases.values())

    @property
    def unwritten(self) -> bool:
        """Whether something is settled and not in the ledger yet."""
        return self._unwritten > 0

    @property
    def tight(self) -> bool:
        """Whether a budget of this process is nearly spent."""
        return any(lease.tight for lease in self.leases)

    @property
    def holds_free(self) -> bool:
        """Whether something is leased and not used."""
        return any(0 < free < FREE for lease in self.leases for free in lease.free)

    def retire(self) -> None:
        """Lets everything that is free be given back with the next write."""
        with self.lock:
            for lease in self._leases.values():
                lease.last_used = 0.0

    def distrust(self) -> None:
        """Lets every lease be asked for anew: a budget has changed."""
        with self.lock:
            for lease in self._leases.values():
                lease.fresh_until = 0.0

    # Reserving.

    def try_hold(self, reservation: Reservation) -> bool:
        """Holds what a reservation needs from what is leased; False where that does not suffice.

        Raises:
            OSError: The journal cannot be written; nothing is held.
        """
        now = lease_clock()
        return self._hold(reservation, now, now)

    def hold_unasked(self, reservation: Reservation) -> bool:
        """`try_hold` while the store cannot be asked: what is leased may be used until it expires."""
        return self._hold(reservation, lease_clock(), -1.0)

    def hold_anyway(self, reservation: Reservation) -> bool:
        """Lets a call fly without holding anything for it; always True."""
        reservation.amounts = tuple(NOTHING for _ in reservation.amounts)
        with self.lock:
            self._fly(reservation, lease_clock())
            return True

    def _hold(self, reservation: Reservation, now: float, fresh_from: float) -> bool:
        leases = reservation.route.leases
        with self.lock:
            if leases and now >= self._safe_until:
                return False
            for lease, amount in zip(leases, reservation.amounts, strict=True):
                cost, tokens, requests = lease.free
                if (
                    fresh_from >= lease.fresh_until
                    or cost < amount[0]
                    or tokens < amount[1]
                    or requests < amount[2]
                ):
                    return False
            self._fly(reservation, now)
            return True

    def _fly(self, reservation: Reservation, now: float) -> None:
        self._last_id += 1
        reservation.id = self._last_id
        try:
            if self._journal is not None:
                self._note_open(reservation, self._journal)
        except OSError:
            self.journal_errors += 1
            if not self._journal_optional(reservation):
                raise
        reservation.owner = self.owner
        self.flying[reservation.id] = reservation
        if reservation.overshoot:
            self.overshoot += reservation.overshoot
        for lease, (cost, tokens, requests) in zip(
            reservation.route.leases, reservation.amounts, strict=True
        ):
            lease.last_used = now
            lease.used_calls += 1
            free = lease.free
            free[0] -= cost
            free[1] -= tokens
            free[2] -= requests

    def mark_sent(self, reservation: Reservation) -> None:
        """Takes note that a request is on its way."""
        with self.lock:
            if reservation.state == "open":
                reservation.sent = True
                self._note(notes.sent_text(reservation))

    def overdue(self, now_ns: int) -> list[Reservation]:
        """Open reservations that have expired."""
        with self.lock:
            return [one for one in self.flying.values() if one.expires_ns <= now_ns]

    # Ending.

    def end(self, reservation: Reservation, state: State, text: bytes) -> None:
        """Ends a reservation in the journal and in memory, exactly once; what it holds stays held.

        Raises:
            ReservationError: It has ended, or is another process's.
        """
        with self.lock:
            if reservation.state != "open" or self.flying.get(reservation.id) is not reservation:
                raise reservation.ended()
            self._note(text)
            del self.flying[reservation.id]
            self.overshoot -= reservation.overshoot
            reservation.state = state
            self._unwritten += 1
            self._ended[reservation.id] = reservation

    def use(self, reservation: Reservation, used: Amount) -> tuple[tuple[Lease, Amount], ...]:
        """Gives back what an ended call did not use; answers what it did, at most what it held."""
        draws = []
        with self.lock:
            for lease, amount in zip(reservation.route.leases, reservation.amounts, strict=True):
                cost, tokens, requests = amount
                drawn = Amount(min(used[0], cost), min(used[1], tokens), min(used[2], requests))
                free, back = lease.free, amount.minus(drawn)
                free[0] += back[0]
                free[1] += back[1]
                free[2] += back[2]
                known = self._undrawn.get(lease.pot)
                self._undrawn[lease.pot] = drawn if known is None else known.plus(drawn)
                draws.append((lease, drawn))
                if lease.gated:
                    lease.fresh_until = 0.0  # this call may have been the one that suspends it
            self._ended.pop(reservation.id, None)
            self.changed.notify()
        return tuple(draws)

    # The journal.

    def _turn_page(self, journal: Journal | None) -> None:
        self._journal, self._page, self._routes = journal, object(), 0

    def _note(self, text: bytes) -> None:
        """Writes an end to the journal; a journal that fails stops no settlement, and is counted."""
        if self._journal is None:
            return
        try:
            self._journal.write(text)
        except OSError:
            self.journal_errors += 1

    def _note_open(self, reservation: Reservation, journal: Journal) -> None:
        if reservation.route.journal is not self._page:
            journal.add(self._numbered(reservation.route))
        journal.write(notes.opened_text(reservation))

    def _numbered(self, route: Route) -> Record:
        self._routes += 1
        route.number, route.journal = self._routes, self._page
        return notes.route_record(route)

    def rotate(self) -> None:
        """Begins the journal anew where it is long and all of it is in the ledger.

        Raises:
            LedgerError: The new file cannot be made.
        """
        with self.lock:
            journal = self._journal
            if journal is None or self._unwritten > 0 or journal.size_bytes < ROTATE_BYTES:
                return
            self._turn_page(journal)
            journal.rotate(())
            for reservation in self.flying.values():
                self._note_open(reservation, journal)
            journal.forget_old()
