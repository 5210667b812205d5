"""Which budgets are watched, and how closely."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from spanbudget.exporter.anomalies.config import MONEY, MONEY_SIGNALS, AnomaliesConfig
from spanbudget.exporter.anomalies.fields import alerts_per_week
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.config import Config
from spanbudget.processors.budgets import Budget
from spanbudget.rules.durations import parse_duration

PART_SHARE: Final = 0.25
"""How often a part of a budget may alert against its total: there are many parts."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """How closely a series is watched.

    Attributes:
        alerts_per_week: How many episodes it may have.
        min_excess_usd: What less money than that is at stake in is no anomaly.
        learning_ms: How long it is looked at before it may alert, milliseconds.
    """

    alerts_per_week: float
    min_excess_usd: float
    learning_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched.

    Attributes:
        budgets: The budgets.
        totals: How closely the total of each is watched, by its name.
        section: What holds for all of them.
    """

    budgets: tuple[Budget, ...]
    totals: dict[str, Closeness]
    section: AnomaliesConfig

    def closeness(self, name: SeriesName) -> Closeness:
        """How closely a series of one of the budgets is watched."""
        total = self.totals[name.budget]
        if not name.dimension:
            return total
        return Closeness(total.alerts_per_week * PART_SHARE, total.min_excess_usd, total.learning_ms)

    def sources(self, name: SeriesName) -> tuple[str, ...]:
        """The detectors that look at a series; those of other signals than money are heavy: totals only."""
        others = () if name.dimension else set(self.section.signals) - set(MONEY_SIGNALS)
        return (*((MONEY,) if self.money_signals else ()), *sorted(others))

    @property
    def money_signals(self) -> tuple[str, ...]:
        """The signals about money that are looked at."""
        return tuple(one for one in self.section.signals if one in MONEY_SIGNALS)

    def definition(self, budget: str) -> str:
        """Stands for what a budget counts."""
        found = next(one for one in self.budgets if one.name == budget)
        return blake2b(repr((found.selector, found.per)).encode(), digest_size=8).hexdigest()


def plan_of(config: Config, budgets: Sequence[Budget], *, every: bool = False) -> Plan:
    """What a configuration asks for.

    Args:
        config: It.
        budgets: All budgets, also those that only the ledger knows.
        every: Whether all of them are watched, whatever it says; but for those it excludes.
    """
    section = config.anomalies
    asked = {one.name: one.alerts.anomaly for one in config.budget_configs if one.alerts is not None}
    totals: dict[str, Closeness] = {}
    for budget in budgets:
        own = asked.get(budget.name)
        wanted = own is not None if section.enabled == "auto" else section.enabled
        if (wanted or every) and budget.name not in section.exclude:
            totals[budget.name] = Closeness(
                alerts_per_week((own and own.alert_budget) or section.alert_budget),
                float(section.min_excess_usd if own is None else own.min_excess_usd),
                parse_duration((own and own.learning) or section.learning),
            )
    return Plan(tuple(one for one in budgets if one.name in totals), totals, section)
