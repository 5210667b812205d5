"""How full a budget is, and what that means."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import UNLIMITED, Limits
from spanbudget.processors.periods import Window

BudgetStatus: TypeAlias = Literal["ok", "warning", "critical", "exceeded", "suspended"]

_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Whole percents of a limit; `exceeded` (the emergency) is always 100.

    Attributes:
        warning: 1 to 99, below `critical`.
        critical: 2 to 100.
    """

    warning: int = 80
    critical: int = 90

    def __post_init__(self) -> None:
        if not 0 < self.warning < self.critical <= _PERCENT:
            raise ValueError(f"0 < warning < critical <= 100 must hold, not {self.warning}, {self.critical}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a budget, or a child of it, at one moment.

    Attributes:
        limits: The limits with grants and what was carried over.
        closed: Whether somebody has suspended it.
        reopened: Whether somebody has resumed it in this window.
    """

    limits: Limits = UNLIMITED
    closed: bool = False
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How full a budget, or one child of a template, is.

    Attributes:
        budget: Name of the budget.
        child: The child's text; "" for a plain budget.
        window: The time that `spent` is from.
        limit_cost: Limit in pico-USD; None where money is not limited.
        limit_tokens: Limit in tokens; None where tokens are not limited.
        limit_requests: Limit in calls; None where calls are not limited.
        spent: Settled spend of the window.
        reserved: Money that calls in flight hold, pico-USD. It lowers `remaining_cost` and not the status: a
            reservation is a worst case that mostly comes back.
        thresholds: Where warning and critical begin.
        auto_suspend: Whether being exceeded suspends the budget.
        closed: Whether somebody has suspended the budget.
        reopened: Whether somebody has resumed it in this window: being exceeded does not suspend it again.
        is_rolling: Whether the window moves on at every moment, instead of ending for the next one.
    """

    budget: str
    child: str
    window: Window
    limit_cost: int | None
    limit_tokens: int | None
    limit_requests: int | None
    spent: Spend
    reserved: int
    thresholds: Thresholds
    auto_suspend: bool
    closed: bool = False
    reopened: bool = False
    is_rolling: bool = False

    @property
    def remaining_cost(self) -> int | None:
        """Limit less settled and reserved money, pico-USD; negative where overspent, None without limit."""
        return None if self.limit_cost is None else self.limit_cost - self.spent.cost - self.reserved

    @property
    def remaining_tokens(self) -> int | None:
        """Limit less settled tokens; negative where overspent, None without limit."""
        return None if self.limit_tokens is None else self.limit_tokens - self.spent.tokens

    @property
    def remaining_requests(self) -> int | None:
        """Limit less settled calls; negative where overspent, None without limit."""
        return None if self.limit_requests is None else self.limit_requests - self.spent.requests

    @property
    def utilization(self) -> float:
        """Settled spend over its limit, 0 and up, of the fullest limit; for display, never for decisions."""
        return max(spent / limit for spent, limit in self._measures())

    @property
    def suspended(self) -> bool:
        """Whether every call is refused until the window ends, or until somebody resumes the budget."""
        return self.closed or (self.auto_suspend and not self.reopened and self.reached(_PERCENT))

    @property
    def status(self) -> BudgetStatus:
        """The highest level that any limit has reached; exactly 80 % is already at the level of 80 %."""
        if self.suspended:
            return "suspended"
        if self.reached(_PERCENT):
            return "exceeded"
        if self.reached(self.thresholds.critical):
            return "critical"
        return "warning" if self.reached(self.thresholds.warning) else "ok"

    def reached(self, percent: int) -> bool:
        """Whether a limit is spent to this percent, in exact integers."""
        return any(spent * _PERCENT >= limit * percent for spent, limit in self._measures())

    def _measures(self) -> list[tuple[int, int]]:
        pairs = (
            (self.spent.cost, self.limit_cost),
            (self.spent.tokens, self.limit_tokens),
            (self.spent.requests, self.limit_requests),
        )
        return [(spent, limit) for spent, limit in pairs if limit is not None]
