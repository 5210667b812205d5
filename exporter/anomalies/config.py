"""The section `anomalies` of the configuration file: what is watched for unusual spend."""

from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from spanbudget.exporter.alerts_fields import Usd, not_empty
from spanbudget.exporter.anomalies.fields import AlertBudget, Learning
from spanbudget.exporter.config_fields import MATCH_VALUES_MAX, LabelNames, Line, different, listed
from spanbudget.exporter.config_section import Section

Signal: TypeAlias = Literal["spend", "cost_per_request", "silence", "latency", "error_rate", "tokens"]
MONEY_SIGNALS: Final = ("spend", "cost_per_request", "silence")
"""Signals of the detectors that look at money; they are light, and look at every series."""
MONEY: Final = "money"
"""The name of those detectors; each of the others is named after its signal."""
DIMENSIONS: Final = ("model", "user", "service")


class AnomaliesConfig(Section):
    """What is watched, and how often it may alert.

    Attributes:
        enabled: `auto`: the budgets whose `alerts` ask for anomalies; true: all budgets; false: none.
        dimensions: Each value of these labels is a series of its own, beside the budget's total.
        alert_budget: How often the total of a budget may alert, `1/week`; each value of a dimension may do so
            a quarter as often.
        min_excess_usd: What less money than that is at stake in is no anomaly.
        learning: How long a series is looked at before it may alert; the ledger's past counts.
        signals: What is looked at; latency, error rate and tokens are those of totals.
        max_series: Most series; those that spend most are kept, and the others are counted.
        exclude: Names of budgets that are not watched.
    """

    enabled: bool | Literal["auto"] = "auto"
    dimensions: LabelNames = DIMENSIONS
    alert_budget: AlertBudget = "1/week"
    min_excess_usd: Usd = Decimal(1)
    learning: Learning = "3d"
    signals: Annotated[
        tuple[Signal, ...], BeforeValidator(listed), AfterValidator(not_empty), AfterValidator(different)
    ] = MONEY_SIGNALS
    max_series: Annotated[int, Field(ge=1, le=10_000)] = 500
    exclude: Annotated[tuple[Line, ...], BeforeValidator(listed), Field(max_length=MATCH_VALUES_MAX)] = ()
