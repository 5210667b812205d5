"""What this process holds: its leases, its reservations in flight, and its journal.

Everything here is under one lock that is held for microseconds, but for the line that a reservation and a
settlement write to the journal. The store is never asked under it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from spanbudget.exporter.admission.journal import ROTATE_BYTES, Journal
from spanbudget.exporter.admission.leases import FREE, Lease
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.exporter.admission.routes import Route
from spanbudget.exporter.ledger.records import Record
from spanbudget.exporter.ledger.rows import labels_text
from spanbudget.processors.booking import Observed
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.holds import HoldLedger, Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Appended, Entry
from spanbudget.processors.limits import NOTHING, Amount, Demand, Grant, Pot, Refusal

_LEASE_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
SKEW_SECONDS_MAX: Final = 3.0
"""A process stops using its holds before they expire: by a tenth of their life, and by so much at most."""


def lease_clock() -> float:
    """Seconds that no clock change moves, and that go on while the machine sleeps."""
    return time.clock_gettime(_LEASE_CLOCK)


class Settled(NamedTuple):
    """A settlement on its way into the ledger.

    Attributes:
        observed: The call to count; None where spans tell it.
        draws: What it releases of each lease.
    """

    observed: Observed | None
    draws: tuple[tuple[Lease, Amount], ...]


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes a batch of entries together with what they have settled.

    Attributes:
        holdings: Of this process.
        settled: What the batch settles.
    """

    holdings: "Holdings"
    settled: Sequence[Settled]

    def write(self, ledger: HoldLedger, entries: Sequence[Entry], *, clean: bool) -> Appended:
        """See `EntryWriter.write`."""
        return self.holdings.write(ledger, entries, self.settled, clean=clean)

    def put_off(self) -> None:
        """See `EntryWriter.put_off`."""
        self.holdings.put_off(self.settled)


class Holdings:
    """What this process holds; safe for threads.

    Args:
        ledger: Gives the ledger that holds are kept in.
        beside: Where journals lie; see `Journal`.
        orphan_reversals: Makes the reversals of an owner's orphan charges.
        journal_optional: Whether a call may go on where the journal cannot be written.
        lease_seconds: How long holds live without being renewed, above 0; they are renewed at a third of it.
        clock_ns: Nanoseconds since the epoch.

    Attributes:
        changed: Told whenever something was given back.
        flying: Reservations that are open, by id.
        pricing: Guards the prices of settlements.
        journal_errors: Lines that could not be written.
        worked_at: When the store has last taken a settlement, by `lease_clock`.
        overshoot: How much more than is held the calls in flight may cost, pico-USD.
    """

    def __init__(
        self,
        *,
        ledger: Callable[[], HoldLedger],
        beside: Path,
        orphan_reversals: Callable[[Sequence[Entry]], list[Entry]],
        journal_optional: Callable[[Reservation], bool],
        lease_seconds: float = 30.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ledger = ledger
        self._beside = beside
        self._orphan_reversals = orphan_reversals
        self.journal_optional = journal_optional
        self._lease_seconds = lease_seconds
        self._clock_ns = clock_ns
        self.begin()

    def begin(self) -> None:
        """The state that a process starts with, and a forked child starts with again."""
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.flying: dict[int, Reservation] = {}
        self.owner = b""
        self._leases: dict[tuple[Pot, bool], Lease] = {}
        self._joining = threading.Lock()
        self.pricing = threading.Lock()
        self._journal: Journal | None = None
        self._former: list[Journal] = []  # of owners that were closed, until all of it is in the ledger
        self._page: object = None  # the file that routes are noted in
        self._undrawn: dict[Pot, Amount] = {}
        self._safe_until = 0.0
        self._renew_at = 0.0
        self._last_id = 0
        self._sequence = 0
        self._spooled: dict[Pot, Amount] = {}  # held for what is settled and in the spool
        self._doubt = False  # whether the store may think otherwise of what is held
        self._routes = 0
        self._unwritten = 0
        self.journal_errors = 0
        self.worked_at = 0.0
        self.overshoot = 0

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

    # Reserving.

    def try_hold(self, reservation: Reservation) -> bool:
        """Holds what a reservation needs from what is leased; False where that does not suffice.

        Raises:
            OSError: The journal cannot be written; nothing is held.
        """
        now = lease_clock()
        with self.lock:
            if not self._suffices(reservation, now, now):
                return False
            self._fly(reservation, now)
            return True

    def hold_unasked(self, reservation: Reservation) -> bool:
        """`try_hold` while the store cannot be asked: what is leased may be used until it expires."""
        now = lease_clock()
        with self.lock:
            if not self._suffices(reservation, now, -1.0):
                return False
            self._fly(reservation, now)
            return True

    def _suffices(self, reservation: Reservation, now: float, fresh_from: float) -> bool:
        leases = reservation.route.leases
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
        return True

    def hold_anyway(self, reservation: Reservation) -> bool:
        """Lets a call fly without holding anything for it; always True."""
        reservation.amounts = tuple(NOTHING for _ in reservation.amounts)
        with self.lock:
            self._fly(reservation, lease_clock())
            return True

    def _fly(self, reservation: Reservation, now: float) -> None:
        route = reservation.route
        self._last_id += 1
        reservation.id = self._last_id
        try:
            self._note_open(reservation)
        except OSError:
            self.journal_errors += 1
            if not self.journal_optional(reservation):
                raise
        reservation.owner = self.owner
        self.flying[reservation.id] = reservation
        self.overshoot += reservation.overshoot
        for lease, amount in zip(route.leases, reservation.amounts, strict=True):
            lease.last_used = now
            lease.used_calls += 1
            free = lease.free
            for index in (0, 1, 2):
                if free[index] < FREE:
                    free[index] -= amount[index]

    def take(self, demands: Sequence[tuple[Lease, Demand]]) -> list[Grant] | Refusal:
        """Asks the store for money, and puts what it grants into the leases.

        Returns:
            What was granted, nothing where it has to be asked again, or the refusal.

        Raises:
            LedgerError: The store cannot be used.
        """
        if not self.owner:
            self.join()
        now = lease_clock()
        ledger = self._ledger()
        asked = [demand for _, demand in demands]
        owner = self.owner
        try:
            found = ledger.take(owner, asked, self._clock_ns())
        except OwnerLostError:
            self.rejoin(ledger, owner)
            return []
        except LedgerError:
            self._doubt = True  # it may have been granted all the same
            raise
        if isinstance(found, Refusal):
            return found
        leases = {demand.pot: lease for lease, demand in demands}
        with self.lock:
            if self.owner != owner:
                return []  # this process has become another owner, and the grant is not its own
            for grant in found:
                lease = leases[grant.pot]
                for index, part in enumerate(grant.amount):
                    if lease.counted[index]:
                        lease.free[index] += part
                lease.tight = grant.tight
                lease.fresh_until = now + 1.0
        return found

    def join(self) -> None:
        """Makes this process known to the store, once.

        Raises:
            LedgerError: The store or the journal cannot be used.
        """
        with self._joining:
            if self.owner:
                return
            owner = os.urandom(16)
            journal = Journal(self._beside, owner)
            now = lease_clock()
            try:
                expires_ns = self._expiry_ns()
                self._ledger().join(Owner(owner, journal.path, expires_ns, 0, {}))
            except LedgerError:
                journal.close(keep=False)
                raise
            with self.lock:
                self._take_on(owner, journal, now)

    def _take_on(self, owner: bytes, journal: Journal | None, now: float) -> None:
        self.owner = owner
        if self._journal is not journal:
            self._turn_page(journal)
        self._safe_until = now + self._lease_seconds - min(SKEW_SECONDS_MAX, self._lease_seconds / 10)
        self._renew_at = now + self._lease_seconds / 3
        self._sequence = 0

    def _expiry_ns(self) -> int:
        return self._clock_ns() + int(self._lease_seconds * 1e9)

    def _turn_page(self, journal: Journal | None) -> None:
        self._journal, self._page, self._routes = journal, object(), 0

    # Ending.

    def end(self, reservation: Reservation, state: str, text: bytes) -> None:
        """Ends a reservation in the journal and in memory, exactly once.

        Raises:
            ReservationError: It has ended, or is another process's.
        """
        with self.lock:
            if reservation.state != "open" or self.flying.get(reservation.id) is not reservation:
                raise reservation.ended()
            self._note(text)
            del self.flying[reservation.id]
            self.overshoot -= reservation.overshoot
            reservation.state = state  # type: ignore[assignment]

    def use(self, reservation: Reservation, used: Amount) -> tuple[tuple[Lease, Amount], ...]:
        """Gives back what a call did not use; answers what it did, at most what it held."""
        draws = []
        with self.lock:
            for lease, amount in zip(reservation.route.leases, reservation.amounts, strict=True):
                drawn = Amount(min(used[0], amount[0]), min(used[1], amount[1]), min(used[2], amount[2]))
                free = lease.free
                for index in (0, 1, 2):
                    if free[index] < FREE:
                        free[index] += amount[index] - drawn[index]
                if any(drawn):
                    draws.append((lease, drawn))
                    self._undrawn[lease.pot] = self._undrawn.get(lease.pot, NOTHING).plus(drawn)
            self._unwritten += 1
            self.changed.notify()
        return tuple(draws)

    def mark_sent(self, reservation: Reservation) -> None:
        """Takes note that a request is on its way."""
        with self.lock:
            if reservation.state == "open":
                reservation.sent = True
                self._note(b'{"t":[%d]}' % reservation.id)

    # Writing.

    def write(
        self, ledger: HoldLedger, entries: Sequence[Entry], settled: Sequence[Settled], *, clean: bool
    ) -> Appended:
        """Appends entries, and releases what they have settled and what is free in idle or tight leases.

        Args:
            ledger: The ledger of the pipeline.
            entries: What is appended.
            settled: What they have settled.
            clean: Whether everything that was settled before is in the ledger, and not in the spool.

        Raises:
            LedgerError: The ledger cannot be written; what is held stays held until it works again.
        """
        draws = _sums(settled)
        try:
            if clean and self._doubt:
                self.rejoin(ledger, self.owner, clean=True)
            appended = self._settle(ledger, entries, draws)
        except LedgerError:
            self._keep_held(draws)
            raise
        finally:
            with self.lock:
                self._unwritten -= len(settled)
                self.changed.notify()
        self.worked_at = lease_clock()
        return appended

    def put_off(self, settled: Sequence[Settled]) -> None:
        """Keeps held what settlements release, because their entries are in the spool."""
        self._keep_held(_sums(settled))
        with self.lock:
            self._unwritten -= len(settled)

    def _settle(self, ledger: HoldLedger, entries: Sequence[Entry], draws: Mapping[Pot, Amount]) -> Appended:
        release = dict(draws)
        ease_ns = self._idle(give_back=release)
        while True:
            # An application's thread may be going on as a new owner just now.
            with self._joining, self.lock:
                owner = self.owner
                self._sequence += 1
                settlement = Settlement(owner, self._sequence, entries, release, ease_ns)
            try:
                appended = ledger.settle(settlement)
            except OwnerLostError:
                if self.rejoin(ledger, owner, entries, draws):
                    return Appended(frozenset(), {})
                release, ease_ns = dict(draws), {}  # what was free went with the old owner
                continue
            self._draw(draws)
            return appended

    def _idle(self, *, give_back: dict[Pot, Amount]) -> dict[Pot, tuple[int, int, int]]:
        """Adds what idle leases have free to what is given back; answers by how much that eases rates."""
        ease_ns = {}
        now = lease_clock()
        with self.lock:
            for lease in self._leases.values():
                if lease.idle(now) and any(unused := lease.give_back()):
                    give_back[lease.pot] = give_back.get(lease.pot, NOTHING).plus(unused)
                    if any(lease.rates):
                        ease_ns[lease.pot] = lease.ease_ns(unused)
        return ease_ns

    def _draw(self, draws: Mapping[Pot, Amount]) -> None:
        with self.lock:
            for pot, amount in draws.items():
                self._undrawn[pot] = self._undrawn.get(pot, NOTHING).minus(amount)

    def _keep_held(self, draws: Mapping[Pot, Amount]) -> None:
        """What a write that failed would have released: its entries go to the spool."""
        self._draw(draws)
        with self.lock:
            self._doubt = True
            for pot, amount in draws.items():
                self._spooled[pot] = self._spooled.get(pot, NOTHING).plus(amount)

    @property
    def has_back(self) -> bool:
        """Whether something waits to be given back."""
        now = lease_clock()
        with self.lock:
            return self._doubt or any(
                lease.idle(now) and any(0 < free < FREE for free in lease.free)
                for lease in self._leases.values()
            )

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

    def rejoin(
        self,
        ledger: HoldLedger,
        lost: bytes,
        entries: Sequence[Entry] = (),
        draws: Mapping[Pot, Amount] = MappingProxyType({}),
        *,
        clean: bool = False,
    ) -> bool:
        """Goes on as a new owner, whose holds are what is in flight and what is settled and not written.

        This is how a process comes back whose owner was closed, with the charges for it taken back; and one
        that does not know what a failed write has done to its holds.

        Args:
            ledger: Where holds are kept.
            lost: The owner that this process was.
            entries: What is appended in the same transaction.
            draws: What these have settled, and need not be held again.
            clean: Whether nothing of this process is in the spool.

        Returns:
            False where another thread has done it: nothing was appended.

        Raises:
            LedgerError: The store or the journal cannot be used.
        """
        with self._joining:
            with self.lock:
                if self.owner != lost:
                    return False
                self.owner = b""  # from here on nothing that is granted to the lost one is believed
            try:
                self._reopen(ledger, lost, entries, draws, clean=clean)
            except BaseException:
                with self.lock:
                    self.owner, self._doubt = lost, True
                raise
        return True

    def _reopen(
        self,
        ledger: HoldLedger,
        lost: bytes,
        entries: Sequence[Entry],
        draws: Mapping[Pot, Amount],
        *,
        clean: bool,
    ) -> None:
        reversals = self._orphan_reversals(ledger.orphans(lost))
        owner = os.urandom(16)
        journal = Journal(self._beside, owner)
        now = lease_clock()
        with self.lock:
            if self._journal is not None:
                self._former.append(self._journal)
            self._turn_page(journal)
            held = self._all_held(clean=clean)
            for pot, amount in draws.items():
                held[pot] = held.get(pot, NOTHING).minus(amount).at_least(0)
            for lease in self._leases.values():
                lease.give_back()
            for reservation in self.flying.values():
                self._note_open(reservation)
                reservation.owner = owner
        ledger.reopen(lost, [*reversals, *entries], Owner(owner, journal.path, self._expiry_ns(), 0, held))
        self._draw(draws)
        with self.lock:
            self._doubt = self._doubt and not clean
            if clean:
                self._spooled = {}
            self._take_on(owner, journal, now)

    def _all_held(self, *, clean: bool) -> dict[Pot, Amount]:
        """What has to be held: calls in flight, and what is settled and not in the ledger."""
        held = dict(self._undrawn)
        if not clean:
            for pot, amount in self._spooled.items():
                held[pot] = held.get(pot, NOTHING).plus(amount)
        for reservation in self.flying.values():
            for lease, amount in zip(reservation.route.leases, reservation.amounts, strict=True):
                held[lease.pot] = held.get(lease.pot, NOTHING).plus(amount)
        return {pot: amount for pot, amount in held.items() if any(amount)}

    # Keeping.

    def renew(self, ledger: HoldLedger) -> None:
        """Moves the expiry of this owner, where it is time.

        Raises:
            LedgerError: The store cannot be used.
        """
        now = lease_clock()
        if not self.owner or now < self._renew_at:
            return
        owner = self.owner
        try:
            ledger.renew(owner, self._expiry_ns())
        except OwnerLostError:
            self.rejoin(ledger, owner)
            return
        with self.lock:
            self._safe_until = now + self._lease_seconds - min(SKEW_SECONDS_MAX, self._lease_seconds / 10)
            self._renew_at = now + self._lease_seconds / 3

    def tidy(self) -> None:
        """Begins the journal anew where it is long and all of it is in the ledger.

        Raises:
            LedgerError: The new file cannot be made.
        """
        with self.lock:
            journal = self._journal
            if journal is None or self._unwritten > 0:
                return
            while self._former:
                self._former.pop().close(keep=False)
            if journal.size_bytes < ROTATE_BYTES:
                return
            self._turn_page(journal)
            records: list[Record] = []
            for reservation in self.flying.values():
                records += self._route_record(reservation.route)
                records.append({"o": _opened(reservation)})
            journal.rotate(records)
            journal.forget_old()

    def overdue(self, now_ns: int) -> list[Reservation]:
        """Open reservations that have expired."""
        with self.lock:
            return [one for one in self.flying.values() if one.expires_ns <= now_ns]

    def leave(self, ledger: HoldLedger | None) -> None:
        """Gives everything back at the end; keeps the journal where something is not settled.

        Args:
            ledger: None where the ledger cannot be used: the next process settles what is left.
        """
        with self.lock:
            done = ledger is not None and not self.flying and not self._doubt and self._unwritten <= 0
            owner, self.owner = self.owner, b""
            journals = [*self._former, *([self._journal] if self._journal else [])]
            self._former.clear()
            self._turn_page(None)
            self._safe_until = 0.0
        if done and owner and ledger is not None:
            ledger.forget_owner(owner)
        for journal in journals:
            journal.close(keep=not done)

    def after_fork(self) -> None:
        """In a forked child: what was held is the parent's, and so are its files."""
        for journal in [*self._former, *([self._journal] if self._journal else [])]:
            journal.close(keep=True)
        self.begin()

    # The journal.

    def _note(self, text: bytes) -> None:
        """Writes an end to the journal; a journal that fails stops no settlement, and is counted."""
        if self._journal is None:
            return
        try:
            self._journal.write(text)
        except OSError:
            self.journal_errors += 1

    def _note_open(self, reservation: Reservation) -> None:
        journal = self._journal
        if journal is None:
            return
        route = reservation.route
        if route.journal is not self._page:
            for record in self._route_record(route):
                journal.add(record)
        journal.write(
            b'{"o":[%d,%d,%d,%d,%d,%d,"%x","%x","%x"]}'
            % (
                reservation.id,
                route.number,
                reservation.cost,
                reservation.start_ns,
                reservation.expires_ns,
                reservation.sent,
                reservation.trace_id,
                reservation.span_id,
                reservation.parent_id,
            )  # fmt: skip
        )

    def _route_record(self, route: Route) -> Iterable[Record]:
        if route.journal is self._page:
            return ()
        self._routes += 1
        route.number, route.journal = self._routes, self._page
        record: Record = {
            "route": route.number,
            "provider": route.provider,
            "model": route.model,
            "request_model": route.request_model,
            "operation": route.operation,
            "tier": route.tier,
            "labels": labels_text(route.labels),
            "orphan": [budget.policies.on_orphan for budget in route.budgets],
        }
        return (record,)


def _sums(settled: Sequence[Settled]) -> dict[Pot, Amount]:
    """What settlements release of each pot."""
    drawn: dict[Pot, Amount] = {}
    for one in settled:
        for lease, amount in one.draws:
            before = drawn.get(lease.pot)
            drawn[lease.pot] = amount if before is None else before.plus(amount)
    return drawn


def _opened(reservation: Reservation) -> list[Any]:
    return [
        reservation.id, reservation.route.number, reservation.cost, reservation.start_ns, reservation.expires_ns,
        int(reservation.sent), f"{reservation.trace_id:x}", f"{reservation.span_id:x}",
        f"{reservation.parent_id:x}",
    ]  # fmt: skip
