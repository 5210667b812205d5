"""What `advise` and `efficiency` do before they print: which calls, at which prices, what could be saved."""

from collections.abc import Sequence
from dataclasses import dataclass

from spanbudget.exporter.advice.loading import CALLS_MAX, Loaded, load_calls
from spanbudget.exporter.advice.prices import AdvicePrices
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.processors.budgets import Budget
from spanbudget.processors.errors import InputError
from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Advice, Unexamined

_NAMES_MAX = 5
_LEFT_OUT = {
    "agent": "sums that an agent reported for its calls: no single call, so nothing is advised about them",
    "lease": "charges for what a lost process had reserved: no calls",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """A window that was examined.

    Attributes:
        loaded: The calls.
        advice: What could be saved.
        unexamined: What was not looked at, and why; with what was not even loaded.
    """

    loaded: Loaded
    advice: Advice
    unexamined: tuple[Unexamined, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Which calls are examined.

    Attributes:
        since_ns: Start, nanoseconds since the epoch.
        until_ns: End.
        budget: Only calls that this budget counts; None for all.
        child: Only those of this child of it; None for all.
        calls_max: Most calls; the newest are taken.
    """

    since_ns: int
    until_ns: int
    budget: str | None = None
    child: str | None = None
    calls_max: int = CALLS_MAX


def examine(config: Config, window: Window, settings: Settings) -> Examined:
    """Reads the calls of a window and looks for waste.

    Raises:
        InputError: There is no such budget, or it has no children.
        LedgerError: The ledger cannot be read.
    """
    budgets = _checked(config.budgets, window)
    ledger = open_ledger(config.ledger.url, create=False)
    try:
        loaded = load_calls(
            ledger,
            window.since_ns,
            window.until_ns,
            budgets=budgets,
            only=window.budget,
            child=window.child,
            calls_max=window.calls_max,
        )
    finally:
        ledger.close()
    advice = advise(
        loaded.frame, AdvicePrices(config), settings, since_ns=loaded.since_ns, until_ns=loaded.until_ns
    )
    left_out = (Unexamined("*", count, _LEFT_OUT[kind]) for kind, count in sorted(loaded.sums.items()))
    return Examined(loaded, advice, (*left_out, *advice.unexamined))


def _checked(budgets: Sequence[Budget], window: Window) -> Sequence[Budget]:
    """The budgets that matter for a window."""
    if window.budget is None:
        return budgets
    found = [one for one in budgets if one.name == window.budget]
    if not found:
        names = [one.name for one in budgets]
        known = ", ".join(names[:_NAMES_MAX]) + (", …" if len(names) > _NAMES_MAX else "")
        raise InputError(f"there is no budget {window.budget!r}; known are {known or 'none'}")
    if window.child is not None and not found[0].per:
        raise InputError(f"budget {window.budget!r} has no children: it is not `per` any label")
    return found
