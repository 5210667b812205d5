"""Reserve → call → settle: where a call gets its money, and where it is told that there is none.

A reservation is served from what the process has leased, in memory; the store is asked when that does not
suffice. A call that the store refuses waits for others to settle, is shortened or goes to a cheaper model, as
its budget says; else `BudgetExceeded` is raised.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from spanbudget.exporter.admission.asking import Asked, Waiting, demand_of, strictest
from spanbudget.exporter.admission.context import NO_BLOCKS, caller_of, nested_budgets, new_id
from spanbudget.exporter.admission.endings import Endings, SettledSink
from spanbudget.exporter.admission.holdings import lease_clock
from spanbudget.exporter.admission.leases import Lease
from spanbudget.exporter.admission.refusals import exceeded, per_call, store_failed, unknown_worst_case
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.reservation import Reservation
from spanbudget.exporter.admission.routes import Route, Routes
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.exporter.admission.terms import TermsBook
from spanbudget.processors import names_out as names
from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import BudgetExceeded, LedgerError
from spanbudget.processors.holds import HoldLedger
from spanbudget.processors.limits import Amount, Refusal
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook

POLL_SECONDS: Final = 0.005
"""How often a waiting call asks the store whether other processes have settled (5 ms)."""
QUEUE_SECONDS: Final = 0.2
"""How long a call waits for another one of its process that asks the store."""
RETURNS_MAX: Final = 3
"""How often a call is not refused because its own process gave something back."""
STORE_RETRY_SECONDS: Final = 1.0


class Admission(Endings):
    """Reserves and settles; safe for threads.

    Args:
        holdings: What this process holds.
        routes: Which budgets a call asks.
        terms: What holds for budgets now.
        namer: Names the models that answered.
        prices: Prices what is settled; used by one thread at a time.
        ledger: Gives the ledger that is asked for money.
        sink: Brings settlements into the ledger.
        on_store_error: What happens while the ledger cannot be used, where a budget does not say; see
            `strictest`.
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
        on_store_error: str | None,
        baggage_keys: Sequence[str] = (),
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(holdings, namer, prices, sink, clock_ns)
        self.routes = routes
        self.terms = terms
        self._ledger = ledger
        self._on_store_error = on_store_error
        self._baggage_keys = tuple(baggage_keys)
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
        if nested is not NO_BLOCKS:
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
        waited = Waiting(asked.route.wait_seconds)
        while True:
            leases = asked.route.leases
            poller = self._become_poller(leases, waited)
            refusal: Refusal | LedgerError | None = None
            try:
                reservation = self._try(asked) if waited.asked else None
                if reservation is not None:
                    return reservation
                waited.asked = True
                waited.writes = self.holdings.writes
                refusal = self._take(asked) if poller else None
            except LedgerError as error:
                refusal = error
            finally:
                if poller:
                    self._step_down(leases)
            if isinstance(refusal, Refusal):
                self._refused(asked, refusal, waited)
            elif refusal is not None and (unasked := self._without_store(asked, refusal, waited)):
                return unasked

    def _become_poller(self, leases: Sequence[Lease], waited: Waiting) -> bool:
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
                terms = self.terms.terms(asked.route.budgets[index], lease.pot, now_ns, ledger)  # type: ignore[arg-type]
                demand = demand_of(asked.route, index, need, want, terms, now_ns)
                demands.append((lease, demand))
            found = self.holdings.take(demands)
        except LedgerError as error:
            self._store_failed_at = lease_clock()
            self._store_failed_until = self._store_failed_at + STORE_RETRY_SECONDS
            self.tallies[names.LEDGER_ERRORS.name, type(error).__name__] += 1
            raise
        return found if isinstance(found, Refusal) else None

    # Where the store says no.

    def _refused(self, asked: Asked, refusal: Refusal, waited: Waiting) -> None:
        """Waits, clamps or downgrades; returns where it is worth trying again.

        Raises:
            BudgetExceeded: Nothing of that helps.
        """
        if self._terms_changed() or self._gives_back(waited):
            return
        index = [lease.pot for lease in asked.route.leases].index(refusal.pot)
        budget, need = asked.route.budgets[index], asked.amounts[index]
        retry = (refusal.retry_after_ns or 0) / 1e9
        if refusal.reason == "rate" and retry <= waited.left:
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

    def _gives_back(self, waited: Waiting) -> bool:
        """Writes what this process has settled and gives back what it has free; whether there was any."""
        if waited.returns >= RETURNS_MAX:
            return False
        if self.holdings.unwritten or self.holdings.holds_free:
            self._sink.settle_now()
        elif self.holdings.writes == waited.writes:
            return False  # nothing was written since the store was asked
        waited.returns += 1
        return True

    def _fits(self, asked: Asked, budget: Budget, available: int, refusal: Refusal, waited: Waiting) -> bool:
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
        try:
            return self.refresh(self._ledger())  # new grants, resumptions, budgets
        except LedgerError:
            return False

    # Where the store does not answer.

    def _policy(self, route: Route) -> str:
        return strictest(route.budgets, self._on_store_error)

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

    def _without_store(self, asked: Asked, error: LedgerError, waited: Waiting) -> Reservation | None:
        """What the policy says while the store cannot be used; None where it is worth trying again."""
        policy = self._policy(asked.route)
        self.tallies[names.STORE_POLICY_USED.name, policy] += 1
        reservation = self._made(asked)
        if policy != "deny" and self._held(reservation, self.holdings.hold_unasked):
            return reservation
        if policy != "allow":
            if waited.over:
                raise self._store_refusal(asked, error) from error
            waited.sleep(QUEUE_SECONDS)
            return None
        self.tallies[names.RESERVATIONS_UNHELD.name, "store"] += 1
        self._held(reservation, self.holdings.hold_anyway)
        return reservation

    def refuse_fault(self, fault: Exception) -> None:
        """Refuses a call whose admission met a fault of ours, where a budget denies what cannot be checked.

        Raises:
            BudgetExceeded: A budget does not say `on_store_error: allow`.
        """
        for budget in self.routes.guarding():
            if strictest((budget,), self._on_store_error) != "allow":
                self.tallies[names.RESERVATIONS_REFUSED.name, "fault"] += 1
                raise store_failed(budget, "deny", fault) from fault

    def journal_optional(self, reservation: Reservation) -> bool:
        """Whether a call may go on where the journal cannot be written."""
        policy = self._policy(reservation.route) if reservation.route.budgets else "allow"
        self.tallies[names.STORE_POLICY_USED.name, policy] += 1
        return policy == "allow"
