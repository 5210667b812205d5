"""The sections of the configuration file: their keys, their checks, and the domain records that they make."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from spanbudget.exporter.alerts_config import AlertsConfig, alerts_given
from spanbudget.exporter.config_fields import (
    MATCH_VALUES_MAX,
    PER_MAX,
    USD_MAX,
    AttributeNames,
    CalendarKind,
    Count,
    LabelNames,
    Line,
    Rate,
    attribute_name,
    calendar,
    carried_over,
    different,
    duration,
    first_day,
    ledger_url,
    listed,
    rolling_length,
    time_zone,
)
from spanbudget.exporter.config_section import Section as Section  # noqa: PLC0414 - it is imported from here
from spanbudget.processors.budget_state import Thresholds
from spanbudget.processors.budgets import Budget
from spanbudget.processors.call import TOKENS_MAX
from spanbudget.processors.limits import Limits, Policies
from spanbudget.processors.model_names import normalise_provider
from spanbudget.processors.money import usd_to_pico
from spanbudget.processors.overrides import PriceOverride
from spanbudget.processors.periods import (
    Period,
    PeriodKind,
    WeekDay,
)
from spanbudget.processors.selectors import Selector, canonical_label
from spanbudget.rules.expansion.sugar import BudgetAlerts

Money: TypeAlias = Annotated[Decimal | None, Field(gt=0, le=USD_MAX, max_digits=30, decimal_places=12)]
Match: TypeAlias = dict[
    Annotated[str, AfterValidator(attribute_name)],
    Annotated[tuple[Line, ...], BeforeValidator(listed), Field(min_length=1, max_length=MATCH_VALUES_MAX)],
]
OWN_LABELS: Final = ("user", "team", "session", "service", "environment", "feature")
"""Labels that the section `attribution` has keys for."""
_RATES: Final = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "audio_input", "audio_output",
    "request", "web_search",
)  # fmt: skip


class LedgerConfig(Section):
    """Where spend is kept. `url` may hold a password, so it is in no message and no repr."""

    url: Annotated[str, AfterValidator(ledger_url), Field(repr=False)] = "sqlite:///spanbudget.db"
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    max_unflushed_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    spool_max_mb: Annotated[int, Field(ge=1, le=1_048_576)] = 256
    queue_max_spans: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    on_store_error: Literal["deny", "allow", "lease_only"] = "allow"
    lease_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30


class AttributionConfig(Section):
    """Span attributes or baggage keys that a label is read from, first match wins; () means built-in ones."""

    user: AttributeNames = ()
    team: AttributeNames = ()
    session: AttributeNames = ()
    service: AttributeNames = ()
    environment: AttributeNames = ()
    feature: AttributeNames = ()
    labels: AttributeNames = ()
    baggage: AttributeNames = ()

    def configured(self) -> dict[str, tuple[str, ...]]:
        """Label → the keys that the file gives for it."""
        return {label: keys for label in OWN_LABELS if (keys := getattr(self, label))}


class PriceConfig(Section):
    """One price. Rates are USD per 1M tokens, `request` USD per call, `web_search` USD per 1,000 searches."""

    provider: Line
    model: Line
    input: Rate = None
    cache_read: Rate = None
    cache_write: Rate = None
    cache_write_1h: Rate = None
    output: Rate = None
    audio_input: Rate = None
    audio_output: Rate = None
    request: Rate = None
    web_search: Rate = None
    starts: Annotated[date | None, BeforeValidator(first_day), Field(alias="from")] = None
    discount_percent: Annotated[
        Decimal | None, Field(ge=0, le=100, decimal_places=12, validate_default=True)
    ] = None

    @field_validator("discount_percent")
    @classmethod
    def _something_is_set(cls, discount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if discount is None and all(info.data.get(rate, "wrong") is None for rate in _RATES):
            raise ValueError("needs a rate or discount_percent")
        return discount

    def to_override(self) -> PriceOverride:
        """The price as the price book takes it."""
        rates = {rate: getattr(self, rate) for rate in _RATES}
        return PriceOverride(
            provider=_provider(self.provider),
            model=self.model,
            starts=self.starts,
            discount_percent=self.discount_percent,
            **rates,
        )


class ScopeConfig(Section):
    """What is known about the spans of one instrumentation scope; None where the file does not say."""

    input_includes_cache: bool | None = None
    reports_cache_read: bool | None = None
    reports_cache_write: bool | None = None
    ignore: bool = False


class ModelAlias(Section):
    """What a deployment's name stands for; provider None keeps the span's."""

    provider: Line | None = None
    model: Line


class ModelsConfig(Section):
    """What is known of models beside their prices.

    `aliases` are names of Azure deployments, Bedrock application inference profiles and the like;
    `output_limits` the most tokens of one answer, by model as it is asked for: the worst case of a call that
    does not limit its answer itself.
    """

    output_limits: dict[Line, Annotated[int, Field(ge=1, le=TOKENS_MAX)]] = Field(default_factory=dict)

    aliases: dict[
        Line, Annotated[ModelAlias, BeforeValidator(lambda v: {"model": v} if isinstance(v, str) else v)]
    ] = Field(default_factory=dict)


class CountingConfig(Section):
    """How many calls are remembered, and how long, to count each once."""

    max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    max_age_seconds: Annotated[int, Field(ge=1, le=604_800)] = 900


class PrometheusConfig(Section):
    """Where the scrape endpoint listens; port 0 takes a free one."""

    host: Line = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464


class MetricsConfig(Section):
    """How the numbers leave, and how many values a label may have in them."""

    exporter: Literal["auto", "otlp", "prometheus", "none"] = "auto"
    prometheus: PrometheusConfig = Field(default_factory=PrometheusConfig)
    max_label_values: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    labels: LabelNames = ()

    @property
    def host(self) -> str:
        """Address of the Prometheus endpoint."""
        return self.prometheus.host

    @property
    def port(self) -> int:
        """Port of the Prometheus endpoint."""
        return self.prometheus.port


class SamplingConfig(Section):
    """Whether calls that the sampler drops are counted all the same."""

    record_unsampled: bool = True


class ThresholdsConfig(Section):
    """Whole percents of a limit; `exceeded` is always 100."""

    warning: Annotated[int, Field(ge=1, le=99)] = 80
    critical: Annotated[int, Field(ge=2, le=100, validate_default=True)] = 90

    @field_validator("critical")
    @classmethod
    def _above_warning(cls, critical: int, info: ValidationInfo) -> int:
        if critical <= info.data.get("warning", 0):
            raise ValueError("critical (90 where not given) must be above warning (80 where not given)")
        return critical


class RollingPeriod(Section):
    """The last so many seconds, at every moment."""

    rolling: Annotated[int, BeforeValidator(duration), AfterValidator(rolling_length)]

    @field_serializer("rolling")
    def _as_written(self, seconds: int) -> str:
        return f"{seconds}s"


class RatesConfig(Section):
    """Most of each measure in a minute: a token bucket that holds one minute's worth."""

    requests_per_minute: Count = None
    tokens_per_minute: Count = None
    cost_per_minute: Money = None


class PriorityConfig(Section):
    """A share of a limit, in percent, that only calls with these labels may use."""

    percent: Annotated[int, Field(ge=1, le=99)]
    match: Match = Field(min_length=1)


class DowngradeConfig(Section):
    """The model that takes the place of another where a budget cannot pay for it."""

    downgrade: dict[Line, Line] = Field(min_length=1)


class BudgetConfig(Section):
    """One budget; money in USD."""

    name: Line
    match: Match = Field(default_factory=dict)
    max_cost: Money = None
    max_tokens: Count = None
    max_requests: Annotated[Count, Field(validate_default=True)] = None
    period: Annotated[
        Annotated[CalendarKind, BeforeValidator(calendar), Tag("=text")]
        | Annotated[RollingPeriod, Tag("=mapping")],
        Discriminator(lambda given: "=mapping" if isinstance(given, (dict, RollingPeriod)) else "=text"),
    ] = "monthly"
    timezone: Annotated[str, AfterValidator(time_zone)] = "UTC"
    week_start: WeekDay = "monday"
    anchor_day: Annotated[int, Field(ge=1, le=31)] = 1
    anchor_month: Annotated[int, Field(ge=1, le=12)] = 1
    per: Annotated[LabelNames, Field(max_length=PER_MAX)] = ()
    hard_limit: bool = False
    auto_suspend: bool = False
    thresholds: ThresholdsConfig = Field(default_factory=ThresholdsConfig)
    guarantee: Literal["strict", "expected"] = "strict"
    on_exceed: Annotated[
        Annotated[Literal["block", "clamp"], Tag("=text")] | Annotated[DowngradeConfig, Tag("=mapping")],
        Discriminator(lambda given: "=mapping" if isinstance(given, (dict, DowngradeConfig)) else "=text"),
    ] = "block"
    clamp_min_tokens: Annotated[int, Field(ge=1, le=TOKENS_MAX)] = 16
    wait_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    on_unbounded: Literal["refuse", "allow"] = "refuse"
    on_unpriced: Literal["reject", "charge_max", "warn"] = "reject"
    on_orphan: Literal["auto", "charge", "release"] = "auto"
    on_store_error: Literal["deny", "allow", "lease_only"] | None = None
    max_cost_per_call: Money = None
    rates: RatesConfig = Field(default_factory=RatesConfig)
    rollover: Annotated[Decimal | Literal[True] | None, BeforeValidator(carried_over)] = None
    priority: PriorityConfig | None = None
    alerts: Annotated[AlertsConfig | None, BeforeValidator(alerts_given)] = None

    @field_validator("match")
    @classmethod
    def _labels_once(cls, match: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        different(tuple(canonical_label(name) for name in match))
        return match

    @field_validator("max_requests")
    @classmethod
    def _some_limit(cls, limit: int | None, info: ValidationInfo) -> int | None:
        if limit is None and all(info.data.get(name, "bad") is None for name in ("max_cost", "max_tokens")):
            raise ValueError("needs at least one of max_cost, max_tokens and max_requests")
        return limit

    @field_validator("week_start", "anchor_day", "anchor_month")
    @classmethod
    def _belongs_to_period(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = {"week_start": ("weekly",), "anchor_day": ("monthly", "yearly"), "anchor_month": ("yearly",)}
        allowed = kinds[info.field_name or ""]
        if "period" in info.data and info.data["period"] not in allowed:
            raise ValueError(f"is only for the period {' or '.join(allowed)}")
        return value

    def to_budget(self) -> Budget:
        """The budget as the budget book takes it."""
        rolling = self.period.rolling if isinstance(self.period, RollingPeriod) else 0
        kind: PeriodKind = "rolling" if isinstance(self.period, RollingPeriod) else self.period
        match = {
            name: tuple(map(_provider, values)) if canonical_label(name) == "provider" else values
            for name, values in self.match.items()
        }
        return Budget(
            name=self.name,
            selector=Selector.of(match),
            max_cost=_pico(self.max_cost),
            max_tokens=self.max_tokens,
            max_requests=self.max_requests,
            period=Period(kind, self.timezone, self.week_start, self.anchor_day, self.anchor_month, rolling),
            per=self.per,
            hard_limit=self.hard_limit,
            auto_suspend=self.auto_suspend,
            thresholds=Thresholds(self.thresholds.warning, self.thresholds.critical),
            policies=self._policies(),
        )

    def to_alerts(self) -> BudgetAlerts | None:
        """What the budget says about its alerts; None where it says nothing."""
        if self.alerts is None:
            return None
        budget = self.to_budget()
        return BudgetAlerts(
            budget=budget.name,
            period=budget.period,
            alerts=self.alerts.to_alerts(budget.period, budget.thresholds),
            limits_money=budget.max_cost is not None,
            has_children=bool(budget.per),
            thresholds=budget.thresholds,
            wishes=self.alerts.wishes(),
        )

    def _policies(self) -> Policies:
        downgrade = self.on_exceed.downgrade if isinstance(self.on_exceed, DowngradeConfig) else {}
        carried = self.max_cost if self.rollover is True else self.rollover
        rates, priority = self.rates, self.priority
        return Policies(
            guarantee=self.guarantee,
            on_exceed="downgrade" if isinstance(self.on_exceed, DowngradeConfig) else self.on_exceed,
            downgrade=tuple(downgrade.items()),
            clamp_min_tokens=self.clamp_min_tokens,
            wait_ms=self.wait_ms,
            on_unbounded=self.on_unbounded,
            on_unpriced=self.on_unpriced,
            on_orphan=self.on_orphan,
            on_store_error=self.on_store_error,
            max_cost_per_call=_pico(self.max_cost_per_call),
            rates=Limits(_pico(rates.cost_per_minute), rates.tokens_per_minute, rates.requests_per_minute),
            rollover=_pico(carried),
            priority_percent=priority.percent if priority else 0,
            priority_match=Selector.of(priority.match).terms if priority else (),
        )


def _pico(usd: Decimal | None) -> int | None:
    return None if usd is None else usd_to_pico(usd)


def _provider(name: str) -> str:
    return name if "*" in name else normalise_provider(name) or name
