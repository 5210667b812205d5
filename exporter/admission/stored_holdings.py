"""What this process holds, as the store has it: asking for more, giving back, and staying known.

A process is one owner in the store. Where another process has closed it, because it stood still for longer
than its holds live, or where a write failed and nobody knows what it did, it goes on as a new owner.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from spanbudget.exporter.admission.holdings import Holdings, Settled, lease_clock
from spanbudget.exporter.admission.journal import Journal
from spanbudget.exporter.admission.leases import FREE, FRESH_SECONDS, Lease
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.holds import HoldLedger, Owner, OwnerLostError, Settlement
from spanbudget.processors.ledger import Appended, Entry
from spanbudget.processors.limits import NOTHING, Amount, Demand, Grant, Pot, Refusal

SKEW_SECONDS_MAX: Final = 3.0
"""A process stops using its holds before they expire: by a tenth of their life, and by so much at most."""


class StoredHoldings(Holdings):
    """What this process holds; safe for threads.

    Args:
        ledger: Gives the ledger that holds are kept in.
        beside: Where journals lie; see `Journal`.
        orphan_reversals: Makes the reversals of an owner's orphan charges.
        journal_optional: Whether a call may go on where the journal cannot be written.
        lease_seconds: How long holds live without being renewed, above 0; they are renewed at a third of it.
        clock_ns: Nanoseconds since the epoch.

    Attributes:
        writes: How often the store has taken a settlement.
        worked_at: When the store has last taken a settlement, by `lease_clock`.
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
        self._lease_seconds = lease_seconds
        self._clock_ns = clock_ns
        super().__init__(journal_optional)

    def begin(self) -> None:
        """See `Holdings.begin`."""
        super().begin()
        self.worked_at = 0.0
        self.writes = 0
        self._joining = threading.Lock()
        self._former: list[Journal] = []  # of owners that were closed, until all of it is in the ledger
        self._spooled: dict[Pot, Amount] = {}  # held for what is settled and in the spool
        self._doubt = False  # whether the store may think otherwise of what is held
        self._renew_at = 0.0
        self._sequence = 0

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
                lease.fresh_until = now + FRESH_SECONDS
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
                self._ledger().join(Owner(owner, journal.path, self._expires_ns(), 0, {}))
            except LedgerError:
                journal.close(keep=False)
                raise
            with self.lock:
                self._take_on(owner, journal, now)

    def _take_on(self, owner: bytes, journal: Journal | None, now: float) -> None:
        self.owner = owner
        if self._journal is not journal:
            self._turn_page(journal)
        self._live_on(now)
        self._sequence = 0

    def _live_on(self, now: float) -> None:
        """Takes note that the store lets the holds live from now on."""
        self._safe_until = now + self._lease_seconds - min(SKEW_SECONDS_MAX, self._lease_seconds / 10)
        self._renew_at = now + self._lease_seconds / 3

    def _expires_ns(self) -> int:
        return self._clock_ns() + int(self._lease_seconds * 1e9)

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
            appended = self._settle(ledger, entries, draws)
        except LedgerError:
            self._keep_held(draws)
            raise
        finally:
            with self.lock:
                self._unwritten -= len(settled)
                self.changed.notify()
        self.worked_at = lease_clock()
        self.writes += 1
        if clean and self._doubt:  # now that the store works: what is leased is given up for that
            self.rejoin(ledger, self.owner, clean=True)
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
            free = [(lease, lease.give_back()) for lease in self._leases.values()]
            for reservation in self.flying.values():
                self._note_open(reservation, journal)
                reservation.owner = owner
        try:
            holder = Owner(owner, journal.path, self._expires_ns(), 0, held)
            ledger.reopen(lost, [*reversals, *entries], holder)
        except LedgerError:
            with self.lock:  # the store knows the lost one still, and what it had leased
                for lease, amount in free:
                    lease.take_back(amount)
            raise
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
        for reservation in (*self.flying.values(), *self._ended.values()):
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
            ledger.renew(owner, self._expires_ns())
        except OwnerLostError:
            self.rejoin(ledger, owner)
            return
        with self.lock:
            self._live_on(now)

    def tidy(self) -> None:
        """Deletes journals of which everything is in the ledger.

        Raises:
            LedgerError: A new journal cannot be made.
        """
        with self.lock:
            former = [] if self._unwritten > 0 else self._former
            while former:
                former.pop().close(keep=False)
        self.rotate()

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


def _sums(settled: Sequence[Settled]) -> dict[Pot, Amount]:
    """What settlements release of each pot."""
    drawn: dict[Pot, Amount] = {}
    for one in settled:
        for lease, amount in one.draws:
            before = drawn.get(lease.pot)
            drawn[lease.pot] = amount if before is None else before.plus(amount)
    return drawn
