"""Spends a copy of each hard budget up to its limit, by the real engine on a throw-away ledger."""

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from spanbudget.exporter.admission.terms import BUDGETS
from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.checks.store import ledger_file
from spanbudget.exporter.config import Config
from spanbudget.exporter.config_sections import BudgetConfig, LedgerConfig, MetricsConfig, RatesConfig
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.manager import BudgetManager
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.call import Usage
from spanbudget.processors.errors import BudgetExceeded, SpanBudgetError
from spanbudget.processors.limits import MEASURES, Measure
from spanbudget.processors.money import display_usd, pico_to_text, pico_to_usd

AREA: Final = "limits"
THREADS: Final = 8
CALLS: Final = 50
"""Calls that a limit pays for: with eight threads each asks for the last ones while the others do."""
REQUESTS_MAX: Final = 50
"""A limit on calls is spent call by call, so the copy of a larger one is this large."""
_KEYS: Final[Mapping[Measure, str]] = {
    "cost": "max_cost",
    "tokens": "max_tokens",
    "requests": "max_requests",
}
_UNITS: Final[Mapping[Measure, str]] = {"cost": "", "tokens": " tokens", "requests": " calls"}


@dataclass(frozen=True, slots=True)
class Spent:
    """How the dry run of one limit went; amounts are pico-USD, tokens or calls.

    Attributes:
        measure: What is limited.
        limit: The limit of the copy.
        unit: What one call takes.
        admitted: Calls that were admitted.
        refused: Why the one after the last was refused; "" where it was not.
        spent: What the ledger says was spent.
        reserved: What it says is still held.
    """

    measure: Measure
    limit: int
    unit: int
    admitted: int
    refused: str
    spent: int
    reserved: int

    @property
    def fitting(self) -> int:
        """Calls that the limit pays for."""
        return self.limit // self.unit

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be."""
        return [
            text
            for text, is_wrong in (
                ("more was spent than the limit allows", self.spent > self.limit),
                ("calls were refused that the limit pays for", self.admitted < self.fitting),
                ("the call after the last one was not refused", not self.refused),
                ("the ledger does not have what was spent", self.spent != self.admitted * self.unit),
                ("money is still held", self.reserved != 0),
            )
            if is_wrong
        ]


def with_stored(config: Config) -> Config:
    """The configuration with the budgets that its ledger keeps, where it has one.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if config.ledger.url.startswith("sqlite:") and ledger_file(config.ledger.url) is None:
        return config
    ledger = open_ledger(config.ledger.url)
    try:
        bodies = ledger.documents((BUDGETS,))
    finally:
        ledger.close()
    names = {one.name for one in config.budget_configs}
    stored = [
        BudgetConfig.model_validate_json(body)
        for (_, name), body in sorted(bodies.items())
        if name not in names
    ]
    return changed(config, budgets=(*config.budget_configs, *stored)) if stored else config


def changed(config: Config, **sections: object) -> Config:
    """The configuration with other sections, by their keys in the file."""
    values = {field.alias or name: getattr(config, name) for name, field in Config.model_fields.items()}
    return Config.model_validate(values | sections)


def check_limits(config: Config) -> Iterator[Finding]:
    """Checks every budget of a configuration."""
    if not config.budget_configs:
        yield Finding(AREA, "budgets", "warn", "there are none: nothing is ever refused")
    for budget in config.budget_configs:
        if not budget.hard_limit:
            yield Finding(AREA, budget.name, "info", "no hard limit: it warns, and refuses nothing")
            continue
        for measure in MEASURES:
            if getattr(budget, _KEYS[measure]) is not None:
                yield _check(config, budget, measure)


def _check(config: Config, budget: BudgetConfig, measure: Measure) -> Finding:
    with tempfile.TemporaryDirectory(prefix="spanbudget-doctor-") as folder:
        copy = copy_of(config, budget, measure, Path(folder) / "copy.db")
        try:
            return judge(budget.name, spend(copy, budget.name, measure))
        except SpanBudgetError as error:
            return Finding(AREA, budget.name, "fail", f"the dry run broke off: {error}")


def judge(name: str, spent: Spent) -> Finding:
    """Says whether a limit held."""
    numbers = {
        "measure": spent.measure,
        "limit": _number(spent, spent.limit),
        "spent": _number(spent, spent.spent),
        "per_call": _number(spent, spent.unit),
        "threads": THREADS,
        "admitted": spent.admitted,
        "fitting": spent.fitting,
        "refused": spent.refused or None,
    }
    each = "" if spent.measure == "requests" else f" of {_shown(spent, spent.unit)}"
    told = (
        f"{spent.admitted} of {spent.fitting} calls{each} admitted, the next one"
        f" {f'refused ({spent.refused})' if spent.refused else 'not refused'}; spent"
        f" {_shown(spent, spent.spent).removesuffix(_UNITS[spent.measure])} of {_shown(spent, spent.limit)}"
    )
    if spent.wrong:
        return Finding(AREA, name, "fail", f"{'; '.join(spent.wrong)}: {told}", numbers)
    return Finding(AREA, name, "pass", told, numbers)


def copy_of(config: Config, budget: BudgetConfig, measure: Measure, path: Path) -> Config:
    """The configuration with one budget and one limit of it, and a ledger of its own.

    What refuses calls for other reasons than the limit, or lets them wait, is left out.
    """
    limits = {key: getattr(budget, key) if one == measure else None for one, key in _KEYS.items()}
    if measure == "requests":
        limits["max_requests"] = min(budget.max_requests or 1, REQUESTS_MAX)
    apart = {
        "rates": RatesConfig(),
        "priority": None,
        "rollover": None,
        "max_cost_per_call": None,
        "wait_ms": 0,
    }
    return changed(
        config,
        budgets=(budget.model_copy(update=limits | apart),),
        ledger=LedgerConfig(url=f"sqlite:///{path}", on_store_error="deny"),
        metrics=MetricsConfig(exporter="none"),
    )


def spend(config: Config, name: str, measure: Measure) -> Spent:
    """Spends the only budget of a configuration until it refuses, with several threads.

    Raises:
        SpanBudgetError: Something else than the budget ended it.
    """
    budget = config.budgets[0]
    limit = budget.limits[MEASURES.index(measure)] or 1
    unit = max(1, limit // CALLS)
    labels = dict.fromkeys(budget.per, "doctor")
    with BudgetManager(config=config) as manager, ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(_spend_some, manager, name, measure, unit, labels) for _ in range(THREADS)]
        admitted = sum(one.result()[0] for one in work)
        refused = _spend_some(manager, name, measure, unit, labels, most=1)[1]
        state = _state(manager.states(), name)
    spent = (state.spent.cost, state.spent.tokens, state.spent.requests)[MEASURES.index(measure)]
    return Spent(measure, limit, unit, admitted, refused, spent, state.reserved)


def _spend_some(
    manager: BudgetManager,
    name: str,
    measure: Measure,
    unit: int,
    labels: Mapping[str, str],
    *,
    most: int = 2 * CALLS,
) -> tuple[int, str]:
    """Makes calls until one is refused: how many were not, and why that one was."""
    cost = pico_to_usd(unit) if measure == "cost" else Decimal(0)
    tokens = unit if measure == "tokens" else 0
    for admitted in range(most):
        try:
            reservation = manager.reserve(name, cost=cost, input_tokens=tokens, max_tokens=0, labels=labels)
        except BudgetExceeded as refusal:
            return admitted, refusal.reason
        reservation.settle(cost=cost, usage=Usage(input=tokens, output=0))
    return most, ""


def _state(states: list[BudgetState], name: str) -> BudgetState:
    """The state of the budget, or of the only child that was spent."""
    return next(state for state in states if state.budget == name)


def _number(spent: Spent, amount: int) -> str | int:
    return pico_to_text(amount) if spent.measure == "cost" else amount


def _shown(spent: Spent, amount: int) -> str:
    return display_usd(amount) if spent.measure == "cost" else f"{amount:,}{_UNITS[spent.measure]}"
