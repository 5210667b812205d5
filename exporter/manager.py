"""`BudgetManager`: budgets and reservations for a program that asks before it spends."""

import asyncio
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, cast

from spanbudget.exporter.admission.context import announce
from spanbudget.exporter.admission.keeper import Keeper
from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.admission.terms import BUDGETS, GRANTS, MARKS, BudgetGrant, Mark
from spanbudget.exporter.config import Config, configuration_of
from spanbudget.exporter.config_sections import BudgetConfig
from spanbudget.exporter.entry_store import SharedLedger
from spanbudget.exporter.instrument import give_up_pipeline, shared_pipeline
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.reservations import (
    BudgetReservation,
    CallGuard,
    Money,
    amount_of,
    count_of,
    labels_of,
)
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.errors import (
    AmountError,
    BudgetExistsError,
    BudgetNotFoundError,
    ConfigurationError,
)

TTL_SECONDS_MAX: Final = 7 * 86_400
LABEL_CHARS_MAX: Final = 256


class BudgetManager:
    """Budgets of one ledger, and reservations against them; safe for threads and for many processes.

    The ledger is opened at the first use. Where SpanBudget is instrumented with the same ledger, both share
    it, so that a call which a reservation and a span describe is counted once.

    Args:
        db_path: A SQLite file.
        url: The URL of a ledger: `sqlite:///…` or `postgresql://…`.
        config: A configuration, or the path of its file.

    Without any of them the ledger is the one of the file that `SPANBUDGET_CONFIG` names, or
    `spanbudget.db` in the working directory.

    Raises:
        ConfigurationError: More than one of them is given, or the configuration is wrong.
    """

    def __init__(
        self,
        db_path: str | Path | None = None,
        *,
        url: str | None = None,
        config: Config | str | Path | None = None,
    ) -> None:
        self._config = configuration_of(db_path, url, config)
        self._pipeline: Pipeline | None = None
        self._opening = threading.Lock()

    # Budgets.

    def create_budget(self, budget: BudgetConfig) -> BudgetConfig:
        """Adds a budget, for every process on this ledger.

        Raises:
            BudgetExistsError: There is one of that name.
            LedgerError: The ledger cannot be used.
        """
        keeper = self._keeper
        taken = any(one.name == budget.name for one in self._config.budget_configs)
        if taken or not self._ledger.put_document(
            BUDGETS, budget.name, budget.model_dump_json(exclude_unset=True), new=True
        ):
            raise BudgetExistsError(
                f"budget {budget.name!r} exists already; choose another name, or update it"
            )
        self._refresh(keeper)
        return budget

    def get_budget(self, name: str) -> BudgetConfig | None:
        """The definition of a budget; None where there is none.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        self._refresh(self._keeper)
        return self._definitions().get(name)

    def list_budgets(self) -> list[BudgetConfig]:
        """All budgets: those of the configuration, then those of the ledger, by name.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        self._refresh(self._keeper)
        return list(self._definitions().values())

    def delete_budget(self, name: str) -> bool:
        """Deletes a budget; what was spent stays in the ledger. False where there is none.

        Raises:
            ConfigurationError: The budget is one of the configuration.
            LedgerError: The ledger cannot be used.
        """
        if any(one.name == name for one in self._config.budget_configs):
            raise ConfigurationError([f"budget {name!r} stands in the configuration; delete it there"])
        keeper = self._keeper
        deleted = self._ledger.delete_document(BUDGETS, name)
        self._refresh(keeper)
        return deleted

    def state(self, name: str, child: str = "") -> BudgetState:
        """How full a budget is now, with everything that was settled before this call.

        Args:
            name: Name of the budget.
            child: The child of a template, `user=alice`.

        Raises:
            BudgetNotFoundError: There is no such budget, or no such child with calls yet.
            LedgerError: The ledger cannot be used.
        """
        for state in self.states():
            if (state.budget, state.child) == (name, child):
                return state
        raise BudgetNotFoundError(_unknown(name, [state.budget for state in self.states()]))

    def states(self) -> list[BudgetState]:
        """How full every budget is now, with everything that was settled before this call."""
        pipeline, keeper = self._opened, self._keeper
        self._refresh(keeper)
        pipeline.flush()
        pipeline.settle_now()
        return pipeline.budget_states()

    def suspend(self, name: str, *, child: str | None = None, reason: str = "") -> None:
        """Refuses every call of a budget until `resume`; all processes follow within a second.

        Args:
            name: Name of the budget.
            child: One child of a template; None suspends all.
            reason: Why, for people.

        Raises:
            BudgetNotFoundError: There is no such budget.
            LedgerError: The ledger cannot be used.
        """
        self._mark(Mark(name, child, True, time.time_ns(), reason))

    def resume(self, name: str, *, child: str | None = None, reason: str = "") -> None:
        """Ends a suspension; a budget that is exceeded is not suspended again in this window.

        A hard limit still refuses what it cannot pay for.

        Raises:
            BudgetNotFoundError: There is no such budget.
            LedgerError: The ledger cannot be used.
        """
        self._mark(Mark(name, child, False, time.time_ns(), reason))

    def grant(
        self,
        name: str,
        amount: Money,
        *,
        expires: datetime | timedelta,
        reason: str,
        child: str | None = None,
    ) -> str:
        """Raises the limit of a budget for a time; a grant is never changed, it only expires.

        Args:
            name: Name of the budget.
            amount: USD on top of the limit, above 0.
            expires: When it ends: a moment with a time zone, or how long from now.
            reason: Why, for people.
            child: One child of a template; None raises each of them.

        Returns:
            The id of the grant.

        Raises:
            AmountError: The amount is not above 0, or the end is not in the future.
            BudgetNotFoundError: There is no such budget, or it does not limit money.
            LedgerError: The ledger cannot be used.
        """
        now_ns = time.time_ns()
        cost = amount_of(amount, "grant")
        if isinstance(expires, datetime) and expires.tzinfo is None:
            raise AmountError("grant: expires needs a time zone, as datetime.now(UTC) has")
        moment = (
            expires.timestamp() if isinstance(expires, datetime) else time.time() + expires.total_seconds()
        )
        if cost <= 0 or int(moment * 1e9) <= now_ns:
            raise AmountError("grant: the amount must be above 0, and the end in the future")
        budget = self._known(name)
        if budget.max_cost is None:
            raise BudgetNotFoundError(f"budget {name!r} does not limit money; there is nothing to raise")
        found = BudgetGrant(
            secrets.token_hex(8), name, child, cost, now_ns, int(moment * 1e9), reason[:LABEL_CHARS_MAX]
        )
        self._ledger.put_document(GRANTS, found.id, found.body(), new=True)
        self._refresh(self._keeper)
        return found.id

    # Reservations.

    def reserve(  # noqa: PLR0913 - what may be known of a call; all but the first by keyword
        self,
        budget_name: str | None = None,
        *,
        cost: Money | None = None,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int | None = None,
        max_tokens: int | None = None,
        labels: Mapping[str, str] | None = None,
        ttl_seconds: float = 600,
        sent: bool = True,
    ) -> BudgetReservation:
        """Holds the money that a call may cost, of every budget that the call belongs to, or of none.

        Args:
            budget_name: The budget that the call is directed at; None: it belongs to all that match it.
            cost: Its worst case, USD. Without it the worst case is worked out from what follows.
            model: The model asked for.
            provider: Who is asked; None where the model's name tells.
            input_tokens: Most tokens of the prompt, those of caches included.
            max_tokens: Most tokens of the answer.
            labels: Label → value: `user`, `team`, … beside those of the context.
            ttl_seconds: How long the reservation lives without being settled, above 0, a week at most.
            sent: False where the request is sent after `mark_sent`: before that an expired reservation is
                released, not charged.

        Raises:
            BudgetExceeded: A budget refuses the call; nothing is held.
            BudgetNotFoundError: There is no budget of that name.
            AmountError: An amount or a count makes no sense.
            LedgerError: The ledger cannot be opened at all.
        """
        request = self._request(
            budget_name,
            cost,
            labels,
            ttl_seconds,
            model=model,
            provider=provider,
            input_tokens=count_of(input_tokens, "input_tokens"),
            max_tokens=count_of(max_tokens, "max_tokens"),
            sent=sent,
        )
        reservation = self._keeper.engine.reserve(request)
        announce(reservation)
        return BudgetReservation(reservation)

    async def reserve_async(  # noqa: PLR0913 - as `reserve`
        self,
        budget_name: str | None = None,
        *,
        cost: Money | None = None,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int | None = None,
        max_tokens: int | None = None,
        labels: Mapping[str, str] | None = None,
        ttl_seconds: float = 600,
        sent: bool = True,
    ) -> BudgetReservation:
        """`reserve` for a coroutine: nothing blocks the event loop."""
        if self._pipeline is None:
            await asyncio.to_thread(lambda: self._opened)
        request = self._request(
            budget_name,
            cost,
            labels,
            ttl_seconds,
            model=model,
            provider=provider,
            input_tokens=count_of(input_tokens, "input_tokens"),
            max_tokens=count_of(max_tokens, "max_tokens"),
            sent=sent,
        )
        reservation = await self._keeper.engine.reserve_async(request)
        announce(reservation)
        return BudgetReservation(reservation)

    def guard(self, budget_name: str | None = None, **arguments: Any) -> CallGuard:
        """Reserves for a block (`with`, `async with`), or for each call of the function that it decorates.

        Args:
            budget_name: See `reserve`.
            arguments: See `reserve`.
        """
        return CallGuard(self, {"budget_name": budget_name, **arguments})

    # The end.

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Writes everything that was settled into the ledger; False where that took too long or failed."""
        return self._pipeline.flush(timeout_seconds) if self._pipeline is not None else True

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → count; see `spanbudget.processors.names_out.SELF_METRICS`."""
        return self._opened.health()

    def close(self) -> None:
        """Writes everything and closes the ledger, until the next use."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            give_up_pipeline(pipeline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Parts.

    @property
    def _opened(self) -> Pipeline:
        pipeline = self._pipeline
        if pipeline is None:
            with self._opening:
                pipeline = self._pipeline or shared_pipeline(self._config)
                self._pipeline = pipeline
        return pipeline

    @property
    def _keeper(self) -> Keeper:
        return cast("Keeper", self._opened.admission)

    @property
    def _ledger(self) -> SharedLedger:
        return self._keeper.limits.open(self._opened)

    def _refresh(self, keeper: Keeper) -> None:
        keeper.refresh(keeper.limits.open(self._opened))

    def _definitions(self) -> dict[str, BudgetConfig]:
        found = {one.name: one for one in self._config.budget_configs}
        for name, body in sorted(self._keeper.terms.bodies.items()):
            found.setdefault(name, BudgetConfig.model_validate_json(body))
        return found

    def _known(self, name: str) -> BudgetConfig:
        budget = self.get_budget(name)
        if budget is None:
            raise BudgetNotFoundError(_unknown(name, list(self._definitions())))
        return budget

    def _mark(self, mark: Mark) -> None:
        self._known(mark.budget)
        self._ledger.put_document(MARKS, mark.name, mark.body(), new=False)
        self._refresh(self._keeper)

    def _request(
        self,
        budget_name: str | None,
        cost: Money | None,
        labels: Mapping[str, str] | None,
        ttl_seconds: float,
        **told: Any,
    ) -> CallRequest:
        if budget_name is not None:
            self._expect(budget_name)
        if not 0 < ttl_seconds <= TTL_SECONDS_MAX:
            raise AmountError(f"reserve: ttl_seconds must be above 0 and a week at most, got {ttl_seconds}")
        return CallRequest(
            budget_name=budget_name,
            cost=None if cost is None else amount_of(cost, "cost"),
            labels=labels_of(labels) if labels else (),
            ttl_seconds=ttl_seconds,
            **told,
        )

    def _expect(self, name: str) -> None:
        try:
            self._opened.budgets.budget(name)
        except KeyError:
            self._known(name)  # another process may just have made it


def _unknown(name: str, known: list[str]) -> str:
    there = ", ".join(sorted(set(known))[:5]) or "none"
    return f"there is no budget {name!r}; create it, or use one of: {there}"
