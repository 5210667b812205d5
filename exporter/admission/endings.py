"""How reservations end: in the journal at once, and then, on the worker, as money."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from spanbudget.exporter.admission.holdings import Settled
from spanbudget.exporter.admission.notes import released_text, settled_text
from spanbudget.exporter.admission.orphans import Found, read_journals
from spanbudget.exporter.admission.reservation import COST_MAX, Outcome, Reservation, State
from spanbudget.exporter.admission.settling import ORPHANED, orphaned_call, settled_call, used_of
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.errors import ReservationError
from spanbudget.processors.limits import NOTHING
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook


class SettledSink(Protocol):
    """Who brings settlements into the ledger."""

    def observe_settled(self, settled: Settled, *, hurry: bool) -> None:
        """Takes a settlement over; `hurry` where others wait for what it gives back."""
        ...

    def settle_now(self) -> None:
        """Brings everything that was settled into the ledger, and gives back what is leased and free."""
        ...

    def wake(self) -> None:
        """Lets the worker look after the holds of this process from now on."""
        ...


class Endings:
    """Ends reservations; safe for threads.

    Args:
        holdings: What this process holds.
        namer: Names the models that answered.
        prices: Prices what is settled; used by one thread at a time.
        sink: Brings settlements into the ledger.
        clock_ns: Nanoseconds since the epoch.

    Attributes:
        tallies: (metric name, reason) → count.
    """

    def __init__(
        self,
        holdings: StoredHoldings,
        namer: Namer,
        prices: PriceBook,
        sink: SettledSink,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.holdings = holdings
        self.tallies: Counter[tuple[str, str]] = Counter()
        self._namer = namer
        self._prices = prices
        self._sink = sink
        self._clock_ns = clock_ns
        self._pricing = threading.Lock()

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """See `Reservation.settle`."""
        cost = outcome[0]
        if cost is not None and not 0 <= cost <= COST_MAX:
            raise ReservationError(
                f"settle: a cost of {cost} pico-USD is not 0 to {COST_MAX}; the reservation is still open"
            )
        end_ns = self._clock_ns()
        text = settled_text(reservation, outcome, end_ns)
        self._end(Settled(reservation, "settled", outcome, end_ns), text)

    def release(self, reservation: Reservation) -> None:
        """See `Reservation.release`."""
        self._end(Settled(reservation, "released", None, 0), released_text(reservation))

    def orphan(self, reservation: Reservation) -> None:
        """Charges or releases a reservation that has expired, as its budgets say."""
        told = {budget.policies.on_orphan for budget in reservation.route.budgets} or {"auto"}
        charged = "charge" in told or ("auto" in told and reservation.sent)
        state: State = "orphaned" if charged else "released"
        text = settled_text(reservation, ORPHANED, reservation.start_ns) if charged else b"{}"
        with contextlib.suppress(ReservationError):  # it was settled just now
            self._end(Settled(reservation, state, None, reservation.start_ns), text)
            reservation.state = "orphaned"
            self.tallies[names.RESERVATIONS_ORPHANED.name, "charged" if charged else "released"] += 1

    def _end(self, settled: Settled, text: bytes) -> None:
        """Ends a reservation in the journal and in memory; the worker does the rest."""
        reservation = settled.reservation
        self.holdings.end(reservation, settled.state, text)
        if reservation.nested is not None:  # the next call of the block may come at once
            self._conclude(settled)
        route = reservation.route
        self._sink.observe_settled(
            settled, hurry=bool(route.leases) and any(one.tight for one in route.leases)
        )

    def conclude(self, settled: Settled) -> Observed | None:
        """Prices what was settled and gives back what it did not use; on the worker.

        Returns:
            The call to count; None where nothing was spent.
        """
        if settled.reservation.nested is None:
            self._conclude(settled)
        return settled.observed

    def _conclude(self, settled: Settled) -> None:
        reservation, state = settled.reservation, settled.state
        observed, used = None, NOTHING
        if state == "orphaned":
            observed = orphaned_call(reservation)
            used = used_of(observed)
        elif settled.outcome is not None:
            with self._pricing:
                observed = settled_call(
                    reservation, settled.outcome, self._namer, self._prices, settled.end_ns
                )
            used = used_of(observed)
        settled.observed = observed
        settled.draws = self.holdings.use(reservation, used)
        self.tallies[names.RESERVATIONS_ENDED.name, state] += 1
        cost = observed.priced.cost if observed is not None and observed.priced is not None else None
        if reservation.nested is not None:
            spent = reservation.cost if cost is None and state == "settled" else cost or 0
            reservation.nested.settle(reservation.cost, spent)
        if cost is not None and state == "settled":
            route = reservation.route
            route.history.add(cost)
            if route.leases and cost > reservation.cost:
                self.tallies[names.RESERVATIONS_OVERSHOT_USD.name, ""] += cost - reservation.cost

    def left_behind(self, beside: Path) -> list[Found]:
        """What dead processes have left beside a ledger, priced.

        Raises:
            LedgerError: The folder cannot be read.
        """
        with self._pricing:
            return list(read_journals(beside, self._namer, self._prices))

    def sent(self, reservation: Reservation) -> None:
        """See `Reservation.mark_sent`."""
        self.holdings.mark_sent(reservation)
