"""The one configuration file: its shape, its checks, and what it means to the rest of the house.

A wrong file raises one `ConfigurationError` with every problem in it, each with file, line and path; nothing
has been started or changed by then. Values from the environment are never shown.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from spanbudget.exporter import config_yaml as tree
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
    different,
    duration,
    first_day,
    ledger_url,
    listed,
    rolling_length,
    time_zone,
)
from spanbudget.processors.budgets import Budget, Thresholds
from spanbudget.processors.dialects import LABEL_SPELLINGS
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.model_names import normalise_provider
from spanbudget.processors.money import usd_to_pico
from spanbudget.processors.overrides import PriceOverride
from spanbudget.processors.periods import (
    Period,
    PeriodKind,
    WeekDay,
)
from spanbudget.processors.selectors import CallIdentity, Selector, canonical_label

_RATES: Final = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "audio_input", "audio_output",
    "request", "web_search",
)  # fmt: skip
_OWN_FIELDS: Final = ("user", "team", "session", "service", "environment", "feature")


class _Section(BaseModel):
    """A mapping of the file: frozen, without unknown keys; a key without a value is a key not given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            key: value for key, value in values.items() if value is not None or key not in cls.known_keys()
        }

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """The keys as the file spells them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class LedgerConfig(_Section):
    """Where spend is kept. `url` may hold a password, so it is in no message and no repr."""

    url: Annotated[str, AfterValidator(ledger_url), Field(repr=False)] = "sqlite:///spanbudget.db"
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    max_unflushed_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    spool_max_mb: Annotated[int, Field(ge=1, le=1_048_576)] = 256
    queue_max_spans: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    on_store_error: Literal["deny", "allow", "lease_only"] = "allow"


class AttributionConfig(_Section):
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
        return {label: keys for label in _OWN_FIELDS if (keys := getattr(self, label))}


class PriceConfig(_Section):
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


class ScopeConfig(_Section):
    """What is known about the spans of one instrumentation scope; None where the file does not say."""

    input_includes_cache: bool | None = None
    reports_cache_read: bool | None = None
    reports_cache_write: bool | None = None
    ignore: bool = False


class ModelAlias(_Section):
    """What a deployment's name stands for; provider None keeps the span's."""

    provider: Line | None = None
    model: Line


class ModelsConfig(_Section):
    """Names of Azure deployments, Bedrock application inference profiles and the like."""

    aliases: dict[
        Line, Annotated[ModelAlias, BeforeValidator(lambda v: {"model": v} if isinstance(v, str) else v)]
    ] = Field(default_factory=dict)


class CountingConfig(_Section):
    """How many calls are remembered, and how long, to count each once."""

    max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    max_age_seconds: Annotated[int, Field(ge=1, le=604_800)] = 900


class PrometheusConfig(_Section):
    """Where the scrape endpoint listens; port 0 takes a free one."""

    host: Line = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464


class MetricsConfig(_Section):
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


class SamplingConfig(_Section):
    """Whether calls that the sampler drops are counted all the same."""

    record_unsampled: bool = True


class ThresholdsConfig(_Section):
    """Whole percents of a limit; `exceeded` is always 100."""

    warning: Annotated[int, Field(ge=1, le=99)] = 80
    critical: Annotated[int, Field(ge=2, le=100, validate_default=True)] = 90

    @field_validator("critical")
    @classmethod
    def _above_warning(cls, critical: int, info: ValidationInfo) -> int:
        if critical <= info.data.get("warning", 0):
            raise ValueError("critical (90 where not given) must be above warning (80 where not given)")
        return critical


class RollingPeriod(_Section):
    """The last so many seconds, at every moment."""

    rolling: Annotated[int, BeforeValidator(duration), AfterValidator(rolling_length)]


class BudgetConfig(_Section):
    """One budget; money in USD."""

    name: Line
    match: dict[
        Annotated[str, AfterValidator(attribute_name)],
        Annotated[
            tuple[Line, ...], BeforeValidator(listed), Field(min_length=1, max_length=MATCH_VALUES_MAX)
        ],
    ] = Field(default_factory=dict)
    max_cost: Annotated[Decimal | None, Field(gt=0, le=USD_MAX, max_digits=30, decimal_places=12)] = None
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
            max_cost=None if self.max_cost is None else usd_to_pico(self.max_cost),
            max_tokens=self.max_tokens,
            max_requests=self.max_requests,
            period=Period(kind, self.timezone, self.week_start, self.anchor_day, self.anchor_month, rolling),
            per=self.per,
            hard_limit=self.hard_limit,
            auto_suspend=self.auto_suspend,
            thresholds=Thresholds(self.thresholds.warning, self.thresholds.critical),
        )


class Config(_Section):
    """Everything that the file says; without a file, everything is counted and there is no budget."""

    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    attribution: AttributionConfig = Field(default_factory=AttributionConfig)
    price_configs: tuple[PriceConfig, ...] = Field(alias="prices", default=())
    scopes: dict[Line, ScopeConfig] = Field(default_factory=dict)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    counting: CountingConfig = Field(default_factory=CountingConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    budget_configs: tuple[BudgetConfig, ...] = Field(alias="budgets", default=())

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, in the order of the file."""
        return tuple(budget.to_budget() for budget in self.budget_configs)

    @cached_property
    def prices(self) -> tuple[PriceOverride, ...]:
        """The prices, in the order of the file: the first match wins."""
        return tuple(price.to_override() for price in self.price_configs)

    @property
    def model_aliases(self) -> dict[str, tuple[str | None, str]]:
        """Raw model name → (provider, model), as `Namer` takes it."""
        return {name: (alias.provider, alias.model) for name, alias in self.models.aliases.items()}

    @property
    def baggage_keys(self) -> tuple[str, ...]:
        """The baggage keys that are read."""
        return self.attribution.baggage

    @property
    def extra_labels(self) -> tuple[str, ...]:
        """Attribute names that become labels of their own.

        Listed ones, baggage keys that no other label reads, and all that budgets or metrics use: a budget
        can so never wait for a label that nobody collects.
        """
        used = [label for budget in self.budgets for label, _ in budget.selector.terms]
        used += [label for budget in self.budgets for label in budget.per]
        read = {
            key
            for keys in (*LABEL_SPELLINGS.values(), *self.attribution.configured().values())
            for key in keys
        }
        baggage = [key for key in self.attribution.baggage if key not in read]
        names = dict.fromkeys([*self.attribution.labels, *baggage, *used, *self.metrics.labels])
        return tuple(name for name in names if name not in _OWN_FIELDS and name not in CallIdentity._fields)


def load_config(path: str | Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigurationError: The file cannot be read or is wrong; it holds every problem.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(tree.BYTES_MAX + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}:1: not UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]
        ) from None
    return parse_config(text, str(path))


def parse_config(text: str, source_name: str, environ: Mapping[str, str] | None = None) -> Config:
    """Reads the text of a configuration.

    Args:
        text: YAML, at most 1 MiB.
        source_name: What problems call it, mostly the path.
        environ: What `${NAME}` in values stands for; None takes the environment of the process.

    Raises:
        ConfigurationError: The text is wrong; it holds every problem, in the order of the lines.
    """
    if len(text) > tree.BYTES_MAX or len(text.encode(errors="surrogatepass")) > tree.BYTES_MAX:
        raise ConfigurationError([f"{source_name}:1:1: larger than {tree.BYTES_MAX >> 20} MiB"])
    root, problems = tree.read_tree(text, os.environ if environ is None else environ)
    config = None
    if root is not None or not problems:
        values = tree.plain(root)
        known = {problem.path for problem in problems}
        try:
            config = Config.model_validate({} if values is None else values)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            found = [tree.problem_of(detail, root, _keys_at) for detail in details]
            problems += [problem for problem in found if problem.path not in known]
        problems += _repeated_names(root)
    if problems or config is None:
        problems.sort(key=lambda problem: (problem.place.line, problem.place.column))
        raise ConfigurationError(list(dict.fromkeys(problem.line(source_name) for problem in problems)))
    return config


def _provider(name: str) -> str:
    return name if "*" in name else normalise_provider(name) or name


def _repeated_names(root: tree.Node | None) -> Iterator[tree.Problem]:
    """Budgets of one name; read from the tree, so that they are found beside any other problem."""
    _, _, budgets = tree.locate(root, ("budgets",))
    first: dict[str, int] = {}
    for index in range(len(budgets.items) if isinstance(budgets, tree.Sequence) else 0):
        path = ("budgets", index, "name")
        reached, place, name = tree.locate(root, path)
        if reached == path and isinstance(name, tree.Scalar) and name.text is not None:
            other = first.setdefault(name.text, index)
            if other != index:
                text = f"must be unique, got {tree.shown(name)}; budgets[{other}] has the same name"
                yield tree.Problem(place, path, text)


def _keys_at(path: tree.Path) -> tuple[str, ...]:
    """The keys of the section at a path: follows the types of the fields to the section's class."""
    section: type[_Section] = Config
    for part in path:
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        if part in fields:
            section = next(_sections(fields[str(part)].annotation), section)
    return section.known_keys()


def _sections(annotation: Any) -> Iterator[type[_Section]]:
    if isinstance(annotation, type) and issubclass(annotation, _Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
