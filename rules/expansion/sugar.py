"""What a budget says about its alerts: one record for each alert that it wants."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.periods import Period
from spanbudget.rules.burn import BurnPair
from spanbudget.rules.labels import EMPTY, Labels


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an alert shall differ from what it would be by itself.

    Attributes:
        severity: "" for the alert's own.
        for_ms: Milliseconds; None for the alert's own.
        keep_firing_for_ms: Milliseconds; None for the alert's own.
        labels: Further labels.
        annotations: Further annotations, or other ones in place of the alert's own.
    """

    severity: str = ""
    for_ms: int | None = None
    keep_firing_for_ms: int | None = None
    labels: Labels = EMPTY
    annotations: Labels = EMPTY


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class ThresholdAlert:
    """A share of the limit is used, once for each window; `percent` above 0."""

    percent: Decimal
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """Money goes too fast."""

    pair: BurnPair
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class ProjectedAlert:
    """The window will end above the limit, with this `confidence`: 0.5 or 0.95."""

    confidence: Decimal
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class AnomalyAlert:
    """Spend is unusual, and at least `min_excess_usd` more than expected."""

    min_excess_usd: Decimal
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class ErrorRateAlert:
    """More than `above_percent` of at least `min_requests` calls failed in the last `over_ms`."""

    above_percent: Decimal
    min_requests: int
    over_ms: int
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class LatencyAlert:
    """A quantile (0 to 1) of the durations of at least `min_requests` calls is above `seconds`."""

    quantile: Decimal
    seconds: Decimal
    min_requests: int
    over_ms: int
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class ModelShareAlert:
    """One model takes more than `above_percent` of a spend of at least `min_usd`; `model` "" for any one."""

    above_percent: Decimal
    model: str
    min_usd: Decimal
    over_ms: int
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class UnpricedAlert:
    """More than `above_percent` of at least `min_requests` calls have no price."""

    above_percent: Decimal
    min_requests: int
    over_ms: int
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class SilenceAlert:
    """The budget counted no call for `after_ms`."""

    after_ms: int
    wishes: Wishes = NO_WISHES


SugarAlert: TypeAlias = (
    ThresholdAlert
    | BurnAlert
    | ProjectedAlert
    | AnomalyAlert
    | ErrorRateAlert
    | LatencyAlert
    | ModelShareAlert
    | UnpricedAlert
    | SilenceAlert
)


@dataclass(frozen=True, slots=True)
class BudgetAlerts:
    """A budget as far as its alerts care, or several that want the same.

    Attributes:
        budget: Its name.
        period: How time is cut into windows.
        alerts: In the order in which the rules shall stand.
        limits_money: Whether it has a limit in money.
        has_children: Whether it is a template (`per`).
        thresholds: Where warning and critical begin.
        wishes: For all of its alerts; what an alert itself wishes goes before.
        others: Names of further budgets of which all the rest is true as well.
    """

    budget: str
    period: Period
    alerts: tuple[SugarAlert, ...]
    limits_money: bool = True
    has_children: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)
    wishes: Wishes = NO_WISHES
    others: tuple[str, ...] = ()

    @property
    def budgets(self) -> tuple[str, ...]:
        """The names of all budgets that are meant."""
        return (self.budget, *self.others)
