"""The section `alerts` of a budget: its keys, and the records that rules are made of."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from spanbudget.exporter import alerts_fields as fields
from spanbudget.exporter.anomalies.fields import AlertBudget, Learning
from spanbudget.exporter.config_fields import Line
from spanbudget.exporter.config_section import Section
from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.names_out import BURN_WINDOWS
from spanbudget.processors.periods import Period
from spanbudget.rules.burn import MONEY_PAIRS, BurnPair, period_seconds, rate_of_percent
from spanbudget.rules.durations import parse_duration
from spanbudget.rules.expansion import sugar
from spanbudget.rules.expansion.sugar import SugarAlert, Wishes
from spanbudget.rules.labels import labels_of

_ITEMS_MAX: Final = 32
_PERCENTILES: Final = (50, 90, 95, 99)
_NOMINAL_SECONDS: Final = 30 * 86_400
"""What stands in for the length of a period that never ends: its pairs are left out anyway."""


class AlertConfig(Section):
    """What every alert can be told; None where its own way stays."""

    severity: fields.Severity | None = None
    for_: Annotated[fields.Duration | None, Field(alias="for")] = None
    keep_firing_for: fields.Duration | None = None
    labels: fields.LabelTexts = Field(default_factory=dict)
    annotations: fields.AnnotationTexts = Field(default_factory=dict)
    runbook_url: Line | None = None

    @model_serializer(mode="wrap")
    def _as_written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The keys as the file has them: what a ledger stores must be readable again."""
        values: dict[str, Any] = written(self)
        return {"for" if key == "for_" else key: value for key, value in values.items()}

    def wishes(self) -> Wishes:
        """The settings as rules take them."""
        runbook = {"runbook_url": self.runbook_url} if self.runbook_url else {}
        return Wishes(
            severity=self.severity or "",
            for_ms=None if self.for_ is None else parse_duration(self.for_),
            keep_firing_for_ms=None if self.keep_firing_for is None else parse_duration(self.keep_firing_for),
            labels=labels_of(self.labels),
            annotations=labels_of({**self.annotations, **runbook}),
        )


class ThresholdConfig(AlertConfig):
    """A share of the limit, in percent."""

    percent: Annotated[Decimal, Field(gt=0, le=1_000, max_digits=9, decimal_places=6)]


class BurnPairConfig(AlertConfig):
    """A rate of spending: as a multiple, or as the percentage of the limit that the long time takes."""

    long: fields.BurnWindow
    short: fields.BurnWindow
    percent: fields.Percent | None = None
    rate: Annotated[
        Decimal | None, Field(gt=0, le=100_000, max_digits=12, decimal_places=6, validate_default=True)
    ] = None

    @field_validator("short")
    @classmethod
    def _shorter(cls, short: str, info: ValidationInfo) -> str:
        long = info.data.get("long")
        if long is not None and BURN_WINDOWS[short] >= BURN_WINDOWS[long]:
            raise ValueError(f"must be shorter than long ({long})")
        return short

    @field_validator("rate")
    @classmethod
    def _one_of_two(cls, rate: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if "percent" in info.data and (rate is None) is (info.data["percent"] is None):
            raise ValueError("needs one of rate and percent")
        return rate

    def to_alert(self, severity: str, length_seconds: int) -> sugar.BurnAlert:
        """The alert, for a period of some length."""
        rate = self.rate or rate_of_percent(self.percent or Decimal(0), self.long, length_seconds)
        return sugar.BurnAlert(BurnPair(rate, self.long, self.short, severity), self.wishes())


_Pairs: TypeAlias = Annotated[
    tuple[BurnPairConfig, ...], Field(max_length=_ITEMS_MAX), AfterValidator(fields.not_empty)
]


class BurnConfig(Section):
    """Pairs by who is told; where there is neither, the measured ones."""

    page: _Pairs | None = None
    ticket: _Pairs | None = None


class ProjectedConfig(AlertConfig):
    """How sure it must be that the window ends above the limit."""

    confidence: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.95")

    @field_validator("confidence")
    @classmethod
    def _projected(cls, confidence: Decimal) -> Decimal:
        if confidence not in (Decimal("0.5"), Decimal("0.95")):
            raise ValueError("must be 0.5 or 0.95")
        return confidence


class AnomalyConfig(AlertConfig):
    """How much money must be at stake; None where the section `anomalies` says it for all budgets."""

    min_excess_usd: fields.Usd = Decimal(5)
    alert_budget: AlertBudget | None = None
    learning: Learning | None = None


class ErrorRateConfig(AlertConfig):
    """How many calls may fail, in percent."""

    above: fields.Percent = Decimal(5)
    min_requests: fields.MinRequests = 20
    over: fields.LookBack = "5m"


class LatencyConfig(AlertConfig):
    """How long calls may take, in seconds; at least one percentile."""

    p50_seconds: fields.Seconds | None = None
    p90_seconds: fields.Seconds | None = None
    p95_seconds: fields.Seconds | None = None
    p99_seconds: Annotated[fields.Seconds | None, Field(validate_default=True)] = None
    min_requests: fields.MinRequests = 20
    over: fields.LookBack = "10m"

    @field_validator("p99_seconds")
    @classmethod
    def _some_percentile(cls, seconds: Decimal | None, info: ValidationInfo) -> Decimal | None:
        others = [f"p{percent}_seconds" for percent in _PERCENTILES[:-1]]
        if seconds is None and all(info.data.get(name, "wrong") is None for name in others):
            raise ValueError(f"needs at least one of {', '.join(others)} and p99_seconds")
        return seconds

    def to_alerts(self) -> Iterator[sugar.LatencyAlert]:
        """One alert for each percentile that is given."""
        over_ms = parse_duration(self.over)
        for percent in _PERCENTILES:
            seconds = getattr(self, f"p{percent}_seconds")
            if seconds is not None:
                quantile = Decimal(percent) / 100
                yield sugar.LatencyAlert(quantile, seconds, self.min_requests, over_ms, self.wishes())


class ModelShareConfig(AlertConfig):
    """How much of the money one model may take, in percent; the name of the `model` may hold `*`."""

    above: fields.Percent = Decimal(60)
    model: Line | None = None
    min_usd: fields.Usd = Decimal(1)
    over: fields.LookBack = "1d"


class UnpricedConfig(AlertConfig):
    """How many calls may be without a price, in percent."""

    above: fields.Percent = Decimal(1)
    min_requests: fields.MinRequests = 20
    over: fields.LookBack = "1h"


class SilenceConfig(AlertConfig):
    """How long no call may come."""

    after: fields.LookBack = "30m"


_Thresholds: TypeAlias = Annotated[
    Annotated[Literal[True], Tag("=text")]
    | Annotated[
        tuple[Annotated[ThresholdConfig, BeforeValidator(fields.value_of("percent"))], ...],
        Field(max_length=_ITEMS_MAX),
        AfterValidator(fields.not_empty),
        Tag("=list"),
    ]
    | Annotated[ThresholdConfig, Tag("=mapping")],
    Discriminator(fields.form_of),
]
_Burn: TypeAlias = Annotated[
    Annotated[BurnConfig, Tag("=mapping")] | Annotated[_Pairs, Tag("=list")], Discriminator(fields.form_of)
]
_SWITCHED: Final = BeforeValidator(fields.switched)


class AlertsConfig(Section):
    """The alerts of a budget, each only where it is asked for; labels and annotations are for all of them."""

    thresholds: Annotated[_Thresholds | None, BeforeValidator(fields.threshold_list)] = None
    burn: Annotated[_Burn | None, _SWITCHED] = None
    projected_overrun: Annotated[ProjectedConfig | None, _SWITCHED] = None
    anomaly: Annotated[AnomalyConfig | None, _SWITCHED] = None
    error_rate: Annotated[ErrorRateConfig | None, _SWITCHED] = None
    latency: Annotated[LatencyConfig | None, _SWITCHED] = None
    model_cost_share: Annotated[ModelShareConfig | None, _SWITCHED] = None
    unpriced_share: Annotated[UnpricedConfig | None, _SWITCHED] = None
    silence: Annotated[
        SilenceConfig | None, BeforeValidator(fields.value_of("after")), BeforeValidator(fields.switched)
    ] = None
    labels: fields.LabelTexts = Field(default_factory=dict)
    annotations: fields.AnnotationTexts = Field(default_factory=dict)
    runbook_url: Line | None = None

    @field_validator("thresholds")
    @classmethod
    def _different(cls, given: Any) -> Any:
        percents = [one.percent for one in given] if isinstance(given, tuple) else []
        if len(set(percents)) < len(percents):
            raise ValueError("must not name the same threshold twice")
        return given

    def wishes(self) -> Wishes:
        """What is for all alerts of the budget."""
        runbook = {"runbook_url": self.runbook_url} if self.runbook_url else {}
        annotations = {**self.annotations, **runbook}
        return Wishes(labels=labels_of(self.labels), annotations=labels_of(annotations))

    def to_alerts(self, period: Period, thresholds: Thresholds) -> tuple[SugarAlert, ...]:
        """The alerts, in the order of the keys above.

        Args:
            period: The budget's period.
            thresholds: Its levels, for `thresholds: true`.
        """
        return (
            *_thresholds(self.thresholds, thresholds),
            *_burns(self.burn, period_seconds(period) or _NOMINAL_SECONDS),
            *self._spend(),
            *self._calls(),
        )

    def _spend(self) -> Iterator[SugarAlert]:
        if projected := self.projected_overrun:
            yield sugar.ProjectedAlert(projected.confidence, projected.wishes())
        if anomaly := self.anomaly:
            yield sugar.AnomalyAlert(anomaly.min_excess_usd, anomaly.wishes())

    def _calls(self) -> Iterator[SugarAlert]:
        if rate := self.error_rate:
            over_ms = parse_duration(rate.over)
            yield sugar.ErrorRateAlert(rate.above, rate.min_requests, over_ms, rate.wishes())
        if self.latency:
            yield from self.latency.to_alerts()
        if share := self.model_cost_share:
            over_ms = parse_duration(share.over)
            yield sugar.ModelShareAlert(
                share.above, share.model or "", share.min_usd, over_ms, share.wishes()
            )
        if unpriced := self.unpriced_share:
            over_ms = parse_duration(unpriced.over)
            yield sugar.UnpricedAlert(unpriced.above, unpriced.min_requests, over_ms, unpriced.wishes())
        if self.silence:
            yield sugar.SilenceAlert(parse_duration(self.silence.after), self.silence.wishes())


def alerts_given(given: object) -> object:
    """`alerts: true` as what suits every budget: its thresholds, the burn rates, the projected overrun."""
    if fields.is_on(given):
        return {"thresholds": True, "burn": True, "projected_overrun": True}
    return None if fields.is_off(given) else given


def _thresholds(
    given: Literal[True] | tuple[ThresholdConfig, ...] | ThresholdConfig | None, levels: Thresholds
) -> Iterator[sugar.ThresholdAlert]:
    if given is True:
        percents = sorted({levels.warning, levels.critical, 100})
        yield from (sugar.ThresholdAlert(Decimal(percent)) for percent in percents)
    elif given:
        listed = (given,) if isinstance(given, ThresholdConfig) else given
        for one in sorted(listed, key=lambda threshold: threshold.percent):
            yield sugar.ThresholdAlert(one.percent, one.wishes())


def _burns(
    given: BurnConfig | tuple[BurnPairConfig, ...] | None, length_seconds: int
) -> Iterator[sugar.BurnAlert]:
    if isinstance(given, tuple):
        yield from (pair.to_alert(pair.severity or "ticket", length_seconds) for pair in given)
    elif given and (given.page or given.ticket):
        yield from (pair.to_alert("page", length_seconds) for pair in given.page or ())
        yield from (pair.to_alert("ticket", length_seconds) for pair in given.ticket or ())
    elif given:
        yield from map(sugar.BurnAlert, MONEY_PAIRS)
