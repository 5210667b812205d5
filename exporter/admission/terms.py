"""What holds for budgets now beside their definition: grants, money carried over, suspensions.

They are documents in the ledger, so that all processes see them; each process looks for changes at most once
in `REFRESH_SECONDS`, and before it refuses a call.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Protocol

from spanbudget.processors.budget_state import Terms
from spanbudget.processors.budgets import Budget
from spanbudget.processors.ledger import Spend, SpendKey
from spanbudget.processors.limits import Limits, Pot

if TYPE_CHECKING:
    from spanbudget.processors.periods import Window

REFRESH_SECONDS: Final = 1.0
GRANTS: Final = "grant"
MARKS: Final = "mark"
BUDGETS: Final = "budget"
CARRIED_WINDOWS_MAX: Final = 12
"""Closed windows that unspent money is carried through, at most."""


class Documents(Protocol):
    """Who keeps documents and spend."""

    def documents(self, kinds: Iterable[str]) -> dict[tuple[str, str], str]:
        """All texts of some kinds, by kind and name."""
        ...

    def document_version(self) -> int:
        """Grows with every change of any document."""
        ...

    def spend(self, keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
        """The totals of windows; one without entries is missing."""
        ...


@dataclass(frozen=True, slots=True)
class BudgetGrant:
    """A temporary increase of a limit; it is never changed, only expires.

    Attributes:
        id: Unique.
        budget: Name of the budget.
        child: The child it is for; None for every child.
        cost: pico-USD on top of the limit, above 0.
        starts_ns: From when on, nanoseconds since the epoch.
        expires_ns: Until when.
        reason: Why, for people.
    """

    id: str
    budget: str
    child: str | None
    cost: int
    starts_ns: int
    expires_ns: int
    reason: str

    def body(self) -> str:
        """The document that keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, body: str) -> "BudgetGrant":
        """Reads what `body` wrote."""
        return cls(**json.loads(body))


@dataclass(frozen=True, slots=True)
class Mark:
    """Somebody has suspended or resumed a budget; the last one holds.

    Attributes:
        budget: Name of the budget.
        child: The child it is for; None for every child.
        closed: Whether it is suspended.
        at_ns: When, nanoseconds since the epoch; a resumption holds in the window of that moment.
        reason: Why, for people.
    """

    budget: str
    child: str | None
    closed: bool
    at_ns: int
    reason: str

    @property
    def name(self) -> str:
        """The name of its document: one for each budget, and for each child that has its own."""
        return json.dumps([self.budget, self.child])

    def body(self) -> str:
        """The document that keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, body: str) -> "Mark":
        """Reads what `body` wrote."""
        return cls(**json.loads(body))


class TermsBook:
    """The terms of all budgets, as this process has read them last.

    Several threads may read; `refresh` replaces what it holds as a whole.
    """

    def __init__(self) -> None:
        self._version = -1
        self._grants: dict[str, tuple[BudgetGrant, ...]] = {}
        self._marks: dict[tuple[str, str | None], Mark] = {}
        self._carried: dict[tuple[Pot, str, int], int] = {}
        self.bodies: Mapping[str, str] = {}

    @property
    def grants(self) -> tuple[BudgetGrant, ...]:
        """All grants, those that have expired included."""
        return tuple(grant for grants in self._grants.values() for grant in grants)

    def refresh(self, ledger: Documents) -> bool:
        """Reads what has changed; whether anything has. `bodies` has the stored budgets afterwards.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        version = ledger.document_version()
        if version == self._version:
            return False
        documents = ledger.documents((GRANTS, MARKS, BUDGETS))
        grants: dict[str, list[BudgetGrant]] = {}
        marks: dict[tuple[str, str | None], Mark] = {}
        for (kind, _), body in documents.items():
            if kind == GRANTS:
                grant = BudgetGrant.of(body)
                grants.setdefault(grant.budget, []).append(grant)
            elif kind == MARKS:
                mark = Mark.of(body)
                marks[mark.budget, mark.child] = mark
        self._grants = {budget: tuple(found) for budget, found in grants.items()}
        self._marks = marks
        self._carried = {}
        self.bodies = {name: body for (kind, name), body in documents.items() if kind == BUDGETS}
        self._version = version
        return True

    def forget_carried(self) -> None:
        """Lets what is carried over be worked out anew: late spans may have restated a closed window."""
        self._carried = {}

    def terms(self, budget: Budget, pot: Pot, now_ns: int, ledger: Documents | None = None) -> Terms:
        """What holds for a pot at a moment.

        Args:
            budget: Its budget.
            pot: The budget or a child of it.
            now_ns: Nanoseconds since the epoch.
            ledger: Asked for what former windows have spent, where money is carried over; None takes what
                was asked before.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        cost = budget.max_cost
        if cost is not None:
            for grant in self._grants.get(budget.name, ()):
                if grant.child in (None, pot.child) and grant.starts_ns <= now_ns < grant.expires_ns:
                    cost += grant.cost
            if budget.policies.rollover is not None:
                cost += self._carry(budget, pot, now_ns, ledger)
        mark = self._mark(pot)
        closed, reopened = False, False
        if mark is not None:
            closed = mark.closed
            reopened = not closed and mark.at_ns >= budget.period.span(now_ns).start_ns
        return Terms(Limits(cost, budget.max_tokens, budget.max_requests), closed, reopened)

    def _mark(self, pot: Pot) -> Mark | None:
        found = [mark for child in (None, pot.child) if (mark := self._marks.get((pot.budget, child)))]
        return max(found, key=lambda mark: mark.at_ns, default=None)

    def _carry(self, budget: Budget, pot: Pot, now_ns: int, ledger: Documents | None) -> int:
        """What is unspent of former windows, pico-USD.

        A window carries what its limit and what was carried into it exceed its spend by, at most
        `policies.rollover`. The first window that counts is the first of the last 12 that has any spend.
        """
        period = budget.period
        start_ns = period.window(now_ns).start_ns
        key = (pot, period.text, start_ns)
        known = self._carried.get(key)
        if known is not None or ledger is None or period.kind in ("total", "rolling"):
            return known or 0
        before: list[Window] = []
        at_ns = start_ns
        for _ in range(CARRIED_WINDOWS_MAX):
            if at_ns <= 0:
                break
            window = period.window(at_ns - 1)
            before.append(window)
            at_ns = window.start_ns
        keys = {one: SpendKey(pot.budget, pot.child, period.text, one.start_ns) for one in reversed(before)}
        spends = ledger.spend(keys.values())
        carried, begun = 0, False
        for one in keys.values():
            spent = spends.get(one)
            begun = begun or spent is not None
            if begun:
                left = (budget.max_cost or 0) + carried - (spent.cost if spent else 0)
                carried = max(0, min(left, budget.policies.rollover or 0))
        self._carried[key] = carried
        return carried
