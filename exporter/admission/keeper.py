"""What has to be done for holds from time to time: renewing, giving back, settling for the dead.

The pipeline's worker calls it between two batches, so nothing here runs at the same time as a batch.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from spanbudget.exporter.admission.drift import drift_of
from spanbudget.exporter.admission.engine import Admission
from spanbudget.exporter.admission.holdings import Settled, lease_clock
from spanbudget.exporter.admission.orphans import Found, lease_charges
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.exporter.admission.terms import REFRESH_SECONDS, TermsBook
from spanbudget.exporter.admission.writing import Writing
from spanbudget.exporter.entry_store import EntryWriter, SharedLedger
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.budget_state import Terms
from spanbudget.processors.budgets import Budget, BudgetBook
from spanbudget.processors.holds import Owner
from spanbudget.processors.ledger import Entry
from spanbudget.processors.limits import Pot

SWEEP_SECONDS: Final = 5.0
"""How often this process looks for holds of dead ones."""
GRACE_SECONDS: Final = 2.0
"""How long after its expiry the holds of an owner are charged: it may be settling just now."""
TIGHT_SECONDS: Final = 0.02
"""How often free money is given back while a budget is nearly spent."""
DRIFT_SECONDS: Final = 60.0

_logger = logging.getLogger(__name__)


class Books(Protocol):
    """The pipeline, as far as the keeper has to do with it."""

    def book(self, batch: Sequence[Observed], now_ns: int) -> None:
        """Counts, prices and appends a batch."""
        ...

    def use_ledger(self, work: Callable[[SharedLedger], None]) -> bool:
        """Does something with the ledger; False where that fails."""
        ...

    def write_back(self) -> None:
        """Writes what is to be released, without entries."""
        ...


class Limits(Protocol):
    """The connection that calls ask for money."""

    def open(self, pipeline: Any) -> SharedLedger:
        """The ledger, opened at the first use."""
        ...

    def close(self) -> None:
        """Closes it."""
        ...


class Keeper:
    """Keeps what this process holds.

    Args:
        books: The pipeline.
        engine: Reserves and settles.
        holdings: What this process holds.
        terms: What holds for budgets now.
        budgets: All budgets; stored ones are added to it.
        configured: The budgets of the configuration.
        stored: Reads a stored budget from its text.
        added: Told of budgets that are new, so that what the ledger holds is counted for them.
        beside: Where journals lie.
        reversals: Makes the reversals of orphan charges.
        limits: The connection that calls ask for money.

    Attributes:
        engine: Reserves and settles.
        terms: What holds for budgets now.
        limits: The connection that calls ask for money.
    """

    def __init__(  # noqa: PLR0913 - the parts of a whole; all by keyword
        self,
        books: Books,
        *,
        engine: Admission,
        holdings: StoredHoldings,
        terms: TermsBook,
        budgets: BudgetBook,
        configured: Sequence[Budget],
        stored: Callable[[str], Budget],
        added: Callable[[SharedLedger, Sequence[Budget]], None],
        beside: Path,
        reversals: Callable[[Sequence[Entry]], list[Entry]],
        limits: Limits,
    ) -> None:
        self.engine = engine
        self.holdings = holdings
        self.terms = terms
        self._books = books
        self._budgets = budgets
        self._configured = tuple(configured)
        self._stored = stored
        self._added = added
        self._beside = beside
        self._reversals = reversals
        self.limits = limits
        self._refreshing = threading.Lock()
        engine.refresh = self.refresh
        self._refresh_at = 0.0
        self._sweep_at = 0.0
        self._drift_at = 0.0
        self._drift = 0
        self._tallies: Counter[tuple[str, str]] = Counter()

    def know(self, resource: Mapping[str, object]) -> None:
        """Takes note of the attributes of the process's resource, which label its calls."""
        self.engine.routes.know(resource)

    def conclude(self, settled: Settled) -> Observed | None:
        """Prices what was settled; None where nothing was spent, or spans tell it."""
        return self.engine.conclude(settled)

    def writer(self, settled: Sequence[Settled]) -> EntryWriter | None:
        """Writes a batch together with what it settles; None where this process holds nothing."""
        return Writing(self.holdings, settled) if self.holdings.owner else None

    def keep(self, now_ns: int) -> float | None:
        """Does what is due; how long until something is due again, seconds, None for never."""
        now = lease_clock()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._books.use_ledger(self._refresh)
        if not self.holdings.owner:
            if not self._sweep_at:  # what dead processes have left is settled at the start
                self._sweep_at = now + SWEEP_SECONDS
                self.sweep(now_ns)
            return None
        for reservation in self.holdings.overdue(now_ns):
            self.engine.orphan(reservation)
        self._books.use_ledger(self.holdings.renew)
        if self.holdings.has_back:
            self._books.write_back()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self.terms.forget_carried()
            self.sweep(now_ns)
        if now >= self._drift_at:
            self._drift_at = now + DRIFT_SECONDS
            self._books.use_ledger(lambda ledger: self._measure_drift(ledger, now_ns))
        self.holdings.tidy()
        return self._rest()

    def _rest(self) -> float:
        if self.holdings.tight:
            return TIGHT_SECONDS
        return 0.1 if self.holdings.holds_free else REFRESH_SECONDS

    def terms_of(self, budget: Budget, pot: Pot, now_ns: int) -> Terms:
        """What holds for a budget, or a child of it, at a moment."""
        found: list[Terms] = []

        def ask(ledger: SharedLedger) -> None:
            found.append(self.terms.terms(budget, pot, now_ns, ledger))

        if budget.policies.rollover is not None and self._books.use_ledger(ask):
            return found[0]
        return self.terms.terms(budget, pot, now_ns)

    def _refresh(self, ledger: SharedLedger) -> None:
        self.refresh(ledger)

    def refresh(self, ledger: Any) -> bool:
        """Takes over budgets, grants and suspensions that have changed; whether any have.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self._refreshing:
            if not self.terms.refresh(ledger):
                return False
            self._take_over(ledger)
            self.holdings.distrust()
            return True

    def _take_over(self, ledger: Any) -> None:
        stored = [budget for body in self.terms.bodies.values() if (budget := self._read(body))]
        names_taken = {budget.name for budget in self._configured}
        budgets = [*self._configured, *(one for one in stored if one.name not in names_taken)]
        if tuple(budgets) != self._budgets.budgets:
            self._added(ledger, budgets)
            self._budgets.define(budgets)
            self.engine.routes.forget()

    def _read(self, body: str) -> Budget | None:
        """A stored budget; None where a newer program wrote something that this one does not know."""
        try:
            return self._stored(body)
        except ValueError as error:
            _logger.error(  # noqa: TRY400 - the reason says it all
                "A budget in the ledger cannot be read, and does not hold in this process: %s", error
            )
            return None

    # The dead.

    def sweep(self, now_ns: int) -> None:
        """Settles what dead processes have left: by their journals, or by what their leases held."""
        for found in self.engine.left_behind(self._beside):
            self._recover(found, now_ns)
        self._books.use_ledger(lambda ledger: self._close_expired(ledger, now_ns))

    def _recover(self, found: Found, now_ns: int) -> None:
        """Books what a journal tells, and then frees what its owner held."""
        self._books.book(found.observed, now_ns)
        self._tallies.update(found.tallies)

        def free(ledger: SharedLedger) -> None:
            charges = ledger.orphans(found.owner)
            if charges:
                ledger.append(self._reversals(charges))
            ledger.forget_owner(found.owner)

        if self._books.use_ledger(free):
            found.journal.delete()
        else:
            found.journal.release()

    def _close_expired(self, ledger: SharedLedger, now_ns: int) -> None:
        for owner in ledger.owners(now_ns - int(GRACE_SECONDS * 1e9)):
            if owner.id != self.holdings.owner:
                self._close(ledger, owner, now_ns)

    def _close(self, ledger: SharedLedger, owner: Owner, now_ns: int) -> None:
        charges = lease_charges(owner, self._budgets, now_ns)
        if ledger.close_owner(owner.id, charges, now_ns):
            charged = sum(entry.priced.cost or 0 for entry in charges)
            self._tallies[names.LEASES_ORPHANED_USD.name, ""] += charged

    # What others see.

    def _measure_drift(self, ledger: SharedLedger, now_ns: int) -> None:
        self._drift = drift_of(ledger, self._budgets, now_ns)

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → count, in the metric's unit times its divisor."""
        holdings = self.holdings
        health = Counter(self.engine.tallies)
        health.update(self._tallies)
        health[names.RESERVATIONS_OPEN.name, ""] = len(holdings.flying)
        health[names.RESERVATIONS_OVERSHOOT_USD.name, ""] = holdings.overshoot
        health[names.JOURNAL_ERRORS.name, ""] = holdings.journal_errors
        health[names.LEDGER_DRIFT_USD.name, ""] = self._drift
        return health

    def retire(self) -> None:
        """Lets everything that is free be given back with the next write."""
        self.holdings.retire()

    def leave(self) -> None:
        """Gives everything back at the end of the process, and keeps the journal where that fails."""
        if self.holdings.owner and not self._books.use_ledger(self.holdings.leave):
            self.holdings.leave(None)

    def close(self) -> None:
        """Gives everything back and closes the connection that calls ask for money."""
        self.leave()
        self.limits.close()

    def after_fork(self) -> None:
        """In a forked child: drops what the parent holds."""
        self.holdings.after_fork()
