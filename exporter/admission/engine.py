"""Reserve → call → settle: where a call gets its money, and where it is told that there is none.

A reservation is served from what the process has leased, in memory; the store is asked when that does not
suffice. A call that the store refuses waits for others to settle, is shortened or goes to a cheaper model, as
its budget says; else `BudgetExceeded` is raised.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from spanbudget.exporter.admission.context import Caller, caller_of, nested_budgets, new_id
from spanbudget.exporter.admission.holdings import Settled, lease_clock
from spanbudget.exporter.admission.leases import Lease
from spanbudget.exporter.admission.notes import released_text, settled_text
from spanbudget.exporter.admission.orphans import Found, read_journals
from spanbudget.exporter.admission.refusals import exceeded, per_call, store_failed, unknown_worst_case
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.reservation import COST_MAX, Outcome, Reservation, State
from spanbudget.exporter.admission.routes import Route, Routes
from spanbudget.exporter.admission.settling import ORPHANED, orphaned_call, settled_call, spans_tell, used_of
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.exporter.admission.terms import TermsBook
from spanbudget.exporter.admission.worst_case import WorstCase
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import BudgetExceeded, LedgerError, ReservationError
from spanbudget.processors.holds import HoldLedger
from spanbudget.processors.limits import NOTHING, UNLIMITED, Amount, Demand, Limits, Refusal
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook

StorePolicy = str
POLL_SECONDS: Final = 0.005
"""How often a waiting call asks the store whether other processes have settled (5 ms)."""
QUEUE_SECONDS: Final = 0.2
"""How long a call waits for another one of its process that asks the store."""
STORE_RETRY_SECONDS: Final = 1.0


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


@dataclass(slots=True)
class Asked:
    """A call on its way through admission.

    Attributes:
        request: What is known of it; another one after a downgrade.
        route: Which budgets it asks.
        worst: Its worst case.
        amounts: What it needs of each budget.
        now_ns: When it was asked for, nanoseconds since the epoch.
        caller: Who asks: labels, trace id and span id.
        max_tokens: The limit of one answer after a clamp; None where it is as asked.
    """

    request: CallRequest
    route: Route
    worst: WorstCase
    amounts: tuple[Amount, ...]
    now_ns: int
    caller: Caller
    max_tokens: int | None = None


class Admission:
    """Reserves and settles; safe for threads.

    Args:
        holdings: What this process holds.
        routes: Which budgets a call asks.
        terms: What holds for budgets now.
        namer: Names the models that answered.
        prices: Prices what is settled; used by one thread at a time.
        ledger: Gives the ledger that is asked for money.
        sink: Brings settlements into the ledger.
        on_store_error: What happens while the ledger cannot be used, where a budget does not say.
        baggage_keys: Baggage entries that are labels.
        clock_ns: Nanoseconds since the epoch.

    Attributes:
        tallies: (metric name, reason) → count.
        refresh: Takes over what has changed about budgets; whether anything has. The keeper sets it.
    """

    def __init__(  # noqa: PLR0913 - the parts of a whole; all by keyword
        self,
        *,
        holdings: StoredHoldings,
        routes: Routes,
        terms: TermsBook,
        namer: Namer,
        prices: PriceBook,
        ledger: Callable[[], HoldLedger],
        sink: SettledSink,
        on_store_error: StorePolicy,
        baggage_keys: Sequence[str] = (),
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.holdings = holdings
        self.routes = routes
        self.terms = terms
        self.tallies: Counter[tuple[str, str]] = Counter()
        self._namer = namer
        self._prices = prices
        self._ledger = ledger
        self._sink = sink
        self._on_store_error = on_store_error
        self._baggage_keys = tuple(baggage_keys)
        self._clock_ns = clock_ns
        self._pricing = threading.Lock()
        self._store_failed_at = self._store_failed_until = 0.0
        self.refresh: Callable[[HoldLedger], bool] = lambda _: False

    # Reserving.

    def reserve(self, request: CallRequest) -> Reservation:
        """Holds the money that a call may cost; see `BudgetManager.reserve`.

        Raises:
            BudgetExceeded: A budget refuses the call; nothing is held.
        """
        asked = self._ask(request)
        reservation = self._try(asked)
        return reservation if reservation is not None else self._reserve_slowly(asked)

    async def reserve_async(self, request: CallRequest) -> Reservation:
        """`reserve` for a coroutine: what has to wait does so on another thread.

        Raises:
            BudgetExceeded: A budget refuses the call; nothing is held.
        """
        asked = self._ask(request)
        reservation = self._try(asked)
        if reservation is None:
            reservation = await asyncio.to_thread(self._reserve_slowly, asked)
        return reservation

    def _ask(self, request: CallRequest) -> Asked:
        now_ns = self._clock_ns()
        routes = self.routes
        caller = caller_of(self._baggage_keys)
        labels = routes.labels_of(request.labels, caller[0], request.budget_name)
        route = routes.route(request, labels, now_ns)
        worst, amounts = routes.worst(route, request, now_ns)
        asked = Asked(request, route, worst, amounts, now_ns, caller)
        if route.budgets and (worst.cost is None or route.capped):
            self._check(asked)
        return asked

    def _check(self, asked: Asked) -> None:
        """What can be refused without asking anybody."""
        route, worst = asked.route, asked.worst
        if worst.cost is None:
            asked.amounts = self._without_cost(asked)
            return
        for budget in route.budgets:
            most = budget.policies.max_cost_per_call
            if most is not None and worst.cost > most and not self._clamp(asked, budget, most):
                self.tallies[names.RESERVATIONS_REFUSED.name, "per_call"] += 1
                raise per_call(budget, worst.cost, most)

    def _without_cost(self, asked: Asked) -> tuple[Amount, ...]:
        """What a call holds whose worst case nobody knows, where its budgets let it pass at all."""
        route, worst = asked.route, asked.worst
        money = [budget for budget in route.budgets if budget.hard_limit and budget.max_cost is not None]
        money += [budget for budget in route.budgets if budget.policies.max_cost_per_call is not None]
        if not money:
            return asked.amounts
        if worst.doubt == "unbounded" and route.unbounded == "refuse":
            self.tallies[names.RESERVATIONS_REFUSED.name, "unbounded"] += 1
            raise unknown_worst_case(money[0], "unbounded", route.request_model)
        if worst.doubt == "unpriced" and route.unpriced == "reject":
            self.tallies[names.RESERVATIONS_REFUSED.name, "unpriced"] += 1
            raise unknown_worst_case(money[0], "unpriced", route.request_model)
        cost = 0
        if worst.doubt == "unpriced" and route.unpriced == "charge_max":
            cost = self.routes.worst_cases.dearest(asked.request, route.provider, route.model) or 0
            asked.worst = replace(worst, cost=cost)
        self.tallies[names.RESERVATIONS_UNHELD.name, worst.doubt or ""] += cost == 0
        return route.amounts(worst, cost)

    def _try(self, asked: Asked) -> Reservation | None:
        """A reservation from what is leased; None where that does not suffice."""
        reservation = self._made(asked)
        if not self.holdings.owner:
            self._join(asked)
        return reservation if self._held(reservation, self.holdings.try_hold) else None

    def _held(self, reservation: Reservation, hold: Callable[[Reservation], bool]) -> bool:
        """Holds money of the budgets of the context, and then of all others.

        Raises:
            BudgetExceeded: The context has not so much left, or the journal cannot be written.
        """
        nested = nested_budgets()
        nested.hold(reservation.cost)
        held = False
        try:
            held = hold(reservation)
        except OSError as error:
            route = reservation.route
            self.tallies[names.RESERVATIONS_REFUSED.name, "store"] += 1
            raise store_failed(route.budgets[0], self._policy(route), error) from error
        finally:
            if nested.budgets:
                if held:
                    reservation.nested = nested
                else:
                    nested.settle(reservation.cost, 0)
        return held

    def _made(self, asked: Asked) -> Reservation:
        request, route, amounts, now_ns = asked.request, asked.route, asked.amounts, asked.now_ns
        _, trace_id, parent_id = asked.caller
        cost = asked.worst.cost or 0
        reservation = Reservation(
            self, route, amounts, cost, now_ns, now_ns + int(request.ttl_seconds * 1e9), request.sent,
            trace_id or new_id(128), new_id(64), parent_id,
        )  # fmt: skip
        if route.expected:
            reservation.overshoot = max(0, cost - max(amount[0] for amount in amounts))
        reservation.max_tokens = asked.max_tokens
        return reservation

    def _reserve_slowly(self, asked: Asked) -> Reservation:
        waited = _Waiting(asked.route.wait_seconds)
        while True:
            leases = asked.route.leases
            poller = self._become_poller(leases, waited)
            try:
                reservation = self._try(asked)
                if reservation is not None:
                    return reservation
                refusal = self._take(asked) if poller else None
            except LedgerError as error:
                return self._without_store(asked, error)
            finally:
                if poller:
                    self._step_down(leases)
            if isinstance(refusal, Refusal):
                self._refused(asked, refusal, waited)

    def _become_poller(self, leases: Sequence[Lease], waited: "_Waiting") -> bool:
        """One call at a time asks the store for a budget that has refused; the others wait for it."""
        holdings = self.holdings
        with holdings.lock:
            if any(lease.polling for lease in leases) and not waited.over:
                holdings.changed.wait(min(QUEUE_SECONDS, waited.left))
                if any(lease.polling for lease in leases):
                    return False
            for lease in leases:
                lease.polling = True
            return True

    def _step_down(self, leases: Sequence[Lease]) -> None:
        with self.holdings.lock:
            for lease in leases:
                lease.polling = False
            self.holdings.changed.notify()

    def _take(self, asked: Asked) -> Refusal | None:
        """Asks the store for what is lacking; None where it has granted it.

        Raises:
            LedgerError: The store cannot be used.
        """
        if lease_clock() < self._store_failed_until and self.holdings.worked_at < self._store_failed_at:
            raise LedgerError("the ledger failed less than a second ago")
        now, now_ns = lease_clock(), self._clock_ns()
        try:
            ledger = self._ledger()
            demands = []
            for index, lease in enumerate(asked.route.leases):
                with self.holdings.lock:
                    need = lease.lacking(asked.amounts[index])
                    want = need.plus(lease.ahead(asked.amounts[index], now))
                demand = self._demand(asked.route, index, need, want, now_ns, ledger)
                demands.append((lease, demand))
            found = self.holdings.take(demands)
        except LedgerError as error:
            self._store_failed_at = lease_clock()
            self._store_failed_until = self._store_failed_at + STORE_RETRY_SECONDS
            self.tallies[names.LEDGER_ERRORS.name, type(error).__name__] += 1
            raise
        return found if isinstance(found, Refusal) else None

    def _demand(
        self, route: Route, index: int, need: Amount, want: Amount, now_ns: int, ledger: HoldLedger
    ) -> Demand:
        budget, pot = route.budgets[index], route.leases[index].pot
        terms = self.terms.terms(budget, pot, now_ns, ledger)  # type: ignore[arg-type]
        limits = terms.limits if budget.hard_limit else UNLIMITED
        if not route.first[index] and budget.policies.priority_percent:
            share = 100 - budget.policies.priority_percent
            limits = Limits(*(None if limit is None else limit * share // 100 for limit in limits))
        starts = budget.period.slices(now_ns)
        return Demand(
            pot=pot,
            period=budget.period.text,
            first_ns=starts[0],
            last_ns=starts[-1],
            limits=limits,
            need=need,
            want=want,
            rates=budget.policies.rates,
            suspends=terms.limits if budget.auto_suspend and not terms.reopened else UNLIMITED,
            closed=terms.closed,
        )

    # Where the store says no.

    def _refused(self, asked: Asked, refusal: Refusal, waited: "_Waiting") -> None:
        """Waits, clamps or downgrades; returns where it is worth trying again.

        Raises:
            BudgetExceeded: Nothing of that helps.
        """
        if self._terms_changed() or self._gives_back(waited):
            return
        index = [lease.pot for lease in asked.route.leases].index(refusal.pot)
        budget, need = asked.route.budgets[index], asked.amounts[index]
        waits = budget.policies.wait_ms / 1000
        retry = (refusal.retry_after_ns or 0) / 1e9
        if refusal.reason == "rate" and retry <= min(waits, waited.left):
            waited.sleep(retry)
            return
        money = refusal.measure == "cost" and refusal.reason in ("limit", "too_large")
        free = asked.route.leases[index].free[0]
        if money and self._fits(asked, budget, refusal.available + free, refusal, waited):
            return
        clamps = budget.policies.on_exceed == "clamp" and money
        waits_help = (refusal.reason == "limit" or clamps) and any(refusal.standing.held)
        if waits_help and not waited.over:
            with self.holdings.lock:
                self.holdings.changed.wait(min(POLL_SECONDS, waited.left))
            return
        if money and self._downgraded(asked, budget):
            return
        self.tallies[names.RESERVATIONS_REFUSED.name, refusal.reason] += 1
        raise exceeded(budget, refusal, need, self._clock_ns())

    def _gives_back(self, waited: "_Waiting") -> bool:
        """Writes what this process has settled and gives back what it has free, once; whether it had any."""
        if waited.has_given or not (self.holdings.unwritten or self.holdings.holds_free):
            return False
        waited.has_given = True
        self._sink.settle_now()
        return True

    def _fits(
        self, asked: Asked, budget: Budget, available: int, refusal: Refusal, waited: "_Waiting"
    ) -> bool:
        """Clamps a call to what is there, once that is as much as such calls mostly take, or time is up."""
        if budget.policies.on_exceed != "clamp":
            return False
        if not waited.over and refusal.standing.held.cost:
            usual = asked.route.history.p95()
            potential = refusal.limit - refusal.standing.spent.cost
            if available < (usual if usual is not None else potential // 2):
                return False
        return self._clamp(asked, budget, available)

    def _clamp(self, asked: Asked, budget: Budget, available: int) -> bool:
        """Shortens the answer to what an amount pays for; False where that is too little."""
        policies = budget.policies
        if policies.on_exceed != "clamp":
            return False
        found = asked.worst.clamped(available, asked.request.choices)
        if found is None or found[0] < policies.clamp_min_tokens:
            return False
        each, cost, tokens = found
        asked.worst = replace(asked.worst, cost=cost, tokens=tokens, output=each * asked.request.choices)
        asked.amounts = asked.route.amounts(asked.worst, cost)
        asked.max_tokens = each
        self.tallies[names.RESERVATIONS_CLAMPED.name, ""] += 1
        return True

    def _downgraded(self, asked: Asked, budget: Budget) -> bool:
        """Asks for the cheaper model of the budget instead; False where there is none."""
        if budget.policies.on_exceed != "downgrade":
            return False
        cheaper = dict(budget.policies.downgrade).get(asked.request.model or "")
        if cheaper is None:
            return False
        request = asked.request._replace(model=cheaper)
        other = self._ask(request)
        asked.request, asked.route = request, other.route
        asked.worst, asked.amounts, asked.max_tokens = other.worst, other.amounts, other.max_tokens
        self.tallies[names.RESERVATIONS_DOWNGRADED.name, cheaper] += 1
        return True

    def _terms_changed(self) -> bool:
        """Looks for new grants, resumptions and budgets; whether there are any."""
        with contextlib.suppress(LedgerError):
            return self.refresh(self._ledger())
        return False

    # Where the store does not answer.

    def _policy(self, route: Route) -> StorePolicy:
        told = {budget.policies.on_store_error or self._on_store_error for budget in route.budgets}
        return "deny" if "deny" in told else "lease_only" if "lease_only" in told else self._on_store_error

    def _join(self, asked: Asked) -> None:
        try:
            self.holdings.join()
            self._sink.wake()
        except LedgerError as error:
            if self._policy(asked.route) != "allow" and asked.route.budgets:
                raise self._store_refusal(asked, error) from error

    def _store_refusal(self, asked: Asked, error: Exception) -> BudgetExceeded:
        self.tallies[names.RESERVATIONS_REFUSED.name, "store"] += 1
        return store_failed(asked.route.budgets[0], self._policy(asked.route), error)

    def _without_store(self, asked: Asked, error: LedgerError) -> Reservation:
        """What the policy says while the store cannot be used."""
        policy = self._policy(asked.route)
        self.tallies[names.STORE_POLICY_USED.name, policy] += 1
        if policy == "deny":
            raise self._store_refusal(asked, error) from error
        reservation = self._made(asked)
        if self._held(reservation, self.holdings.hold_unasked):
            return reservation
        if policy == "lease_only":
            raise self._store_refusal(asked, error) from error
        self.tallies[names.RESERVATIONS_UNHELD.name, "store"] += 1
        self._held(reservation, self.holdings.hold_anyway)
        return reservation

    def journal_optional(self, reservation: Reservation) -> bool:
        """Whether a call may go on where the journal cannot be written."""
        policy = self._policy(reservation.route) if reservation.route.budgets else "allow"
        self.tallies[names.STORE_POLICY_USED.name, policy] += 1
        return policy == "allow"

    # Ending.

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """See `Reservation.settle`."""
        cost = outcome[0]
        if cost is not None and not 0 <= cost <= COST_MAX:
            raise ReservationError(
                f"settle: a cost of {cost} pico-USD is not 0 to {COST_MAX}; the reservation is still open"
            )
        end_ns = self._clock_ns()
        told = spans_tell(reservation, outcome)
        text = released_text(reservation) if told else settled_text(reservation, outcome, end_ns)
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
            settled, hurry=bool(route.leases) and any([one.tight for one in route.leases])
        )

    def conclude(self, settled: Settled) -> Observed | None:
        """Prices what was settled and gives back what it did not use; on the worker.

        Returns:
            The call to count; None where nothing was spent, or spans tell it.
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


class _Waiting:
    """How long one call may still wait."""

    def __init__(self, seconds: float) -> None:
        self._deadline = lease_clock() + seconds
        self.has_given = False

    @property
    def left(self) -> float:
        return max(0.0, self._deadline - lease_clock())

    @property
    def over(self) -> bool:
        return lease_clock() >= self._deadline

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds + 0.001, self.left + 0.001))
